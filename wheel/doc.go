// Package wheel keeps up to millions of deadlines: a hierarchical timing wheel
// over dense handles.
//
// Use it where one loop watches many deadlines that move often, as the engine
// does for its leases and engine/schedule for its ticks; for a few, package time
// is simpler. It can be used by itself. What an engine's own wheel looks like is
// set by a [Config], with engine.WithWheel; few need it ([docs/options.md]).
//
// The wheel is passive. It has no goroutine, no lock and no clock: time is an
// argument, an int64 of nanoseconds on the caller's monotonic axis. One
// goroutine owns a wheel; concurrent calls are a data race. In the steady state
// nothing allocates.
//
// A [Wheel] is made by [New] of a [Config]. A timer is a [Handle], which the
// caller chooses, and what became due is a [Due]:
//
//	w.Schedule(handle, partition, deadline)   // arms or moves
//	w.Advance(now, &due)                      // disarms what is due, fills due
//	for partition, handles := range due.Groups() { … }
//	at, ok := w.Next()                        // when to call Advance again
//
// The only error is that of a Config out of range, from New and
// [Config.Validate]; it matches no sentinel.
//
// # Geometry
//
// With S = 1<<SlotBits slots per level, R = 1<<StepBits and L = Levels, a slot of
// level k is R^k ticks wide, and level k reaches S·R^k ticks ahead. The default
// is S = 4096, R = 64, L = 3:
//
//	level   a slot is     the level reaches
//	0       1 tick        4,096 ticks       6.8 min at a tick of 100 ms
//	1       64 ticks      262,144 ticks     7.3 h
//	2       4,096 ticks   16,777,216 ticks  19.4 days
//
// A timer is filed in the lowest level that reaches its tick. When time reaches
// the first tick of a slot of level 1 or above, the slot cascades: its timers
// are filed again, lower down.
//
// Levels overlap, since R is smaller than S: level 1 begins to fill where level
// 0 ends, so each of its slots in use is a 64th of what level 0 reaches. This
// has two consequences.
//
//   - A cascade is small. Timers spread evenly over an interval longer than
//     level 0 put at most R/S of themselves, 1/64, into one slot of level 1. In
//     a wheel without overlap (R = S), the whole of level 0 is refilled in a
//     single tick, which takes tens of milliseconds with a million timers.
//   - A timer moves at most once as long as R^(L-1) <= S: then no slot is wider
//     than level 0, so what cascades lands in level 0.
//
// A slot's timers are distributed over four lists ("lanes") by handle. Walking a
// list waits for memory at each step; four interleaved walks wait at the same
// time.
//
// # Rounding
//
// Deadlines are rounded up to a tick, a multiple of Tick on the caller's axis,
// and Advance rounds its time down. So a timer is never early, and less than a
// tick late if the caller follows Next:
//
//	tick(at)  = max(ceil(at / Tick), current + 1)
//	due when    tick(at) <= floor(now / Tick)
//
// A deadline already past comes out at the next tick, not in the same call. A
// caller that must not be late by a tick includes the margin in the deadline.
//
// # Range
//
// The levels reach S·R^(L-1) ticks ahead. A deadline beyond that waits in the
// farthest slot and is filed again when that cascades, once for each range that
// it is away; it comes out on time like any other. (That keeps a wheel with only
// a few slots busy: configure the range that is needed.)
//
// Ticks are kept in 48 bits with a sign. At the smallest tick allowed, 1 ms, an
// int64 of nanoseconds needs 45, so the counter cannot wrap and no distance is
// too long. A deadline in the last, incomplete tick of the axis, such as
// math.MaxInt64, never comes out.
//
// # Order
//
// Advance processes one tick after the other, so within each partition handles
// come out in the order of their ticks. Within a tick there is no order.
//
// # Jumps, and clocks that go back
//
// After a pause, be it a minute or a day, one Advance returns everything that
// became due, each timer once. It hops from one occupied slot to the next with a
// bitmap per level, so empty time costs nothing. A time before the last one
// given changes nothing and returns nothing.
//
// A deadline that came out late may have lost its meaning: check the time before
// acting on it, and spread the timers that you arm again, or they stay in one
// tick.
//
// # Cost
//
// Schedule, Cancel and Deadline are O(1). Next reads L bitmaps of two levels.
// Advance costs O(L) for each occupied slot that it passes, O(1) for each timer
// that comes out or moves down, and one pass over what came out to group it by
// partition (none if there is only one partition).
//
//	memory = 16 B · handles in use, rounded up to pages of 256
//	       + 8 B · (largest handle / 256)          the directory of pages
//	       + 16 B · L·S                            heads of lists, 196 KB
//	       + 10 B · the most that came out at once, in Due
//	       + 4 B · largest partition, in Due
//
// Nodes are kept in pages rather than in one slice: a slice that doubles would
// need 32 B per timer just after it grew, and copy all of them in one tick.
// Pages are kept when timers go; handles should therefore be dense and reused.
//
// A handle says nothing about what it stands for. If one is reused while an
// operation for its former owner is still in progress, the caller must tell the
// two apart, for example with a generation next to the handle.
//
// # References
//
//   - G. Varghese, A. Lauck: Hashed and Hierarchical Timing Wheels, SOSP '87,
//     doi 10.1145/41457.37504: start, stop and tick in O(1).
//   - Linux, kernel/time/timer.c: levels that overlap, a slot being 8 slots of
//     the level below, a bitmap of pending slots. Linux does not cascade and lets
//     a far timer fire late by up to an eighth of its interval; this wheel
//     cascades once instead and stays exact.
//   - Apache Kafka, SystemTimer: a queue of occupied slots, so that empty ticks
//     cost nothing. Here the bitmap does that.
//   - tokio, runtime/time/wheel: one word of occupancy per level.
//
// [docs/options.md]: https://github.com/streamlease/streamlease/blob/main/docs/options.md
package wheel
