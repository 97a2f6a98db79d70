// Package stream runs the stream commands of Redis in memory, with the replies of Redis 7.0 byte for byte: the queue of entries with
// its tombstones and nodes, consumer groups with their pending entries, and the counters from which a group's lag is told.
//
// [Do] runs a command against a keyspace ([Keys]) that belongs to the caller, at a time that the caller says. Nothing here blocks,
// locks, or reads a clock. Files are named after the commands that they hold: add.go has XADD, XDEL and the like; claim.go has XCLAIM.
package stream
