// Package memory is a Redis server in memory, for engines under test: it runs their scripts, in virtual time too, and can be cut
// off, stopped and failed over.
//
// Clients reach it by [Link.Dial], over a pipe. Inside a bubble of testing/synctest everything that waits here waits durably, so
// time moves as soon as nobody has anything to do. Commands run one after the other, each at one moment of the bubble's clock.
//
// miniredis has connections, strings, hashes, sorted sets, expiry and Lua; the streams are those of package stream, which behave
// exactly as Redis's do. What is here besides is what miniredis lacks: blocking reads that end in virtual time, transactions
// over both, cmsgpack for scripts, INFO with the identity of a server, and replicas.
package memory
