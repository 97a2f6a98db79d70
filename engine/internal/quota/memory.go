package quota

import (
	"sync"

	"github.com/streamlease/streamlease/lease"
)

// Memory bounds the bytes of what was read and has no place yet, over all partitions: what is being taken in, and what
// is being given back. Servers deliver by number and not by weight, so more than that may be there, by what one look brings
// that nobody could foresee; then nothing more is read. All methods may be called from any goroutine.
//
// Half of it is shared out evenly: each partition has that much whatever the others hold, so that one whose server takes
// nothing, or refuses what it is asked to move, stops no other. The rest is for whoever needs it. Partitions of one master
// take no more of that than they leave to those of others.
type Memory struct {
	lane func(partition int) int // the master that a partition is on; called with the mutex held, so it must not call back
	keep int                     // of each partition by itself

	mu struct {
		sync.Mutex
		limit int
		held  []int   // by partition
		waits []int64 // since when the reader of a partition waits for some of that to find its place; 0: it does not
	}
}

// minRead is what there must be room for, in bytes, for a read to be worth it; with very many partitions half of what
// each has by itself.
const minRead = 256 << 10

// NewMemory returns a quota of limit bytes.
func NewMemory(limit, partitions int, lane func(partition int) int) *Memory {
	m := &Memory{lane: lane, keep: limit / 2 / partitions}
	m.mu.limit = limit
	m.mu.held = make([]int, partitions)
	m.mu.waits = make([]int64, partitions)
	return m
}

// Full reports whether there is no room for a read of a partition.
func (m *Memory) Full(partition int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	// Readers that wait for something else ask often: a partition that has enough by itself is not compared with the others.
	return m.keep-m.mu.held[partition] < minRead && m.roomLocked(partition) == 0
}

// Reserve takes room for at most n bytes, and returns for how many; 0 when there is not enough for a read. It must be given back
// with Release.
func (m *Memory) Reserve(partition, n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n = min(n, m.roomLocked(partition))
	m.mu.held[partition] += n
	return n
}

// roomLocked returns how many bytes a partition may read; 0 when that is not worth it.
func (m *Memory) roomLocked(partition int) int {
	over, mine, alone := 0, 0, true // what is held beyond what each has by itself
	lane := m.lane(partition)
	for p, held := range m.mu.held {
		n := max(held-m.keep, 0)
		over += n
		if m.lane(p) == lane {
			mine += n
		} else {
			alone = false
		}
	}
	free := m.mu.limit - m.keep*len(m.mu.held) - over
	if !alone {
		free = (free - mine) / 2
	}
	room := max(m.keep-m.mu.held[partition], 0) + max(free, 0)
	if room < min(minRead, m.keep/2) {
		return 0
	}
	return room
}

// Add counts bytes that a partition holds, whether there is room for them or not; fewer than 0 are no longer held.
func (m *Memory) Add(partition, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.held[partition] += n
}

// Hold counts what was read, and returns how many bytes to release.
func (m *Memory) Hold(partition int, entries []lease.Entry) (bytes int) {
	for i := range entries {
		bytes += entries[i].Held()
	}
	m.Add(partition, bytes)
	return bytes
}

// Release counts bytes that a partition no longer holds.
func (m *Memory) Release(partition, n int) { m.Add(partition, -n) }

// StartWaiting notes that the reader of a partition waits for what was read before, from now on, or since it did already.
func (m *Memory) StartWaiting(partition int, now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.waits[partition] == 0 {
		m.mu.waits[partition] = now
	}
}

// StopWaiting notes that the reader of a partition does not wait.
func (m *Memory) StopWaiting(partition int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.waits[partition] = 0
}

// Waiting returns since when the reader of a partition waits, 0 when it does not, and how many bytes the partition holds.
func (m *Memory) Waiting(partition int) (since int64, held int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.waits[partition], m.mu.held[partition]
}
