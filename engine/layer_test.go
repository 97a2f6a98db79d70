package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// recorder is a Layer that records its calls. Functions that are set are called after that.
type recorder struct {
	onAdded     func(l api.Lease, ended func(error))
	onReleasing func(l api.Lease)
	onDisowned  func(l api.Lease)
	onTopology  func()

	mu       sync.Mutex
	calls    map[string][]string // by stream: "<kind>", and "ended" where the test calls that through finish
	at       map[string]time.Time
	ended    map[string]func(error)
	leases   map[string]api.Lease
	in       map[string]bool // a call for the stream's lease runs
	wrong    []string
	topology int
}

func newRecorder() *recorder {
	return &recorder{calls: map[string][]string{}, at: map[string]time.Time{}, ended: map[string]func(error){},
		leases: map[string]api.Lease{}, in: map[string]bool{}}
}

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

func (r *recorder) Added(l api.Lease, ended func(error)) {
	defer r.enter(l, "added")()
	r.mu.Lock()
	r.ended[l.Stream()], r.leases[l.Stream()] = ended, l
	r.mu.Unlock()
	if r.onAdded != nil {
		r.onAdded(l, ended)
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

func (r *recorder) Topology() {
	r.mu.Lock()
	r.topology++
	r.mu.Unlock()
	if r.onTopology != nil {
		r.onTopology()
	}
}

// finish calls ended for the last lease of a stream.
func (r *recorder) finish(stream string, err error) {
	r.mu.Lock()
	ended := r.ended[stream]
	r.calls[stream] = append(r.calls[stream], "ended")
	r.mu.Unlock()
	ended(err)
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

func (r *recorder) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.wrong)
}

// runLayer starts an engine with RunLayer.
func (h *harness) runLayer(y Layer, opts ...Option) *testEngine {
	e := h.newEngine(opts...)
	e.startWith(func(ctx context.Context) error { return e.RunLayer(ctx, y) })
	synctest.Wait()
	return e
}

// ended without an error hands a stream back, which counts nothing, and with one fails it. Calling it again does nothing.
func TestLayerEndsItsWork(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("back", "fails", "at once", "done")
		r := newRecorder()
		r.onAdded = func(l api.Lease, ended func(error)) {
			if l.Stream() == "at once" && l.Attempt() == 0 {
				ended(errors.New("within Added"))
				ended(nil)
			}
		}
		e := h.runLayer(r, WithRecovery(scan.Config{MaxRetries: 5}))
		advance(10 * time.Millisecond)
		require.Equal(t, 3, e.Stats().Held)
		require.Zero(t, e.Stats().Busy, "no worker waits for a layer")
		first := r.lease("back")
		r.finish("back", nil)
		r.finish("fails", errors.New("it broke"))
		require.NoError(t, r.lease("done").Done(context.Background()))
		r.finish("done", errors.New("has no effect"))
		advance(time.Minute)
		require.Equal(t, "added, ended, added", r.of("back"))
		require.Equal(t, "added, ended, added", r.of("fails"))
		require.Equal(t, "added, added", r.of("at once"))
		require.Equal(t, "added, ended", r.of("done"))
		require.Zero(t, r.lease("back").Attempt())
		require.Equal(t, 1, r.lease("fails").Attempt())
		require.Equal(t, 1, r.lease("at once").Attempt())
		require.Greater(t, r.lease("back").Token(), first.Token())
		require.Equal(t, 3, e.Stats().Held)
		r.check(t)
	})
}

// Calls for a lease come after Added has returned, in order, whatever worker that waits for, and nothing comes after Disowned.
func TestLayerHearsOfALeaseInOrder(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		gate := make(chan struct{})
		r := newRecorder()
		r.onAdded = func(api.Lease, func(error)) { <-gate } // a layer must not; it shows the order
		h.server.announce("a", "b")
		e := h.runLayer(r, WithWorkers(1))
		advance(time.Second)
		require.Equal(t, "added", r.of("a"))
		require.Empty(t, r.of("b"), "it waits for a worker")
		for _, s := range []string{"a", "b"} {
			l := e.held(s)
			e.ownership.post(l, api.Notification{Kind: api.Signaled, Payload: []byte("1")})
			e.ownership.supersede(l)
		}
		h.server.forgetLeases(0)
		advance(30 * time.Second)
		require.Equal(t, "added", r.of("a"))
		lost := r.lease("a")
		close(gate)
		advance(time.Second)
		for _, s := range []string{"a", "b"} {
			require.Equal(t, "added, signaled 1, superseded, disowned", r.of(s))
		}
		e.ownership.post(lost.(*lease.Lease), api.Notification{Kind: api.Signaled})
		advance(time.Minute)
		require.Equal(t, "added, signaled 1, superseded, disowned", r.of("a"), "until ended is called nothing follows")
		r.finish("a", nil)
		advance(30 * time.Second)
		require.Equal(t, "added, signaled 1, superseded, disowned, ended, added", r.of("a"))
		require.Positive(t, e.held("a").Remaining())
		r.finish("b", errors.New("has no effect on a lease that was lost"))
		advance(time.Minute)
		require.Zero(t, e.held("b").Attempt())
		r.check(t)
	})
}

