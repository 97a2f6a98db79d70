package lease

// renewalOverhead is what a lease weighs in a renewal besides its key and value: the lengths that are sent with them.
const renewalOverhead = 16

// weight returns the bytes that a renewal of the lease sends.
func (l *Lease) weight() int {
	return len(l.key) + len(l.tag) + len(l.session.consumer) + renewalOverhead
}

// Wave is a set of leases that are renewed together, in one round trip.
type Wave struct {
	Leases []*Lease
	Weight int   // bytes that the renewal sends
	Oldest int64 // when the first of them was due, on the clock; 0 if there are none
	Next   int64 // likewise, of the rest
}

// WaveLimit bounds a wave: Leases is a number of them, Weight one of bytes unless one lease alone has more.
type WaveLimit struct{ Leases, Weight int }

// lookFactor bounds how many leases NextWave looks at while the table is locked, in waves, so that nobody waits long.
const lookFactor = 4

// NextWave takes the next wave of a session out of a queue that Due has filled, and returns the rest. It drops leases for which a
// renewal is useless: removed from the table, of another session, or past their deadline. If many are dropped, the wave may be
// small although there is a rest; it is empty only if all were dropped, and then there is no rest.
//
// The order is that of the queue, roughly the order of deadlines, with one exception: leases that have less left than answer,
// the time that the last answer took, come after all others. Their renewal would most likely be answered too late. Sent first,
// it would make those behind it late too, until every answer is too late and the process loses everything it holds; sent last,
// it delays nobody, and saves what can be saved if the server has become quick again. If there are no others, they are sent:
// when a session has little left, so have all its leases.
//
// The queue is overwritten.
func (t *Table) NextWave(queue []*Lease, s *Session, now int64, answer int64, limit WaveLimit) (wave Wave, rest []*Lease) {
	f := filling{queue: queue, limit: limit}
	for f.kept == 0 && f.looked < len(queue) {
		t.fill(&f, s, now, answer)
	}
	wave, rest = f.wave, append(queue[f.looked:], f.late...)
	wave.Leases = queue[:f.kept:f.kept]
	if len(rest) > 0 {
		wave.Next = t.dueOf(rest[0])
	}
	return wave, rest
}

// dueOf returns when a lease is due.
func (t *Table) dueOf(l *Lease) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return l.due
}

// filling is a wave that is being filled. Leases that are kept move to the front of the queue, over those looked at.
type filling struct {
	wave         Wave
	limit        WaveLimit
	queue        []*Lease
	kept, looked int
	late         []*Lease // of those looked at
}

// fill looks at the next leases of the queue, a limited number, so that the table is not locked for long.
func (t *Table) fill(f *filling, s *Session, now int64, answer int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for end := min(len(f.queue), f.looked+lookFactor*f.limit.Leases); f.looked < end; f.looked++ {
		l := f.queue[f.looked]
		left := int64(0)
		if l.listed && l.session == s {
			left = int64(l.BelievedAt(now))
		}
		switch {
		case left == 0:
			l.queued = false
		case left < answer:
			f.late = append(f.late, l)
		case !f.add(l):
			return
		}
	}
	for f.looked == len(f.queue) && len(f.late) > 0 && f.add(f.late[0]) {
		f.late = f.late[1:]
	}
}

// add reports false if the wave has no room for a lease.
func (f *filling) add(l *Lease) bool {
	weight := l.weight()
	if f.kept == f.limit.Leases || f.kept > 0 && f.wave.Weight+weight > f.limit.Weight {
		return false
	}
	f.queue[f.kept] = l
	f.kept++
	f.wave.Weight += weight
	if f.wave.Oldest == 0 || l.due < f.wave.Oldest {
		f.wave.Oldest = l.due
	}
	return true
}
