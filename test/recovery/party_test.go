package recovery

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/telemetry"
)

// party is an engine in the process of the test.
type party struct {
	w        *world
	name     string
	engine   *engine.Engine
	registry *prometheus.Registry
	journal  *journal.Journal
	log      telemetry.Log
	ended    chan struct{} // closed when Run has returned
	err      error
	cancel   context.CancelFunc

	mu       sync.Mutex
	on       func(*party, api.Notification) error
	added    map[string]int
	disowned int
}

// party starts an engine and waits until it is ready. on is called for every notification; nil keeps what is added.
func (w *world) party(name string, on func(*party, api.Notification) error, opts ...engine.Option) *party {
	w.t.Helper()
	return w.partyOn(w.server.ClientOption(), name, on, opts...)
}

func (w *world) partyOn(opt rueidis.ClientOption, name string, on func(*party, api.Notification) error, opts ...engine.Option) *party {
	w.t.Helper()
	p := w.launch(opt, name, on, opts...)
	w.until(name+" is ready", func() bool { return p.engine.Ready(context.Background()) == nil })
	return p
}

// launch starts an engine.
func (w *world) launch(opt rueidis.ClientOption, name string, on func(*party, api.Notification) error, opts ...engine.Option) *party {
	w.t.Helper()
	p := &party{w: w, name: name, registry: prometheus.NewRegistry(), ended: make(chan struct{}), on: on, added: make(map[string]int)}
	var err error
	p.journal, err = journal.Open(filepath.Join(w.dir, name+".journal"), name, prefix, 100_000)
	require.NoError(w.t, err)
	base := []engine.Option{engine.WithConsumerID(name), engine.WithRegisterer(p.registry),
		engine.WithLogger(p.log.Logger())}
	p.engine, err = engine.Open(opt, service, append(base, opts...)...)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		p.err = p.engine.Run(ctx, p)
		close(p.ended)
	}()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			p.journal.Look()
			select {
			case <-tick.C:
			case <-p.ended:
				return
			}
		}
	}()
	w.parties = append(w.parties, p)
	w.t.Cleanup(func() {
		p.drop()
		<-looked
		if w.t.Failed() {
			w.t.Logf("log of %s:\n%s", name, p.log.String())
		}
		require.NoError(w.t, p.journal.Close())
	})
	return p
}

// Handle keeps count.
func (p *party) Handle(_ context.Context, n api.Notification) error {
	p.mu.Lock()
	switch n.Kind {
	case api.Added:
		p.added[n.Stream]++
	case api.Disowned:
		p.disowned++
	}
	on := p.on
	p.mu.Unlock()
	if n.Kind == api.Added {
		p.journal.Add(n.Lease)
	}
	if on == nil {
		return nil
	}
	return on(p, n)
}

// stop drains the engine.
func (p *party) stop() error {
	p.cancel()
	<-p.ended
	return p.err
}

// drop ends the engine without giving anything back, as far as it does not manage to at once.
func (p *party) drop() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.engine.Shutdown(now) // the test is over, or the link is cut on purpose
	p.cancel()
	<-p.ended
}

func (p *party) held() int { return p.engine.Stats().Held }

func (p *party) toldOf(stream string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.added[stream]
}

func (p *party) lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.disowned
}

// finish ends a stream for good and notes it.
func (p *party) finish(l api.Lease) error {
	page := p.journal.Page(l)
	if page == nil || !page.Extend(l) {
		return api.ErrNotHeld
	}
	page.Is(journal.Ending)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := l.Done(ctx)
	if err == nil {
		page.Is(journal.Finished)
	}
	return err
}

// ends is what a party does that ends every stream as soon as it has it.
func ends(p *party, n api.Notification) error {
	if n.Kind == api.Added {
		_ = p.finish(n.Lease) // lost: it comes again
	}
	return nil
}

// metric is the sum of all series of a name whose labels have these values, given as name, value, …; of a histogram it is
// the count.
func (p *party) metric(name string, labels ...string) float64 {
	p.w.t.Helper()
	sum, _ := telemetry.Sum(p.w.t, p.registry, name, labels...)
	return sum
}
