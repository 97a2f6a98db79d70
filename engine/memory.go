package engine

import (
	"sync"

	"github.com/streamlease/streamlease/lease"
)

// reading bounds the bytes of what was read and has no place yet, over all partitions: what is being taken in, and what
// errands hold. Servers deliver by number and not by weight, so what is there may be more than that by what one look brings
// unforeseen; then nothing more is read.
//
// Half of it is shared out evenly: each partition has that much whatever the others hold, so that one whose server takes
// nothing, or refuses what it is asked to move, stops no other. The rest is for whoever needs it. Partitions of one master
// take no more of that than they leave to those of others.
type reading struct {
	lane func(partition int) int
	keep int // of each partition by itself

	mu struct {
		sync.Mutex
		most, used int
		held       []int   // of used, by partition
		waits      []int64 // since when the reader of a partition waits for some of that to find its place; 0: it does not
	}
}

// leastReading is what there must be room for, in bytes, for a read to be worth it; with very many partitions half of what
// each has by itself.
const leastReading = 256 << 10

func (r *reading) init(most, partitions int, lane func(partition int) int) {
	r.lane = lane
	r.keep = most / 2 / partitions
	r.mu.most = most
	r.mu.held = make([]int, partitions)
	r.mu.waits = make([]int64, partitions)
}

// full reports whether there is no room for a read of a partition.
func (r *reading) full(partition int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Many ask who wait for something else: they have what they have by themselves.
	return r.keep-r.mu.held[partition] < leastReading && r.roomLocked(partition) == 0
}

// reserve takes room for at most n bytes; 0 when there is none for a read.
func (r *reading) reserve(partition, n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, r.roomLocked(partition))
	r.addLocked(partition, n)
	return n
}

// roomLocked is what a partition may read; 0 when that is not worth it.
func (r *reading) roomLocked(partition int) int {
	over, mine, alone := 0, 0, true // what is held beyond what each has by itself
	lane := r.lane(partition)
	for p, held := range r.mu.held {
		n := max(held-r.keep, 0)
		over += n
		if r.lane(p) == lane {
			mine += n
		} else {
			alone = false
		}
	}
	free := r.mu.most - r.keep*len(r.mu.held) - over
	if !alone {
		free = (free - mine) / 2
	}
	room := max(r.keep-r.mu.held[partition], 0) + max(free, 0)
	if room < min(leastReading, r.keep/2) {
		return 0
	}
	return room
}

func (r *reading) addLocked(partition, n int) {
	r.mu.held[partition] += n
	r.mu.used += n
}

// add counts bytes that are held, whether there is room for them or not; less than 0: that are not any more.
func (r *reading) add(partition, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(partition, n)
}

// hold counts what was read, and returns what to release.
func (r *reading) hold(partition int, entries []lease.Entry) (bytes int) {
	for i := range entries {
		bytes += entries[i].Held()
	}
	r.add(partition, bytes)
	return bytes
}

func (r *reading) release(partition, n int) { r.add(partition, -n) }

// wait notes that the reader of a partition waits for what was read before, from now on or for longer.
func (r *reading) wait(partition int, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.waits[partition] == 0 {
		r.mu.waits[partition] = now
	}
}

// goOn notes that it does not.
func (r *reading) goOn(partition int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.waits[partition] = 0
}

// waiting is since when it does, 0 when it does not, and what the partition holds.
func (r *reading) waiting(partition int) (since int64, held int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.waits[partition], r.mu.held[partition]
}
