package engine

import (
	"slices"
	"sync"
)

// Bytes of renewals that may be on their way at a time.
//
// A beat goes over the same connection as renewals, so what a renewal has put there goes first. A beat therefore waits for
// at most
//
//	(laneWeight + MaxInFlight * smallWave) / bandwidth + what its server takes to run that + one round trip
//
// which with the defaults is 1.5 MiB: 13 ms on a link of 1 Gbit/s, 126 ms on 100 Mbit/s, 1.3 s on 10 Mbit/s, and some 10 ms of
// the server. One lease whose name is larger than laneWeight takes the place of that. Where even this is too much for a
// link, waves that have no answer in time are halved, down to one lease.
const (
	// laneWeight is the most of all partitions of one master together.
	laneWeight = 1 << 20
	// waveWeight is the most of one partition: two of them keep a master busy while an answer travels.
	waveWeight = laneWeight / 2
	// smallWave is what a renewal may weigh to carry the beat, and to be sent whatever else is on its way: some 500 leases
	// with names of ordinary length. What a process sends in ordinary operation is below it.
	smallWave = 64 << 10
	// leastWave is where halving ends: it holds one lease, or some with short names.
	leastWave = 1 << 10
)

// inFlight bounds the bytes of renewals that are on their way to each master. Partitions take turns: one that got no room is
// woken when there is some, and nobody overtakes it.
type inFlight struct {
	wake func(partition int)

	mu struct {
		sync.Mutex
		lanes map[int]*lane // by number; those that are in use
		waits []*lane       // by partition: where it waits, nil for nowhere
	}
}

// lane is what is on its way to one master, and who waits.
type lane struct {
	number  int
	weight  int
	waiting []int // partitions, the first come first
}

func newInFlight(partitions int, wake func(partition int)) *inFlight {
	f := &inFlight{wake: wake}
	f.mu.lanes = make(map[int]*lane)
	f.mu.waits = make([]*lane, partitions)
	return f
}

// enter takes room for a partition, which must be given back by leave. Without room it returns nil, and the partition is
// woken when its turn has come; it then enters, or gives the turn up.
func (f *inFlight) enter(partition, number, weight int) *lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.mu.lanes[number]
	if l == nil {
		l = &lane{number: number}
		f.mu.lanes[number] = l
	}
	if was := f.mu.waits[partition]; was != l {
		f.giveUpLocked(partition)
	}
	first := len(l.waiting) == 0 || l.waiting[0] == partition
	if !first || l.weight > 0 && l.weight+weight > laneWeight {
		if f.mu.waits[partition] == nil {
			l.waiting = append(l.waiting, partition)
			f.mu.waits[partition] = l
		}
		return nil
	}
	l.weight += weight
	f.giveUpLocked(partition)
	return l
}

// leave gives room back.
func (f *inFlight) leave(l *lane, weight int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.weight -= weight
	f.nextLocked(l)
}

// giveUp ends the waiting of a partition that has nothing to send any more.
func (f *inFlight) giveUp(partition int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.giveUpLocked(partition)
}

func (f *inFlight) giveUpLocked(partition int) {
	l := f.mu.waits[partition]
	if l == nil {
		return
	}
	f.mu.waits[partition] = nil
	l.waiting = slices.DeleteFunc(l.waiting, func(p int) bool { return p == partition })
	f.nextLocked(l)
}

// nextLocked wakes who is first, which may find that there is not enough room yet, and forgets a lane that nobody uses.
func (f *inFlight) nextLocked(l *lane) {
	switch {
	case len(l.waiting) > 0:
		f.wake(l.waiting[0])
	case l.weight == 0:
		delete(f.mu.lanes, l.number)
	}
}
