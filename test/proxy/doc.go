// Package proxy stands between one Redis server and its clients in fault tests: it can stall, cut, delay or throttle all
// connections, and strike single commands, by script name too, before or after they ran.
//
// It reads whole requests and replies and matches them in order, so a fault hits the reply of the very command it names
// however deep the pipeline. Pushes (pub/sub messages, invalidations, maintenance notices) are not replies and pass
// through. Sharded and plain pub/sub work in RESP2 and RESP3. Commands after which replies no longer follow requests one to
// one are refused with an error: MONITOR, SYNC, PSYNC and CLIENT REPLY.
//
// Each connection has four goroutines: one reads requests, one forwards them, one reads replies, one hands them on. They
// end with the connection; Stop ends all and waits for them.
//
// What has reached the proxy counts as sent: when a client hangs up during a stall or a delay, its requests still
// arrive at the server afterwards, as late as packets from a network that healed. Only Cut, Stop and the faults that cut
// throw away what is under way.
package proxy
