// Package leaks finds goroutines that tests leave behind, and knows those that libraries end in their own time.
package leaks
