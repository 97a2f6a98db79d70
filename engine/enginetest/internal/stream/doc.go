// Package stream runs the stream commands of Redis in memory, with the replies of Redis 7.0 byte for byte: entries with their tombstones
// and nodes, consumer groups with what is pending, and the counters that a group's lag comes from.
//
// [Do] runs a command against a keyspace ([Keys]) that belongs to the caller, at a time that the caller says. Nothing here blocks,
// locks, or reads a clock. Files are named after the commands that they hold: add.go has XADD, XDEL and the like; claim.go has XCLAIM.
//
// An approximate trim removes what a server with the default sizes of nodes would remove: sizes are reckoned to the byte. Two things
// are not as there. XADD with ms-* on a full millisecond is refused with a text that in Redis depends on what failed before. And
// XAUTOCLAIM with a COUNT of billions never runs out of memory, unless no machine has so much.
//
// Later servers differ in what follows. From 7.2 on, XREADGROUP, XCLAIM and XAUTOCLAIM make and see a consumer even if it gets
// nothing, XINFO also says for how long a consumer has been inactive, and XSETID refuses an ID below the highest deleted one. Since 7.4,
// XREAD has the ID +, for the last entry. Redis 8 leaves trimmed entries out of the lag of a group that is behind them.
package stream
