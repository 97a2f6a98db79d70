package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
)

// world is a core in virtual time, with a table in memory, leases of package leasetest, and a server whose clock is set here. Its methods are
// called in a bubble of testing/synctest.
type world struct {
	*testing.T
	core *core
	stop func()

	mu       sync.Mutex
	rows     map[string]*record.Row
	failed   error         // of the table
	ahead    time.Duration // the server's clock, before that of the bubble
	timeless bool          // its clock is not known
	ended    map[api.Lease]error
	fired    []Tick
	task     func(ctx context.Context, t *Tick) error // nil: nothing
	opened   []Owned
	log      []string // of tasks with hooks
	openAs   func(o Owned) (Task, error)
}

func newWorld(t *testing.T, c Config) *world {
	w := &world{T: t, rows: make(map[string]*record.Row), ended: make(map[api.Lease]error)}
	k, err := newCore(coreParts{
		open: w.open, cfg: c, table: w, ends: w, serverTime: func(int) (time.Time, bool) { return w.now(), w.tellsTime() },
		partitionOf: func(string) int { return 0 }, partitions: 1, log: slog.New(slog.DiscardHandler), service: t.Name(),
	})
	require.NoError(t, err)
	w.core = k
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.run(ctx)
	}()
	w.stop = func() {
		cancel()
		<-done
		k.stop()
		time.Sleep(time.Minute) // for tasks that are still at work
	}
	return w
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, c Config, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(100 * time.Millisecond) // a bubble begins on the full hour
		w := newWorld(t, c)
		defer w.stop()
		f(w)
	})
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) tellsTime() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.timeless
}

// Rows is the table.
func (w *world) Rows(_ context.Context, _ int, names []string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return nil, w.failed
	}
	rows := make([]string, len(names))
	for i, name := range names {
		if r := w.rows[name]; r != nil {
			rows[i] = r.Encode()
		}
	}
	return rows, nil
}

// Ended is the engine.
func (w *world) Ended(l api.Lease, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, twice := w.ended[l]; twice {
		panic(fmt.Sprintf("Ended was called twice for %q", l.Stream()))
	}
	w.ended[l] = err
	if lease := l.(*leasetest.Lease); err == nil {
		lease.HandBack()
	} else {
		_ = lease.Fail(context.Background(), err)
	}
}

func (w *world) open(o Owned) (Task, error) {
	w.mu.Lock()
	w.opened = append(w.opened, o)
	as := w.openAs
	w.mu.Unlock()
	if as != nil {
		return as(o)
	}
	return TaskFunc(w.tick), nil
}

func (w *world) tick(ctx context.Context, t *Tick) error {
	w.mu.Lock()
	w.fired = append(w.fired, *t)
	task := w.task
	w.mu.Unlock()
	if task == nil {
		return nil
	}
	return task(ctx, t)
}

// put puts a schedule, as the table does.
func (w *world) put(spec Spec) {
	d, err := spec.definition()
	require.NoError(w, err)
	now := w.now()
	w.edit(spec.Name, func(r *record.Row) {
		was, _ := r.Definition.Encode()
		if is, _ := d.Encode(); was != is {
			r.Since = now.UnixMilli()
		}
		r.Definition = d
	})
}

// edit changes a row, and makes it if there is none.
func (w *world) edit(name string, change func(r *record.Row)) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.rows[name]
	if r == nil {
		r = &record.Row{Born: now.UnixMilli(), Since: now.UnixMilli()}
		w.rows[name] = r
	}
	r.Rev = max(r.Rev+1, now.UnixMicro())
	change(r)
}

func (w *world) remove(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.rows, name)
}

// own has this process own a schedule.
func (w *world) own(name string, opts ...leasetest.Option) *leasetest.Lease {
	l := leasetest.New(name, opts...)
	w.core.Added(l)
	synctest.Wait()
	return l
}

// signal tells the owner that a row has changed.
func (w *world) signal(l api.Lease) {
	w.core.Signaled(l, nil)
	synctest.Wait()
}

// pass has time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// ticks returns what was fired since it was asked last.
func (w *world) ticks() []Tick {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	fired := w.fired
	w.fired = nil
	return fired
}

// isEnded reports whether the work for a lease is over, and with which error.
func (w *world) isEnded(l api.Lease) (bool, error) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	err, ok := w.ended[l]
	return ok, err
}

var errTest = errors.New("for a test")

// hooked is a task that writes down what is called.
type hooked struct {
	*world
	name string
}

func (h hooked) Tick(ctx context.Context, t *Tick) error { return h.tick(ctx, t) }
func (h hooked) Changed(spec *Spec)                      { h.note("changed to %v", spec.Every) }
func (h hooked) Stop(cause error)                        { h.note("stop: %v", cause) }

func (h hooked) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, h.name+" "+fmt.Sprintf(format, args...))
}

// noted returns what tasks have written down since it was asked last.
func (w *world) noted() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

func aligned(name string, every time.Duration) Spec {
	return Spec{Name: name, Every: every, Offset: Aligned, First: OnGrid}
}
