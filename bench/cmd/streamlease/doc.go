// Command streamlease changes stopped services as a whole: it deletes them, or gives them another number of partitions.
package main
