package reading

import "math"

// roster is what is known of all streams, and what is to be read when. It starts nothing, waits for nothing and knows no clock: each
// method has the time, in ns since some moment, as an argument. All of it is guarded by Reader.mu.
type roster struct {
	streams map[string]*stream
	all     []*stream // in the order of the sweep; what was passed in this round comes first
	waiting timers
	sweep   sweep
	lanes   map[string]*lane
	slots   []*lane // the lane of each slot, as when its first stream was added or Topology last looked; nil: not needed yet

	epoch   uint64 // rises whenever a connection may have been lost: what was read before may not be armed
	polling bool

	master  func(slot uint16) string
	newLane func(addr string) *lane
	count   func(c Counter, n int)
	random  func() float64
	woke    func(l *lane) // the lane has something to do
}

// lookEvery is how many rounds of the sweep pass until each stream was looked at once, and how many further rings for nothing until it is looked at
// again. A look costs a server several times what an empty read costs.
const lookEvery = 8

// add queues a stream for its first read. One of the same name is removed.
func (r *roster) add(h *stream, name string) {
	if old := r.streams[name]; old != nil {
		old.removed.Store(true)
		r.remove(old)
	}
	r.streams[name] = h
	h.place = int32(len(r.all))
	r.all = append(r.all, h)
	h.timer = -1
	h.lane = r.laneOf(h.slot)
	h.lane.members++
	h.set(look)
	r.queue(h, false)
}

// remove forgets a stream. Queues drop it when its turn comes.
func (r *roster) remove(h *stream) {
	if h.state == gone {
		return
	}
	h.state = gone
	h.lane.members--
	r.waiting.remove(h)
	if name := h.source.Stream(); r.streams[name] == h {
		delete(r.streams, name)
	}
	r.dropPlace(h)
}

// dropPlace closes the gap that a stream leaves in the order of the sweep, and keeps what was passed apart from what was not.
func (r *roster) dropPlace(h *stream) {
	at, last := int(h.place), len(r.all)-1
	if at < r.sweep.cursor {
		r.sweep.cursor--
		r.move(r.sweep.cursor, at)
		at = r.sweep.cursor
	}
	if at != last { // else the last one may have just been moved from there
		r.move(last, at)
	}
	r.all[last] = nil
	r.all = r.all[:last]
}

func (r *roster) move(from, to int) {
	r.all[to] = r.all[from]
	r.all[to].place = int32(to)
}

// laneOf returns the lane of a slot, with the master that had it when it was first asked for.
func (r *roster) laneOf(slot uint16) *lane {
	if l := r.slots[slot]; l != nil {
		return l
	}
	l := r.laneAt(r.master(slot))
	r.slots[slot] = l
	return l
}

func (r *roster) laneAt(addr string) *lane {
	l := r.lanes[addr]
	if l == nil {
		l = r.newLane(addr)
		r.lanes[addr] = l
	}
	return l
}

// queue puts a stream at the end of a queue of its lane.
func (r *roster) queue(h *stream, hot bool) {
	h.state = queued
	if hot {
		h.lane.hot.push(h)
	} else {
		h.lane.cold.push(h)
	}
	r.woke(h.lane)
}

func (r *roster) wait(h *stream, due int64) {
	h.state = waiting
	r.waiting.add(h, due)
}

// ring takes in that a stream was written to, and reports whether it is read here.
func (r *roster) ring(name string, now int64) bool {
	h := r.streams[name]
	if h == nil {
		return false
	}
	h.set(rung)
	if h.state == resting {
		r.answer(h, now)
	}
	return true
}

// answer has a stream read that was rung: at once, or later if that has brought nothing several times in a row.
func (r *roster) answer(h *stream, now int64) {
	if h.barren < barrenAt || !h.is(rung) {
		r.queue(h, true)
		return
	}
	r.count(Backoffs, 1)
	slot := max(h.lane.paced, now)
	h.lane.paced = slot + pacedGap
	due := max(slot, now+barrenDelay(h.barren))
	r.wait(h, (due+pacedStep-1)/pacedStep*pacedStep)
}

// wake does what Handle.Wake says.
func (r *roster) wake(h *stream, at bool, t int64) {
	switch h.state {
	case reading:
		h.set(woken)
		if at {
			h.set(atOnce)
		}
	case held:
		r.release(h, at, t)
	case resting:
		if at {
			r.queue(h, true)
		}
	case waiting:
		if at {
			r.waiting.remove(h)
			r.queue(h, true)
		}
	case queued, gone:
	}
}

// release ends Hold.
func (r *roster) release(h *stream, at bool, t int64) {
	switch {
	case at:
		r.queue(h, true)
	case h.is(rung | stale):
		r.answer(h, t)
	default:
		h.state = resting
	}
}

// turn is a stream whose turn it is, with what was known of it then.
type turn struct {
	h    *stream
	rung bool // it answers a ring
	more bool // the last page was full
	// alone: its last read failed, so it shares no command
	alone bool
}

