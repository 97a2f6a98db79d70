// Package behave says what an engine does on real servers: tests through the public API alone, each named after what it
// shows, which look at the servers themselves at the end.
//
// All of them run on one kind of servers after the other: Redis as the system has it, Redis 8, Valkey 8, a cluster with one
// partition and with sixteen, and a master watched by sentinels. What knows of these is backend_test.go. Three tests that take
// long run on the first kind only. STREAMLEASE_BEHAVE_ON=cluster-16,sentinel chooses kinds, STREAMLEASE_BEHAVE_ALL=1 runs everything on each.
package behave
