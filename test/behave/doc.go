// Package behave tests what an engine does on real servers, through the public API alone. Each test is named after what it
// shows, and looks at the servers themselves at the end.
//
// All tests run on the installed Redis, and on each other kind of servers in turn what that kind may change: Redis 8, Valkey 8, a
// cluster with one partition and with sixteen, and a master watched by sentinels. Only backend_test.go knows the difference.
// STREAMLEASE_BEHAVE_ON=cluster-16,sentinel chooses kinds. STREAMLEASE_BEHAVE_ALL=1 runs everything on each, and so do names for -run.
package behave
