package overlap

import (
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
)

// Clock is the time axis of all records of one process.
type Clock struct{ origin time.Time }

// NewClock starts an axis at the present moment.
func NewClock() Clock { return Clock{origin: time.Now()} }

// Recorder keeps the records of one party. Its methods may be called from several goroutines.
type Recorder struct {
	party string
	clock Clock

	mu      sync.Mutex
	records map[ownership]*Record
}

// ownership identifies a record.
type ownership struct {
	stream string
	token  api.Token
}

// NewRecorder makes the recorder of a party. All parties of one check share a clock.
func NewRecorder(party string, clock Clock) *Recorder {
	return &Recorder{party: party, clock: clock, records: make(map[ownership]*Record)}
}

// Held is what a recorder looks at; an api.Lease is one.
type Held interface {
	Stream() string
	Token() api.Token
	Remaining() time.Duration
}

// Look asks a lease whether it is held, notes the moment if it is, and returns the time that remains. The moment noted is
// the one just before the question, when the lease was held, too: a lease that has ended is never held again. Look right
// before ending a lease, so that the record lasts as long as the ownership did.
func (r *Recorder) Look(h Held) time.Duration {
	before := time.Since(r.clock.origin)
	left := h.Remaining()
	if left <= 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := ownership{h.Stream(), h.Token()}
	x := r.records[key]
	if x == nil {
		x = &Record{Party: r.party, Stream: key.stream, Token: key.token, From: before, Until: before}
		r.records[key] = x
	}
	x.From, x.Until = min(x.From, before), max(x.Until, before)
	return left
}

// CheckAll checks the records of these recorders against each other, as [Check] does.
func CheckAll(recorders ...*Recorder) error {
	var records []Record
	for _, r := range recorders {
		records = append(records, r.Records()...)
	}
	return Check(records)
}

// Records returns copies of all records so far, in no particular order.
func (r *Recorder) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Record, 0, len(r.records))
	for _, x := range r.records {
		out = append(out, *x)
	}
	return out
}
