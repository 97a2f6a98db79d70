// Package recovery kills, stops and cuts off engines on a real server, in processes of their own where that matters. It checks
// which engines take over their streams, when and how often, and that nothing is lost or owned twice.
//
// A child is the test binary run again. It keeps a journal (package journal) of what it owned, which survives a SIGKILL and can be
// read while the child runs.
//
// TestChaos runs for some seconds. STREAMLEASE_CHAOS=5m makes it run longer, STREAMLEASE_CHAOS_SEED=n repeats the decisions of a
// run. BenchmarkTakeover measures how long streams have no owner after a SIGKILL.
package recovery
