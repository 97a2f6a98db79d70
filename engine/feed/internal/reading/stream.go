package reading

import "sync/atomic"

// stream is one that is read. There may be 100,000, so it is kept at 56 bytes, 64 with what Handle adds, besides its place in a map and in
// two lists.
type stream struct {
	source  Source
	removed atomic.Bool // set with Reader.mu held; looked at without before each call to source

	// What follows is guarded by Reader.mu.

	flags  flags
	state  state
	barren uint8   // rings in a row that brought nothing
	fails  uint8   // reads in a row that failed
	slot   uint16  // 0 where there are no slots
	mean   uint32  // mean memory of a message, in bytes; 0: none was read yet
	place  int32   // in roster.all
	timer  int32   // in timers; -1: none
	lane   *lane   // whose master has the slot, as far as is known
	next   *stream // in a queue
}

// state is what is happening to a stream.
//
//	  Add                     ring, sweep, Wake(true)
//	   │                   ┌──────────────────────────┐
//	   ▼                   │                          │
//	queued ──take──▶ reading ──Rest, nothing rang──▶ resting
//	 ▲ ▲ ▲             │ │ │
//	 │ │ └──Again, rang┘ │ └─Hold, or Next: not now─▶ held ──Wake──▶ queued if it was rung or now, else resting
//	 │ │                 └───After, errors──────────▶ waiting ──time, Wake(true)──▶ queued
//	 │ └────────────────────────────────────────────────┘
//	 └── a ring of a stream whose last rings brought nothing waits first
//
// A stream that is read is armed by that, so one that rests is armed. One that is held is armed until it is rung.
type state uint8

const (
	resting state = iota
	queued
	reading
	held
	waiting
	gone
)

// flags of a stream.
type flags uint8

const (
	rung   flags = 1 << iota // it was rung, and no read has begun since
	stale                    // it may not be armed: it must be read, although nothing rang
	asked                    // the read at hand answers a ring
	swept                    // the read at hand is one of the sweep
	more                     // the last page was full
	look                     // the next read that brings nothing is followed by a look
	woken                    // Wake was called while it was being read
	atOnce                   // that was Wake(true)
)

func (h *stream) is(f flags) bool { return h.flags&f != 0 }
func (h *stream) set(f flags)     { h.flags |= f }
func (h *stream) clear(f flags)   { h.flags &^= f }
