package engine

import (
	"slices"
	"sync"
)

// Limits on the bytes of renewals that may be on their way at a time.
//
// A beat goes over the same connection as renewals, so it waits for the renewals that were written before it. It therefore waits for
// at most
//
//	(laneWeight + MaxInFlight * smallWave) / bandwidth + the time the server takes to run that + one round trip
//
// which with the defaults is for 1.5 MiB: 13 ms on a link of 1 Gbit/s, 126 ms on 100 Mbit/s, 1.3 s on 10 Mbit/s, and some 10 ms of
// the server. If a single lease's name is larger than laneWeight, its size takes the place of laneWeight. Where even this is too much
// for a link, waves that have no answer in time are halved, down to one lease.
const (
	// laneWeight is the maximum for all partitions of one master together.
	laneWeight = 1 << 20
	// waveWeight is the maximum for one partition: two waves keep a master busy while an answer travels.
	waveWeight = laneWeight / 2
	// smallWave is the maximum for a renewal that carries the beat and is sent regardless of what else is on its way: some 500 leases
	// with names of ordinary length. What a process sends in ordinary operation is below it.
	smallWave = 64 << 10
	// leastWave is where halving ends: it holds one lease, or some with short names.
	leastWave = 1 << 10
)

// inFlight limits the bytes of renewals that are on their way to each master. Partitions wait in a queue: the first is woken when
// there may be room, and none overtakes it.
type inFlight struct {
	wake func(partition int)

	mu struct {
		sync.Mutex
		lanes map[int]*lane // by number, those in use only
		waits []*lane       // by partition: in whose queue it waits; nil: in none
	}
}

// lane is what is on its way to one master, and which partitions wait.
type lane struct {
	number  int
	weight  int   // bytes on their way
	waiting []int // partitions, in the order in which they came
}

func newInFlight(partitions int, wake func(partition int)) *inFlight {
	f := &inFlight{wake: wake}
	f.mu.lanes = make(map[int]*lane)
	f.mu.waits = make([]*lane, partitions)
	return f
}

// reserve reserves room for a partition in a lane, which must be released. If there is none, it returns nil and the partition
// joins the lane's queue: it is woken when it is first, and then reserves again or leaves the queue.
func (f *inFlight) reserve(partition, number, weight int) *lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.mu.lanes[number]
	if l == nil {
		l = &lane{number: number}
		f.mu.lanes[number] = l
	}
	if was := f.mu.waits[partition]; was != l {
		f.leaveQueueLocked(partition)
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
	f.leaveQueueLocked(partition)
	return l
}

// release releases what reserve reserved.
func (f *inFlight) release(l *lane, weight int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.weight -= weight
	f.wakeLocked(l)
}

// leaveQueue takes a partition out of the queue that it waits in, if any: it has nothing to send any more.
func (f *inFlight) leaveQueue(partition int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaveQueueLocked(partition)
}

func (f *inFlight) leaveQueueLocked(partition int) {
	l := f.mu.waits[partition]
	if l == nil {
		return
	}
	f.mu.waits[partition] = nil
	l.waiting = slices.DeleteFunc(l.waiting, func(p int) bool { return p == partition })
	f.wakeLocked(l)
}

// wakeLocked wakes the partition that is first, which may find that there is not enough room yet, and deletes a lane that is not in
// use any more. It wakes with the mutex held (inFlight.mu → Queue.mu), so that no partition overtakes.
func (f *inFlight) wakeLocked(l *lane) {
	switch {
	case len(l.waiting) > 0:
		f.wake(l.waiting[0])
	case l.weight == 0:
		delete(f.mu.lanes, l.number)
	}
}
