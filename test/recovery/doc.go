// Package recovery kills, stops and cuts off engines that run on a real server, in processes of their own where that
// matters, and looks at who goes on with what they left, when, how often, and that nothing is lost or owned twice.
//
// A child is the test binary run again. It keeps its journal of what it owned, from when until when on the clock that all
// processes of one machine share, in a file mapped into memory: so it outlives a SIGKILL, and the parent can read it
// while the child runs.
//
// TestChaos runs for some seconds. STREAMLEASE_CHAOS=5m has it run for longer, STREAMLEASE_CHAOS_SEED=n makes the same
// decisions again. BenchmarkTakeover measures how long streams are without an owner after a SIGKILL.
package recovery
