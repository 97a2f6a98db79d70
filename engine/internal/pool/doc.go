// Package pool runs tasks on a bounded number of goroutines, in the order in which they were added. Adding never waits, and what
// waits costs a word.
package pool
