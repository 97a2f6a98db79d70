// Package workqueue runs work for keys on a bounded number of goroutines: for one key never twice at once, for several in
// parallel.
//
// A key is a small number, and what adding it means is known to the one function that a [Queue] calls. A key that is added
// while its work runs is run again afterwards, once, however often it was added: so batches form by themselves.
//
// Each key has a lane, which may change. The bound is one for each lane, so a lane whose work hangs keeps its own goroutines
// busy and holds up no key of another lane.
//
// In an engine keys are partitions and lanes are the masters that they are on. It has a queue for each kind of call: one that
// renews, one that completes, one that acquires parked entries, one that promotes what is due, and one that recovers.
package workqueue