// take returns the next streams of a lane to read, up to a number, and marks them. hold is storage for them.
func (r *roster) take(l *lane, most int, hold []turn) []turn {
	for nth := 0; len(hold) < most; nth++ {
		h := l.pop(nth)
		if h == nil {
			return hold
		}
		if h.state != queued {
			continue // removed
		}
		if h.lane != l { // moved while it was queued
			r.queue(h, h.is(rung|more))
			continue
		}
		h.state = reading
		if h.is(rung) {
			h.set(asked)
		}
		h.clear(rung | stale | woken | atOnce)
		hold = append(hold, turn{h, h.is(asked), h.is(more), h.fails > 0})
	}
	return hold
}

// untake puts back a stream that found no room, to the front.
func (r *roster) untake(h *stream, from *lane) {
	if h.state == gone {
		return
	}
	r.unread(h)
	h.state = queued
	if h.lane.hot.unpop(h); h.is(woken) {
		h.clear(woken | atOnce)
	}
	if h.lane != from { // moved meanwhile: nobody of its lane knows yet
		r.woke(h.lane)
	}
}

// unread makes as if no read had begun.
func (r *roster) unread(h *stream) {
	if h.is(asked) {
		h.set(rung)
	} else {
		h.set(stale)
	}
	h.clear(asked)
}

// postpone leaves a stream alone whose source said: not now.
func (r *roster) postpone(h *stream, t int64) {
	if h.state == gone {
		return
	}
	r.unread(h)
	h.clear(swept)
	r.hold(h, t)
}

// hold leaves a stream alone until it is woken, unless it has been woken already.
func (r *roster) hold(h *stream, t int64) {
	h.state = held
	if h.is(woken) {
		at := h.is(atOnce)
		h.clear(woken | atOnce)
		r.release(h, at, t)
	}
}

// arrived takes in that a read has succeeded, with that many messages. It reports whether the stream must be looked at before its source
// is asked what becomes of it.
func (r *roster) arrived(h *stream, messages int, full bool, epoch uint64) bool {
	h.fails = 0
	if messages > 0 {
		if h.is(swept) && !h.is(asked|rung) && !r.polling && epoch == r.epoch {
			r.count(SweepFound, 1)
		}
		h.barren = 0
		h.clear(more | look)
		if full {
			h.set(more)
		}
		return false
	}
	h.clear(more)
	if h.is(asked) {
		if h.barren++; h.barren == math.MaxUint8 {
			h.barren -= lookEvery // it goes on counting, for the looks
		}
		if h.barren <= barrenAt || h.barren%lookEvery == 0 {
			h.set(look)
		}
	}
	return h.is(look)
}

// settle does what a source said after a read that began in an epoch.
func (r *roster) settle(h *stream, then Then, epoch uint64, t int64) {
	if h.state == gone {
		return
	}
	h.clear(asked | swept)
	if epoch != r.epoch {
		h.set(stale | look)
	}
	switch at := h.is(atOnce); {
	case then == Hold:
		r.hold(h, t)
	case at || then == Again:
		r.queue(h, true)
	case then > 0:
		r.wait(h, t+int64(then))
	case h.is(rung | stale):
		r.answer(h, t)
	default:
		h.state = resting
	}
	if h.state != held {
		h.clear(woken | atOnce)
	}
}

// failed repeats a read, or a look, that has failed: at the end of the queue if its master was not reached, since the lane then pauses, and
// after some time otherwise.
func (r *roster) failed(h *stream, unreached bool, t int64) {
	r.count(Failures, 1)
	if h.state == gone {
		return
	}
	r.unread(h)
	h.clear(woken | atOnce | swept)
	h.fails += min(1, math.MaxUint8-h.fails)
	if unreached {
		r.queue(h, h.is(rung|more))
		return
	}
	r.wait(h, t+int64(failureDelays.Delay(int(h.fails), r.random())))
}

// lost takes in that a connection was lost, or a database flushed: no stream may be armed.
func (r *roster) lost(t int64) {
	r.epoch++
	r.sweep.hurry(t)
	r.count(Reconnects, 1)
}

// tick does what is due, and returns when to come again.
func (r *roster) tick(t int64) (next int64) {
	for h := r.waiting.expire(t); h != nil; h = r.waiting.expire(t) {
		r.queue(h, h.barren < barrenAt || !h.is(rung))
	}
	for n := r.sweep.due(t, len(r.all)); n > 0; n = r.sweep.due(t, len(r.all)) {
		for range n {
			h := r.all[r.sweep.cursor]
			r.sweep.cursor++
			r.pass(h)
		}
	}
	return min(r.waiting.next(), r.sweep.next(t, len(r.all)))
}

// pass is the sweep's step for one stream.
func (r *roster) pass(h *stream) {
	if r.sweep.fast {
		h.set(look)
		if h.state != resting {
			h.set(stale)
			return
		}
	} else if h.state != resting {
		return // it is read without the sweep
	} else if (uint32(h.place)+r.sweep.round)%lookEvery == 0 {
		h.set(look)
	}
	h.set(swept)
	r.queue(h, false)
}
