// Package memory is a Redis server in memory, for engines under test: it runs their scripts, in virtual time too, and can be cut
// off, stopped and failed over.
//
// Clients reach it by [Link.Dial], over a pipe, or by TCP through [Server.Serve]. Inside a bubble of testing/synctest everything
// that waits here waits durably, so time moves as soon as nobody has anything to do. Commands run one after the other, each at one
// moment of the clock, and clients that wait are served in the order in which they came.
//
// The streams are those of package stream, which behave exactly as Redis's do. miniredis has strings, hashes, lists and sets, and
// knows the keys of all types; gopher-lua runs scripts. What is here besides:
//
//   - conn, protocol, transaction, wait, pubsub: what belongs to a connection. A command that waits holds nothing meanwhile.
//   - commands, server commands, dataset: which command is run by whom.
//   - expiry: deadlines are kept in a heap. miniredis would look at every key each time its clock moves.
//   - script, luavalue, msgpack: scripts, in one Lua state as in Redis, with the errors of Redis.
//
// It claims to be Redis 7.0.15, has one database and one user, and refuses what it does not do as Redis would.
package memory
