package lease

// What is renewed before its time because of what happened, or may have happened, to its server.

// Hasten makes leases of a session due earlier, at the times that at returns; leases for which at reports false are left alone.
// It returns how many it made due. at runs with the table locked and must be quick.
func (t *Table) Hasten(s *Session, at func(*Lease) (int64, bool)) (count int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.ofLocked(s) {
		if due, ok := at(l); ok && due < l.due {
			l.due = due
			t.mu.wheel.Schedule(l.handle, uint16(l.Partition()), due)
			count++
		}
	}
	return count
}

// MakeAllDue makes the leases of all sessions due at at.
func (t *Table) MakeAllDue(at int64) {
	for from := 0; t.makeDue(from, at); from += passChunk {
	}
}

// passChunk is how many leases a pass over the table visits before others get the lock: it takes a millisecond at most.
const passChunk = 8192

// makeDue makes the leases of the next passChunk handles due, and reports whether there are more.
func (t *Table) makeDue(from int, at int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := min(from+passChunk, len(t.mu.byHandle))
	for _, l := range t.mu.byHandle[min(from, end):end] {
		if l != nil {
			t.dueLocked(l, at)
		}
	}
	return end < len(t.mu.byHandle)
}

// Distrust notes that the server of a session's partition has changed, and may have forgotten its leases: it caps the deadlines of
// all at until, and makes them due at at. They are not confirmed until Renewed is called for them.
func (t *Table) Distrust(s *Session, until, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	set, count := &t.mu.sets[s.partition], uint64(0)
	for l := range t.ofLocked(s) {
		l.Cap(until)
		t.dueLocked(l, at)
		count++
	}
	if count == set.listed.GetCardinality() { // nearly always
		set.unconfirmed.Or(&set.listed)
		return
	}
	for l := range t.ofLocked(s) {
		set.unconfirmed.Add(uint32(l.handle))
	}
}

// DueNow makes leases due at at.
func (t *Table) DueNow(leases []*Lease, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range leases {
		if l.listed {
			t.dueLocked(l, at)
		}
	}
}

// DistrustOne is Distrust for one lease that was listed while its server changed.
func (t *Table) DistrustOne(l *Lease, until, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.listed {
		l.Cap(until)
		t.mu.sets[l.Partition()].unconfirmed.Add(uint32(l.handle))
		t.dueLocked(l, at)
	}
}

// dueLocked makes a lease due at at. One that is late stays late.
func (t *Table) dueLocked(l *Lease, at int64) {
	l.due = min(l.due, at)
	t.mu.wheel.Schedule(l.handle, uint16(l.Partition()), at)
}

// Unconfirmed copies into out the number of leases of each partition that are not confirmed.
func (t *Table) Unconfirmed(out []int) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	out = out[:0]
	for p := range t.mu.sets {
		out = append(out, int(t.mu.sets[p].unconfirmed.GetCardinality()))
	}
	return out
}

// SplitUnconfirmed divides leases that a server which settles does not have into those that it may have forgotten and those that it
// had: it confirmed them, so they were deleted. One that was never renewed was acquired before the change, since nothing is acquired
// while a server settles; it may be on its way to DistrustOne. What is not listed any more is left out.
func (t *Table) SplitUnconfirmed(missing []*Lease) (forgotten, deleted []*Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range missing {
		switch {
		case !l.listed:
		case !l.renewed || t.mu.sets[l.Partition()].unconfirmed.Contains(uint32(l.handle)):
			forgotten = append(forgotten, l)
		default:
			deleted = append(deleted, l)
		}
	}
	return forgotten, deleted
}

// DoubtCheckpoints has the checkpoints of all leases of a session stored again, since the server may have forgotten them.
func (t *Table) DoubtCheckpoints(s *Session) {
	for l := range t.Of(s) {
		l.Doubt()
	}
}
