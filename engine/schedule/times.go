package schedule

import (
	"sync/atomic"
	"time"
)

const (
	// timesEvery is how often the clocks of the servers are looked at.
	timesEvery = time.Second
	timesSoon  = 20 * time.Millisecond

	// step is by how much the clock of a server may differ from what timers were filed by.
	step = 100 * time.Millisecond
)

// times is what the servers of the partitions have as their time. The loop writes, anybody reads.
type times struct {
	epoch  time.Time
	server func(partition int) (now time.Time, known bool)
	parts  []partTime
}

type partTime struct {
	known  atomic.Bool
	offset atomic.Int64 // ns from the loop's clock to the server's
	filed  int64        // the offset by which the timers were filed
}

func newTimes(server func(int) (time.Time, bool), partitions int) *times {
	return &times{epoch: time.Now(), server: server, parts: make([]partTime, partitions)}
}

// mono is the loop's clock: nanoseconds since it was made.
func (t *times) mono() int64 { return int64(time.Since(t.epoch)) }

// now is the time of a partition's server, ms. It is known once look has said so.
func (t *times) now(p int) (ms int64, known bool) {
	x := &t.parts[p]
	if !x.known.Load() {
		return 0, false
	}
	return (t.mono() + x.offset.Load()) / int64(time.Millisecond), true
}

// at is when a server's clock shows a time, on the loop's clock.
func (t *times) at(p int, ms int64) int64 {
	const most = int64(1<<62) / int64(time.Millisecond)
	return min(ms, most)*int64(time.Millisecond) - t.parts[p].offset.Load()
}

// change is what look has found.
type change uint8

const (
	asBefore change = iota
	becameKnown
	stepped
)

// look takes in what is known of a partition's server.
func (t *times) look(p int) change {
	server, known := t.server(p)
	if !known {
		return asBefore
	}
	x := &t.parts[p]
	offset := server.UnixNano() - t.mono()
	x.offset.Store(offset)
	switch drift := time.Duration(offset - x.filed); {
	case !x.known.Load():
		x.filed = offset
		x.known.Store(true)
		return becameKnown
	case drift > step, drift < -step:
		x.filed = offset
		return stepped
	}
	return asBefore
}

// lookAll looks at all partitions. changed says of which the timers are to be filed again, nil if of none; steps are those whose
// clock was another one before. next is how long that lasts: less where a clock is not known yet, as in the first moments.
func (t *times) lookAll() (changed []bool, steps []int, next time.Duration) {
	next = timesEvery
	for p := range t.parts {
		found := t.look(p)
		if !t.parts[p].known.Load() {
			next = timesSoon
		}
		if found == asBefore {
			continue
		}
		if found == stepped {
			steps = append(steps, p)
		}
		if changed == nil {
			changed = make([]bool, len(t.parts))
		}
		changed[p] = true
	}
	return changed, steps, next
}
