package behave_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/telemetry"
)

// party is an engine and the journal of what it told.
type party struct {
	w        *world
	engine   *engine.Engine
	registry *prometheus.Registry
	recorder *overlap.Recorder
	ran      chan error // what Run returned
	log      telemetry.Log

	mu      sync.Mutex
	on      api.Handler // what the test does beside keeping the journal; nil: nothing
	counts  map[api.Kind]int
	streams map[string]*story
}

// story is what one party was told of one stream.
type story struct {
	lease  api.Lease // of the last Added
	tokens []api.Token
	kinds  map[api.Kind]int
}

// party opens an engine that is not started yet. It is shut down at the end of the test, if it is not by then.
func (w *world) party(name string, on api.Handler, opts ...engine.Option) *party {
	w.t.Helper()
	p := &party{w: w, on: on, ran: make(chan error, 1), registry: prometheus.NewRegistry(),
		recorder: overlap.NewRecorder(name, w.clock), counts: make(map[api.Kind]int), streams: make(map[string]*story)}
	logger := p.log.Logger()
	base := []engine.Option{engine.WithConsumerID(name), engine.WithLogger(logger), engine.WithRegisterer(p.registry),
		engine.WithPartitions(w.layout.Partitions())}
	var err error
	p.engine, err = engine.Open(w.opt, w.service, append(base, opts...)...)
	require.NoError(w.t, err)
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = p.engine.Shutdown(ctx)
		if w.t.Failed() {
			w.t.Logf("log of %s:\n%s", name, p.log.String())
		}
	})
	return p
}

// start runs a new party and waits until it is ready.
func (w *world) start(name string, on api.Handler, opts ...engine.Option) *party {
	w.t.Helper()
	p := w.party(name, on, opts...)
	p.run()
	return p
}

// run starts the engine and waits until it is ready.
func (p *party) run() {
	p.w.t.Helper()
	go func() { p.ran <- p.engine.Run(context.Background(), p) }()
	until(p.w.t, "the engine is ready", func() bool { return p.engine.Ready(context.Background()) == nil })
}

// Handle keeps the journal.
func (p *party) Handle(ctx context.Context, n api.Notification) error {
	p.mu.Lock()
	p.counts[n.Kind]++
	if n.Stream != "" {
		s := p.streams[n.Stream]
		if s == nil {
			s = &story{kinds: make(map[api.Kind]int)}
			p.streams[n.Stream] = s
		}
		s.kinds[n.Kind]++
		if n.Kind == api.Added {
			s.lease = n.Lease
			s.tokens = append(s.tokens, n.Token)
		}
	}
	on := p.on
	p.mu.Unlock()
	if n.Lease != nil {
		p.recorder.Look(n.Lease)
	}
	if on == nil {
		return nil
	}
	return on.Handle(ctx, n)
}

// setOn changes what the test does with notifications from now on.
func (p *party) setOn(h api.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = h
}

// told is how often notifications of a kind came.
func (p *party) told(k api.Kind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[k]
}

// toldOf is how often notifications of a kind came about one stream.
func (p *party) toldOf(stream string, k api.Kind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.streams[stream]; s != nil {
		return s.kinds[k]
	}
	return 0
}

// lease waits for the n-th Added of a stream, from 1, and returns its lease.
func (p *party) lease(stream string, n int) (l api.Lease) {
	p.w.t.Helper()
	until(p.w.t, "stream "+stream+" is added", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s := p.streams[stream]; s != nil && len(s.tokens) >= n {
			l = s.lease
		}
		return l != nil
	})
	return l
}

// owned are the streams that were added, by name.
func (p *party) owned() map[string]*story {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.streams)
}

// holds waits until the engine holds n streams and has told of all of them.
func (p *party) holds(n int) {
	p.w.t.Helper()
	until(p.w.t, "the streams are held", func() bool {
		s := p.engine.Stats()
		return s.Held == n && s.Queued == 0 && s.Busy == 0
	})
}

// shutdown drains the engine and returns how Run ended.
func (p *party) shutdown() error {
	p.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := p.engine.Shutdown(ctx)
	ran := receive(p.w.t, "Run returns", p.ran)
	require.Equal(p.w.t, ran, err, "Run and Shutdown say the same")
	return err
}

// metric is the sum of all series of a name whose labels have these values, given as name, value, …
func (p *party) metric(name string, labels ...string) float64 {
	p.w.t.Helper()
	return metric(p.w.t, p.registry, name, labels...)
}

func metric(t testing.TB, registry *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	sum, there := telemetry.Sum(t, registry, name, labels...)
	require.True(t, there, "there is a metric %s %v", name, labels)
	return sum
}

// awaitCount waits until a metric has this value: what can be seen on the server is counted when its answer has arrived.
func (p *party) awaitCount(want int, name string, labels ...string) {
	p.w.t.Helper()
	until(p.w.t, fmt.Sprintf("%s %v to be %d", name, labels, want), func() bool {
		sum, _ := telemetry.Sum(p.w.t, p.registry, name, labels...)
		return sum == float64(want)
	})
}

// awaitAny waits until something is counted: what a call has done that is not answered in time is done, and not counted.
func (p *party) awaitAny(name string, labels ...string) {
	p.w.t.Helper()
	until(p.w.t, fmt.Sprintf("%s %v to count something", name, labels), func() bool {
		sum, _ := telemetry.Sum(p.w.t, p.registry, name, labels...)
		return sum > 0
	})
}
