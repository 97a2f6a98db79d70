// Package enginetest runs whole services in tests: engines, publishers and a fleet of processes on a server in memory, in virtual
// time, without Redis.
//
//	func TestAnotherProcessTakesOver(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			fleet := enginetest.New(t, "orders")
//			a := fleet.Start("a", enginetest.Handler(handler))
//			fleet.Publish("order:1", nil)
//			fleet.OwnedBy("order:1", a)
//
//			b := fleet.Start("b", enginetest.Handler(handler))
//			a.Kill()
//			fleet.OwnedBy("order:1", b)
//			fleet.NothingLost()
//		})
//	}
//
// What runs is the real thing: the engine, its scripts, its client. Only the server and the network are replaced, by ones in memory
// that can be cut, stalled, stopped and failed over. Inside a bubble of testing/synctest, which every test should use, time is
// virtual: the take-over above lasts some fifteen seconds by the clock of the test, and a few milliseconds by that of the machine.
// Outside a bubble everything works as well, in real time.
//
// # What is tested how
//
//   - A handler ([api.Handler]): [Handler]. A function for each stream: [Each].
//   - A feed of messages (package feed): [Feed], with [Fleet.Send] and [Fleet.HandledUpTo].
//   - Schedules (package schedule): [Schedule], with [Fleet.Put].
//   - A whole program that opens its engine itself: [Fleet.Go], which gives it the options of a client.
//
// Packages feedtest and scheduletest drive one handler or task without an engine, and package leasetest has a lease alone: they are
// for what depends on the handler only.
//
// # What is as in production, and what is not
//
// The server runs the scripts of the library, and its streams, sorted sets and expiry behave as Redis's do: the library's own tests
// run on both, and random histories are compared command by command. It is one server: Redis Cluster, Sentinel, TLS, access rules
// and memory limits need real servers. Nothing that a test measures in time says anything about the speed of Redis.
//
// A process is a set of goroutines, and a goroutine cannot be killed. [Process.Kill] cuts the process off, for good, and calls its
// handlers no more; one that runs at that moment goes on until it returns, and its context ends. [Process.Pause] holds back what the process
// sends and gets, and calls of its handlers.
package enginetest
