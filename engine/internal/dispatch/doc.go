// Package dispatch calls a handler on a bounded number of goroutines: for one stream one call at a time and in order, for
// different streams in parallel.
//
// A [Dispatcher] bounds the calls, not what waits for them: [Dispatcher.Waiting] tells its user when to post less.
package dispatch