// A stream that was lost is not acquired here again while its work goes on, however its lease left. Another process may have it.
func TestLayerKeepsAStreamBusyUntilItsWorkHasEnded(t *testing.T) {
	for _, lost := range []bool{true, false} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				r := newRecorder()
				e := h.runLayer(r)
				advance(time.Second)
				if lost {
					h.server.forgetLeases(0)
					advance(20 * time.Second)
					require.Equal(t, "added, disowned", r.of("s"))
				} else {
					require.NoError(t, r.lease("s").Done(context.Background()))
					h.server.announce("s")
					advance(20 * time.Second)
					require.Equal(t, "added", r.of("s"))
				}
				require.Zero(t, e.Stats().Held)
				other := newRecorder()
				h.runLayer(other)
				for n := 0; n < 20 && other.of("s") == ""; n++ {
					advance(time.Minute) // the entry waits here first, and is handed on less and less often
				}
				require.Equal(t, "added", other.of("s"), "another process gets it")
				other.finish("s", nil)
				r.finish("s", nil)
				advance(time.Minute)
				require.Zero(t, e.way.(*layered).mu.open-e.Stats().Held)
				require.Empty(t, e.way.(*layered).mu.lingering)
				r.check(t)
				other.check(t)
			})
		})
	}
}

// As soon as the work has ended, the stream is acquired again: nothing waits for a timer.
func TestLayerThatEndsGetsTheNextAnnouncementAtOnce(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		r := newRecorder()
		h.runLayer(r)
		advance(time.Second)
		require.NoError(t, r.lease("s").Done(context.Background()))
		h.server.announce("s")
		advance(time.Second)
		require.Equal(t, "added", r.of("s"))
		r.finish("s", nil)
		advance(10 * time.Millisecond)
		require.Equal(t, "added, ended, added", r.of("s"))
	})
}

// In a drain Releasing arrives at once while the lease is valid, and the engine waits for ended.
func TestLayerDrain(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 2000
		h.server.announce(streams(n)...)
		r := newRecorder()
		left := map[string]time.Duration{}
		r.onReleasing = func(l api.Lease) {
			r.mu.Lock()
			left[l.Stream()] = l.Remaining()
			ended := r.ended[l.Stream()]
			r.mu.Unlock()
			time.AfterFunc(2*time.Second, func() { ended(nil) })
		}
		e := h.runLayer(r, WithWorkers(2))
		advance(5 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		before := runtime.NumGoroutine()
		began := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- e.Shutdown(context.Background()) }()
		advance(time.Second)
		require.Len(t, left, n)
		require.Less(t, runtime.NumGoroutine(), before+20)
		for s, d := range left {
			require.Positive(t, d)
			require.Less(t, r.at[s+" releasing"].Sub(began), 100*time.Millisecond)
		}
		require.NoError(t, <-ended)
		<-e.ended
		require.NoError(t, e.err)
		require.Less(t, time.Since(began), 4*time.Second)
		require.Equal(t, []int{n, 0, 0, 0}, h.server.counts(), "no retry, no loss")
		r.check(t)
	})
}

// A layer that does not end in time holds up the end no longer than a handler does, and owns nothing after it. So does one whose
// lease has long been lost.
func TestLayerThatDoesNotEndInTime(t *testing.T) {
	for _, lost := range []bool{false, true} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce("s")
			r := newRecorder()
			e := h.runLayer(r, WithDrainTimeout(5*time.Second))
			advance(time.Second)
			if lost {
				h.server.forgetLeases(0)
				advance(20 * time.Second)
			}
			began := time.Now()
			shutdown, run := e.shutdownAndWait()
			require.ErrorIs(t, shutdown, api.ErrDrainTimeout)
			require.ErrorIs(t, run, api.ErrDrainTimeout)
			require.LessOrEqual(t, time.Since(began), 5*time.Second)
			require.Zero(t, r.lease("s").Remaining())
			require.Equal(t, []int{1, 0, 0, 0}, h.server.counts(), "handed back")
			if !lost {
				require.Equal(t, "added, releasing", r.of("s"))
				require.ErrorIs(t, context.Cause(r.lease("s").Context()), api.ErrDrainTimeout)
			}
			r.finish("s", nil) // has no effect, and does not panic
			r.check(t)
		})
	}
}

