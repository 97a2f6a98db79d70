package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// recorder is a Layer that records its calls. Functions that are set are called after that.
type recorder struct {
	engine      *Engine
	onAdded     func(l api.Lease)
	onReleasing func(l api.Lease)
	onReleased  func(l api.Lease, why error) // as onReleasing
	onDisowned  func(l api.Lease)
	onTopology  func()
	onMissed    func(partition int)

	mu       sync.Mutex
	calls    map[string][]string // by stream: "<kind>", and "ended" where the test calls Ended through finish
	at       map[string]time.Time
	leases   map[string]api.Lease
	in       map[string]bool // a call for the stream's lease runs
	wrong    []string
	topology int
	missed   []int // partitions of which signals were missed, in the order of the calls
}

func newRecorder() *recorder {
	return &recorder{calls: map[string][]string{}, at: map[string]time.Time{},
		leases: map[string]api.Lease{}, in: map[string]bool{}}
}

// runOn says whose layer it is.
func (r *recorder) runOn(e *Engine) { r.engine = e }

func (r *recorder) enter(l api.Lease, kind string) func() {
	s := l.Stream()
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := fmt.Sprint(s, l.Token()); r.in[key] {
		r.wrong = append(r.wrong, "two calls at a time for "+s)
	} else {
		r.in[key] = true
	}
	r.calls[s] = append(r.calls[s], kind)
	r.at[s+" "+kind] = time.Now()
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.in, fmt.Sprint(s, l.Token()))
	}
}

func (r *recorder) Added(l api.Lease) {
	defer r.enter(l, "added")()
	r.mu.Lock()
	r.leases[l.Stream()] = l
	r.mu.Unlock()
	if r.onAdded != nil {
		r.onAdded(l)
	}
}

func (r *recorder) Releasing(l api.Lease, why error) {
	defer r.enter(l, "releasing")()
	if !errors.Is(why, api.ErrReleasing) {
		r.wrong = append(r.wrong, fmt.Sprint("releasing because of ", why))
	}
	if r.onReleasing != nil {
		r.onReleasing(l)
	}
	if r.onReleased != nil {
		r.onReleased(l, why)
	}
}

func (r *recorder) Superseded(l api.Lease) { r.enter(l, "superseded")() }

func (r *recorder) Signaled(l api.Lease, payload []byte) { r.enter(l, "signaled "+string(payload))() }

func (r *recorder) Disowned(l api.Lease, why error) {
	defer r.enter(l, "disowned")()
	if l.Remaining() != 0 || why == nil {
		r.wrong = append(r.wrong, fmt.Sprintf("disowned with %v left, because of %v", l.Remaining(), why))
	}
	if r.onDisowned != nil {
		r.onDisowned(l)
	}
}

func (r *recorder) SignalsMissed(partition int) {
	r.mu.Lock()
	r.missed = append(r.missed, partition)
	r.mu.Unlock()
	if r.onMissed != nil {
		r.onMissed(partition)
	}
}

func (r *recorder) Topology() {
	r.mu.Lock()
	r.topology++
	r.mu.Unlock()
	if r.onTopology != nil {
		r.onTopology()
	}
}

// finish calls Ended for the last lease of a stream.
func (r *recorder) finish(stream string, err error) {
	r.mu.Lock()
	l := r.leases[stream]
	r.calls[stream] = append(r.calls[stream], "ended")
	r.mu.Unlock()
	r.engine.Ended(l, err)
}

// of are the calls for a stream, in order.
func (r *recorder) of(stream string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.calls[stream], ", ")
}

func (r *recorder) lease(stream string) api.Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leases[stream]
}

// looked is how often Topology was called.
func (r *recorder) looked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.topology
}

// takeMissed are the partitions of which signals were missed since the last call.
func (r *recorder) takeMissed() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	missed := r.missed
	r.missed = nil
	return missed
}

func (r *recorder) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.wrong)
}

// runLayer starts an engine with RunLayer.
func (h *harness) runLayer(y Layer, opts ...Option) *testEngine {
	e := h.newEngine(opts...)
	if r, ok := y.(interface{ runOn(e *Engine) }); ok {
		r.runOn(e.Engine)
	}
	e.startWith(func(ctx context.Context) error { return e.RunLayer(ctx, y) })
	synctest.Wait()
	return e
}
