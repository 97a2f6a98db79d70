// Package leaks finds goroutines that tests leave behind, and knows those that libraries end by themselves later.
package leaks
