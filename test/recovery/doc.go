// Package recovery kills, stops and cuts off engines that run on a real server, in processes of their own where that
// matters, and looks at who goes on with what they left, when, how often, and that nothing is lost or owned twice.
//
// A child is the test binary run again. It keeps a journal (package journal) of what it owned, which outlives a SIGKILL,
// and which the parent can read while the child runs.
//
// TestChaos runs for some seconds. STREAMLEASE_CHAOS=5m has it run for longer, STREAMLEASE_CHAOS_SEED=n makes the same
// decisions again. BenchmarkTakeover measures how long streams are without an owner after a SIGKILL.
package recovery
