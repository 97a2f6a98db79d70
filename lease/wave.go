package lease

// renewalOverhead is what a lease weighs in a renewal beyond its key and value: the lengths that go along.
const renewalOverhead = 16

// weight is what a renewal of the lease sends, in bytes.
func (l *Lease) weight() int {
	return len(l.key) + len(l.tag) + len(l.session.consumer) + renewalOverhead
}

// Wave is leases that are renewed together, in one round trip.
type Wave struct {
	Leases []*Lease
	Weight int   // bytes that the renewal sends
	Oldest int64 // when the first of them was due, on the clock's axis; 0 when there are none
	Next   int64 // likewise, of the rest
}

// WaveLimit bounds a wave: leases, and bytes unless one lease alone has more.
type WaveLimit struct{ Leases, Weight int }

// lookFactor bounds how many leases NextWave looks at, in waves, so that the table is not locked for long.
const lookFactor = 4

// NextWave takes the next wave of a session out of a queue that Due has filled, and returns the rest. Leases of which no
// renewal is of use are dropped: taken off the table meanwhile, of another session, or past their deadline. Where very
// many are dropped, the wave may be small or empty though there is a rest.
//
// The order is that of the queue, which is about the order of deadlines, with one exception: leases with less than answer
// left, which is how long the last answer took, come after all others. Their renewal would most likely be answered too
// late. Sent first, it would make those behind it late too, until every answer is too late and the process loses all that
// it holds; sent last, it costs nobody anything, and saves what can be saved when the server has become quick again.
//
// The queue is overwritten.
func (t *Table) NextWave(queue []*Lease, s *Session, now int64, answer int64, limit WaveLimit) (wave Wave, rest []*Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var late []*Lease
	kept, looked := 0, 0
	add := func(l *Lease) bool {
		weight := l.weight()
		if kept == limit.Leases || kept > 0 && wave.Weight+weight > limit.Weight {
			return false
		}
		queue[kept] = l
		kept++
		wave.Weight += weight
		if wave.Oldest == 0 || l.due < wave.Oldest {
			wave.Oldest = l.due
		}
		return true
	}
	for ; looked < min(len(queue), lookFactor*limit.Leases); looked++ {
		l := queue[looked]
		left := int64(0)
		if l.listed && l.session == s {
			left = int64(l.BelievedAt(now))
		}
		if left == 0 {
			l.queued = false
			continue
		}
		if left < answer {
			late = append(late, l)
			continue
		}
		if !add(l) {
			break
		}
	}
	rest = queue[looked:]
	for len(late) > 0 && len(rest) == 0 && add(late[0]) {
		late = late[1:]
	}
	wave.Leases = queue[:kept:kept]
	if rest = append(rest, late...); len(rest) > 0 {
		wave.Next = rest[0].due
	}
	return wave, rest
}
