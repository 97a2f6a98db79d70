package balance_test

// Owners of streams that no process holds.
const (
	undelivered = int16(-1) // in an input stream
	putOff      = int16(-2) // recovered after a crash, and to come back some time later
	ended       = int16(-3)
)

// streams is what is known of each stream of a simulated fleet. Arrays of small numbers: there may be 1,000,000.
type streams struct {
	parts      int     // partitions
	owner      []int16 // number of its process, or one of the above
	since      []int32 // step in which it was taken, or requeued
	next, prev []int32 // in the list that it is in, -1: none
	moves      []uint16
	fresh      []bool // no process has held it yet
	leaving    []bool // its handler was told Releasing and has not ended
	free       []int32
}

// list is a list of streams in the order in which they came. Each stream is in one list at most.
type list struct {
	head, tail int32
	n          int
}

func newStreams(n, room, partitions int) *streams {
	total := n + room
	s := &streams{
		parts: partitions, owner: make([]int16, total), since: make([]int32, total), next: make([]int32, total),
		prev: make([]int32, total), moves: make([]uint16, total), fresh: make([]bool, total), leaving: make([]bool, total),
	}
	for i := n; i < total; i++ {
		s.owner[i] = ended
		s.free = append(s.free, int32(i))
	}
	return s
}

func (s *streams) partition(stream int32) int { return int(stream) % s.parts }

func (s *streams) push(l *list, stream int32) {
	s.next[stream], s.prev[stream] = -1, l.tail
	if l.n == 0 {
		l.head, s.prev[stream] = stream, -1
	} else {
		s.next[l.tail] = stream
	}
	l.tail = stream
	l.n++
}

func (s *streams) remove(l *list, stream int32) {
	before, after := s.prev[stream], s.next[stream]
	if before < 0 {
		l.head = after
	} else {
		s.next[before] = after
	}
	if after < 0 {
		l.tail = before
	} else {
		s.prev[after] = before
	}
	l.n--
}
