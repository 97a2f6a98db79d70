// Package notes has a process note what it does in a file that outlives it, whatever ends it (Open, Tail), and when it did not run (Stalls).
package notes
