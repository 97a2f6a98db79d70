// Package twin holds the server in memory to a real one: whatever engines have the former run, a redis-server runs as well, in the
// same order and at the same microsecond, and all replies are compared.
//
// The real server's clock stands still between commands (servers.Server.FreezeClock), so keys expire, and IDs and idle times come
// about, exactly as in the bubble. Replies are compared byte for byte, except where Redis itself promises no order, and where the
// two cannot say the same: the version and process that HELLO and INFO tell of, and what the server in memory refuses on purpose.
//
// A read that waits is run on the real server when it is first looked at, without waiting, and again when it is answered. That is
// what a real server does with one: between the two nothing of it shows.
package twin
