// Package record reads and writes what Redis keeps of a schedule: its row in the table, and its checkpoint. All of it is input from outside
// when it is read: anybody who may write the keys may have written it.
package record
