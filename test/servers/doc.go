// Package servers starts private redis-server processes on free loopback ports, for tests, benchmarks and demos.
//
// A server reads no configuration file of the machine, listens on 127.0.0.1 only, keeps nothing on disk
// unless told to, and never outlives the process that started it: not when that process stops in good order,
// panics, exits early or is killed with SIGKILL. The one thing such a violent end may leave is a temporary directory.
//
// A [Cluster] is several of them that share the slots, a [Sentinel] a master with replicas and those who watch it; each of
// their servers can be killed, paused and restarted alone.
//
// A server can have a wall clock of its own, which is moved while it runs: [Options.OwnClock], [Server.SetClock].
//
// Tests call [New], [NewCluster] and [NewSentinel], everything else [Start], [StartCluster] and [StartSentinel].
package servers
