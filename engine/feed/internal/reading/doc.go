// Package reading reads the streams that one process owns, 100,000 of them if need be, over one connection to each master. It knows
// no lease, no handler and no checkpoint: a [Source] says from where a stream is to be read, and what becomes of it.
//
// # The doorbell
//
// The connection tracks what is read through it (CLIENT TRACKING, default mode). Reading a stream arms it, whether it exists or not; the
// next write by anybody rings once and disarms it. Only streams that rang are read, many in one pipeline, which arms them again. A
// read and its arming are one step of the server, and rings and answers come in order on one connection. So nothing is lost as long as
//
//   - a stream that rests has been read since it was last rung: a ring while it is being read has it read once more;
//   - whatever was armed on a connection that ended is read again, and so is everything when a database is flushed: both are said
//     by a ring without a name, which does not tell the server, either;
//   - streams of a slot that has another master are read again ([Reader.Topology]): one that does not exist is not rung by moving.
//     The masters of slots are noted before anything is read from them;
//   - nothing but these reads uses the connection, and it has no NOLOOP and no OPTIN;
//   - the sweep reads each stream now and then, for what rings nothing: SWAPDB, an absent stream while its slot moves, the unforeseen.
//
// Where tracking is refused, or there is no RESP3, each stream is read at an interval.
//
// # Lanes
//
// Each master has its lane: a queue, two goroutines that read, one that looks at streams, a deadline for each call. A master that
// hangs keeps its own busy and no other. A stream has one call at a time, and goes to the back of the queue after each page, so one
// with a million messages waiting takes its turns. Errors are retried without limit, with growing delays; those that only somebody can
// mend who changes the key or the rights go to the source.
//
// Rings that bring nothing (a tracking table that is too small rings all the time) are answered later, from the third in a row of a stream
// on, and 2,000 a second of a lane at most. Sizes are known only once a message was read: a pipeline reserves at most an eighth of
// MaxBytes by what messages of a stream took so far, and its first stream passes with one message whatever there is. Of a stream of which
// nothing was read yet, one message is read. So memory may exceed MaxBytes by a message for each pipeline in flight, and by a page of a
// stream whose messages suddenly are larger than they were.
//
// # Looks
//
// An empty read of a stream that was deleted and began with lower IDs looks like one of a quiet stream. So a stream is looked at by a
// script after an empty first read, a ring that brought nothing (of many in a row, the first two and each eighth), a lost connection, a move,
// and in one of eight rounds of the sweep. It costs several times what a read costs, hence not each time; one that is at its start is
// first asked whether it exists, many of them in one command, and those that do not are not looked at by the script.
//
// # Together
//
// What is read although nothing rang (the first time, after a reconnect, by the sweep) is read with others by one XREAD, which costs a server
// a fraction of as many commands. Not in a cluster, where each has a slot of its own, and not where a server or a proxy refuses it. An
// error does not say whose it is, so each of them is then read alone.
//
// # Limits
//
// A slot that moves away and comes back before anybody calls Topology is for the sweep. A connection on which nothing arrives in full
// for about two seconds is taken for dead (ConnWriteTimeout and the client's PING), so a message must be transferred in less:
// 64 MB need 300 Mbit/s.
//
// What is read when is decided by passive parts that know no clock (roster, lane, timers, sweep, budget); they are held against a model.
// Everything in them is guarded by one mutex, Reader.mu, which is held for no call to a source or a server.
package reading
