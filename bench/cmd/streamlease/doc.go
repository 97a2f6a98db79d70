// Command streamlease changes stopped services as a whole: it deletes them, and gives them another number of partitions.
package main
