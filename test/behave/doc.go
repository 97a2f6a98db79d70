// Package behave tests what an engine does on real servers, through the public API alone. Each test is named after what it
// shows, and looks at the servers themselves at the end.
//
// All tests run on each kind of servers in turn: the installed Redis, Redis 8, Valkey 8, a cluster with one partition and with
// sixteen, and a master watched by sentinels. Only backend_test.go knows the difference. Five slow tests run on the first kind
// only. STREAMLEASE_BEHAVE_ON=cluster-16,sentinel chooses kinds, STREAMLEASE_BEHAVE_ALL=1 runs everything on each.
package behave
