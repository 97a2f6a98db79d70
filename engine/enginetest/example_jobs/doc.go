// Example_jobs calls URLs: a job is a stream, and each of its messages has a "url". Thousands of jobs wait for a few slow calls.
package main
