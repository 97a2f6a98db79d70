package measure

import (
	"math"
	"sync/atomic"
	"time"
)

// Recorder is a histogram that takes an observation in some 20 ns, from any number of goroutines, so that it hardly adds to what it measures.
// The zero value is empty.
type Recorder struct {
	zero    atomic.Int64
	buckets [lastBucket - firstBucket + 1]atomic.Int64
}

// Buckets of a recorder are those of schema 5, some 2 % wide, from a microsecond to 17 minutes. What is beyond falls into the first or the last.
const (
	recorderSchema = 5
	perDoubling    = 1 << recorderSchema
	firstBucket    = -20 * perDoubling
	lastBucket     = 10 * perDoubling
)

// Observe adds a duration. One of 0 or less, as between two clocks that differ, counts as 0.
func (r *Recorder) Observe(d time.Duration) {
	if d <= 0 {
		r.zero.Add(1)
		return
	}
	i := int(math.Ceil(math.Log2(d.Seconds()) * perDoubling))
	r.buckets[min(max(i, firstBucket), lastBucket)-firstBucket].Add(1)
}

// Read returns what was observed so far.
func (r *Recorder) Read() Histogram {
	h := Histogram{Schema: recorderSchema, Zero: uint64(r.zero.Load()), Buckets: make(map[int]int64)}
	for i := range r.buckets {
		if n := r.buckets[i].Load(); n > 0 {
			h.Buckets[firstBucket+i] = n
		}
	}
	return h
}
