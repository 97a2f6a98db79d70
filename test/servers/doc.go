// Package servers starts private redis-server processes on free loopback ports, for tests, benchmarks and demos.
//
// A server reads no configuration file of the machine, listens on 127.0.0.1 only, keeps nothing on disk unless configured to, and
// never outlives the process that started it, even if that process panics, exits early or is killed with SIGKILL. A violent end
// may leave a temporary directory, and nothing else.
//
// A [Cluster] is several servers that share the slots, a [Sentinel] is a master with replicas and the sentinels that watch it. Each
// of their servers can be killed, paused and restarted alone. A server can have its own wall clock, which can be moved while it
// runs: [Options.OwnClock], [Server.SetClock].
//
// Tests call [New], [NewCluster] and [NewSentinel], other code [Start], [StartCluster] and [StartSentinel].
package servers
