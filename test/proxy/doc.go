// Package proxy stands between one Redis server and its clients in fault tests. It can stall, cut, delay or throttle all
// connections, and strike single commands, also by script name, before or after they run.
//
// It reads whole requests and replies and matches them in order, so a fault hits the reply of exactly the command it names,
// however deep the pipeline is. Pushes (pub/sub messages, invalidations, maintenance notices) are not replies and pass through.
// Sharded and plain pub/sub work in RESP2 and RESP3. Commands after which replies no longer correspond to requests one to one are
// refused with an error: MONITOR, SYNC, PSYNC and CLIENT REPLY.
//
// Each connection has four goroutines: one reads requests, one forwards them, one reads replies, one passes them on. They end
// with the connection; Stop ends all of them and waits.
//
// What has reached the proxy counts as sent: if a client hangs up during a stall or a delay, its requests still arrive at the
// server later, like packets from a network that recovers. Only Cut, Stop and the faults that cut drop what is under way.
package proxy
