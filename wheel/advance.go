package wheel

// Advance moves the wheel's time to now, in nanoseconds, disarms every handle
// that is due by then, and replaces the contents of due with them. A time before
// that of an earlier call returns nothing and changes nothing.
func (w *Wheel) Advance(now int64, due *Due) {
	due.reset()
	target := w.floor(now)
	for {
		tick, ok := w.next()
		if !ok || tick > target {
			break
		}
		w.now = tick
		w.turn(due)
	}
	w.now = max(w.now, target)
	due.group()
}

// turn empties the slots that hold the current tick. Only slots that begin there
// can be occupied; the others were emptied when they began. What cascades goes to
// a lower level; level 0 comes last, since some of it may be due now.
func (w *Wheel) turn(due *Due) {
	for i := len(w.levels) - 1; i > 0; i-- {
		l := &w.levels[i]
		if slot := w.now >> l.shift & l.mask; l.occupied(slot) {
			w.cascade(i, slot)
		}
	}
	if slot := w.now & w.levels[0].mask; w.levels[0].occupied(slot) {
		w.expire(slot, due)
	}
}

// take empties a slot and returns the first nodes of its lanes.
func (w *Wheel) take(level int, slot int64) (first [lanes]link) {
	w.levels[level].clear(slot)
	heads := w.heads[(level<<w.slotBits|int(slot))<<laneBits:][:lanes]
	for i := range heads {
		first[i], heads[i] = heads[i], none
	}
	return first
}

// cascade and expire walk all lanes in step, so the loads of one lane do not wait
// for those of another.
func (w *Wheel) cascade(level int, slot int64) {
	at := w.take(level, slot)
	for left := true; left; {
		left = false
		for i, h := range at {
			if h == none {
				continue
			}
			left = true
			n := w.nodes.at(h)
			at[i] = n.next
			w.file(h, n)
		}
	}
}

func (w *Wheel) expire(slot int64, due *Due) {
	at := w.take(0, slot)
	for left := true; left; {
		left = false
		for i, h := range at {
			if h == none {
				continue
			}
			left = true
			n := w.nodes.at(h)
			at[i] = n.next
			// With a single level, the farthest slot is in level 0.
			if n.tick() > w.now {
				w.file(h, n)
				continue
			}
			n.prev = none
			w.armed--
			due.add(Handle(h), n.partition())
		}
	}
}
