package notice

import "time"

// sequence follows the numbers of notices, and recognizes when they begin again. It is passive, like the Tracker.
//
// Numbers rise, so one that is not greater than those before belongs to a notice that is repeated or late, or to a new
// sequence: a server that fails over may have lost count. Taking what is late for new costs a window that should not be there,
// which lengthens TTLs and holds off recovery for a while; taking what is new for late costs the streams that an announced
// outage then loses. Neither a lower number by itself tells the two apart, however much lower it is, nor another server (its
// run_id): a node that was just promoted, or moved to, repeats old notices like any other. Nor do several nodes that agree:
// after a cut they all repeat the same. What tells them apart is time.
//
//   - A server repeats old notices, of any age, when it is asked for notices, and never later.
//   - A node that announces later than others does so within late, on a connection that it has had all along: a connection
//     on which nothing arrives for 3 s is given up, and one that was held up, say by a pause of this process, counts as new.
//
// So what arrives on a connection that is older than late was sent just now, and was first sent by any node less than late
// ago. If its number was passed before that, it is of a new sequence. On a younger connection nothing shows that, and a number
// that is known is old, for as long as it is remembered.
//
// A new sequence is thus missed for late at most: after the last notice of the old one, and after a reconnection.
type sequence struct {
	passed     []passage // in order; the first may be older than late, the others are not
	generation int       // how often numbers have begun again
}

// passage is a number that the sequence reached, and when.
type passage struct {
	seq int64
	at  time.Time
}

const (
	// late is how long after its first sending a notice may arrive on a connection that is older than late.
	late = 30 * time.Second

	// passingGap is the shortest time between two entries of sequence.passed, which bounds them.
	passingGap = time.Second
)

// horizon is for how long what was seen may be repeated on a connection that was asked for notices at since.
func horizon(now, since time.Time) time.Duration {
	if now.Sub(since) < late {
		return remembered
	}
	return late
}

// take takes in a number that is not known, and reports whether numbers have begun again with it.
func (s *sequence) take(now, since time.Time, seq int64) (restarted bool) {
	if seq < 0 {
		return false
	}
	for len(s.passed) > 1 && now.Sub(s.passed[1].at) >= late {
		s.passed = s.passed[1:]
	}
	if len(s.passed) == 0 {
		s.passed = append(s.passed, passage{seq, now})
		return false
	}
	if first := s.passed[0]; seq <= first.seq && now.Sub(first.at) >= late && horizon(now, since) == late {
		s.passed = append(s.passed[:0], passage{seq, now})
		s.generation++
		return true
	}
	switch last := &s.passed[len(s.passed)-1]; {
	case seq <= last.seq:
	case now.Sub(last.at) < passingGap:
		last.seq = seq
	default:
		s.passed = append(s.passed, passage{seq, now})
	}
	return false
}
