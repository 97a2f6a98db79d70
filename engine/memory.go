package engine

import (
	"sync"

	"github.com/streamlease/streamlease/lease"
)

// reading bounds the bytes of what was read and has no place yet, over all partitions. Servers deliver by number and not
// by weight, so what is there may be more than that by what one look brings unforeseen; then nothing more is read.
type reading struct {
	mu struct {
		sync.Mutex
		most, used int
	}
}

// leastReading is what there must be room for, in bytes, for a read to be worth it.
const leastReading = 256 << 10

func (r *reading) init(most int) { r.mu.most = most }

// full reports whether there is no room for a read.
func (r *reading) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.most-r.mu.used < leastReading
}

// reserve takes room for at most n bytes; 0 when there is none for a read.
func (r *reading) reserve(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, r.mu.most-r.mu.used)
	if n < leastReading {
		return 0
	}
	r.mu.used += n
	return n
}

// hold counts what was read, whether there is room for it or not, and returns what to release.
func (r *reading) hold(entries []lease.Entry) (bytes int) {
	for i := range entries {
		bytes += entries[i].Held()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.used += bytes
	return bytes
}

func (r *reading) release(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.used -= n
}