// Methods that block or panic keep no lease from being renewed.
func TestLayerThatBlocksOrPanicsLosesNoLease(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(20)...)
		r := newRecorder()
		gate := make(chan struct{})
		e := h.runLayer(&obstinate{recorder: r, gate: gate}, WithRecovery(scan.Config{MaxRetries: 5}))
		advance(time.Second)
		advance(30 * time.Second)
		require.Equal(t, 20, e.Stats().Held, "the one that failed was handed out again")
		h.server.announce("s00003", "s00004", "s00005")
		advance(time.Minute)
		for l := range e.Leases() {
			require.Positive(t, l.Remaining())
		}
		require.Equal(t, "added, added", r.of("s00001"), "a panic of Added is a failure")
		require.Contains(t, e.logged(), "of Added")
		close(gate)
		advance(time.Second)
		require.Contains(t, e.logged(), "of Superseded")
		r.check(t)
	})
}

// obstinate panics in the first Added of s00001 and in each Superseded, and blocks in the first Superseded.
type obstinate struct {
	*recorder
	gate     chan struct{}
	panicked bool
}

func (o *obstinate) Added(l api.Lease, ended func(error)) {
	o.recorder.Added(l, ended)
	if l.Stream() == "s00001" && !o.panicked {
		o.panicked = true
		panic("of Added")
	}
}

func (o *obstinate) Superseded(l api.Lease) {
	o.recorder.Superseded(l)
	<-o.gate
	panic("of Superseded")
}

// Topology is called for each change, but not twice at a time.
func TestLayerHearsOfTheTopology(t *testing.T) {
	bubble(t, 3, func(t *testing.T, h *harness) {
		r := newRecorder()
		r.onTopology = func() { time.Sleep(10 * time.Second) }
		e := h.runLayer(r)
		advance(time.Second)
		require.Zero(t, r.looked())
		for range 5 {
			e.ResetTopology()
			advance(time.Second)
		}
		require.Equal(t, 1, r.looked())
		advance(6 * time.Second)
		require.Equal(t, 2, r.looked(), "once more for all that changed meanwhile")
		advance(time.Minute)
		require.Equal(t, 2, r.looked())
		h.server.restart(false)
		advance(time.Minute)
		require.Greater(t, r.looked(), 2, "a server was replaced")
	})
}

func TestLayerMustExist(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.newEngine()
		require.ErrorIs(t, e.RunLayer(context.Background(), nil), api.ErrInvalidConfig)
		_, err := e.NewClient(nil)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, "WithDial")
		require.Empty(t, e.SlotMaster(7))
		require.Equal(t, "svc", e.Service())
	})
}

// hoarder keeps every ended.
type hoarder struct {
	Layer
	ended []func(error)
}

func (h *hoarder) Added(_ api.Lease, ended func(error)) { h.ended = append(h.ended, ended) }

// A stream that is held costs no more than 64 bytes above what it costs with Run, and no goroutine.
func TestMemoryOfALayersStream(t *testing.T) {
	const n = 100_000
	layout, err := cluster.NewLayout("svc", 1)
	require.NoError(t, err)
	clock := lease.NewClock()
	s := lease.NewSession(context.Background(), clock, 0, "pod.1", clock.Now(), time.Hour)
	all := make([]*lease.Lease, n)
	for i := range all {
		name := fmt.Sprint("stream", i)
		x := lease.Entry{ID: "1-1", Stream: name, Key: layout.Keys(0).Lease(name)}
		all[i] = lease.New(s, &x, api.Token(i+1), clock.Now(), time.Hour, nil)
	}
	h := &hoarder{ended: make([]func(error), 0, n)}
	w := newLayered(layeredConfig{layer: h})
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	done := func(error) {}
	for _, l := range all {
		w.deliver(api.Notification{Kind: api.Added, Lease: l}, done)
	}
	each := float64(heap()-before) / n
	require.Less(t, each, 64.)
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
	require.Equal(t, n, w.mu.open)
	require.Empty(t, w.mu.waiting)
	runtime.KeepAlive(all)
	t.Logf("%.1f bytes a stream", each)
}
