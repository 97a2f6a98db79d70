package reading

// regroup puts each stream into the lane of the master that serves its slot now. Those whose slot has another master than when it was last
// looked are read again, since what they were armed at may not hear of them any more: an absent stream is never rung by a slot that
// moves. The masters of slots were noted before anything in them was read, so a slot that moved while it was being read is seen.
func (r *roster) regroup(t int64) (moved int) {
	changed := false
	for slot, before := range r.slots {
		if before == nil {
			continue
		}
		if addr := r.master(uint16(slot)); addr != before.addr {
			r.slots[slot] = r.laneAt(addr)
			changed = true
		}
	}
	if !changed {
		return 0
	}
	for _, h := range r.all {
		if l := r.slots[h.slot]; l != h.lane {
			r.migrate(h, l, t)
			moved++
		}
	}
	r.retire()
	return moved
}

// migrate moves a stream to another lane. It may be in a queue of the old one, which passes it on.
func (r *roster) migrate(h *stream, l *lane, t int64) {
	h.lane.members--
	h.lane = l
	l.members++
	h.set(look)
	switch h.state {
	case resting:
		r.queue(h, false)
	case reading, held, waiting:
		h.set(stale)
	case queued, gone:
	}
}

// retire ends lanes that have no streams: addresses come and go for years.
func (r *roster) retire() {
	for addr, l := range r.lanes {
		if l.members > 0 {
			continue
		}
		for _, q := range []*fifo{&l.hot, &l.cold} {
			for h := q.pop(); h != nil; h = q.pop() {
				if h.state == queued {
					r.queue(h, h.is(rung|more))
				}
			}
		}
		delete(r.lanes, addr)
		for slot, of := range r.slots {
			if of == l {
				r.slots[slot] = nil
			}
		}
		l.ended = true
		r.woke(l)
	}
}
