package faults

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/telemetry"
)

// shortTTL is of leases and sessions where a test is about their end.
const shortTTL = 2 * time.Second

// longTTL is where they must not end, though the machine may be busy with other things.
const longTTL = 8 * time.Second

// party is an engine that keeps what it is given, and what it believed of itself.
type party struct {
	name     string
	engine   *engine.Engine
	recorder *overlap.Recorder
	stop     func() error // what Run returned
	log      *telemetry.Log

	mu       sync.Mutex
	leases   map[api.Lease]struct{} // not known to have ended
	disowned map[api.Lease]told
	events   []api.Event
	ended    chan struct{} // closed when Run has returned
	err      error
}

// told is what a Disowned came with, and what was true at that moment.
type told struct {
	at        time.Time
	why       error
	remaining time.Duration
	cause     error
}

// join starts an engine on its own clients and stops it at the end of the test.
func (w *world) join(name string, opt rueidis.ClientOption, opts ...engine.Option) *party {
	w.t.Helper()
	p := w.newParty(name)
	e, err := engine.Open(opt, service, p.options(opts)...)
	require.NoError(w.t, err)
	w.run(p, e)
	return p
}

func (w *world) newParty(name string) *party {
	return &party{
		name: name, recorder: overlap.NewRecorder(name, w.clock), log: &telemetry.Log{},
		leases: make(map[api.Lease]struct{}), disowned: make(map[api.Lease]told), ended: make(chan struct{}),
	}
}

func (p *party) options(more []engine.Option) []engine.Option {
	return append([]engine.Option{
		engine.WithConsumerID(p.name), engine.WithLeaseTTL(shortTTL), engine.WithSessionTTL(shortTTL),
		engine.WithLogger(p.log.Logger()),
		engine.WithEvents(func(e api.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.events = append(p.events, e)
		}),
	}, more...)
}

func (w *world) run(p *party, e *engine.Engine) {
	p.engine = e
	w.all = append(w.all, p)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		p.err = e.Run(ctx, p)
		close(p.ended)
	}()
	go p.look()
	p.stop = func() error {
		cancel()
		<-p.ended
		return p.err
	}
	w.t.Cleanup(func() {
		hurry, now := context.WithTimeout(context.Background(), 5*time.Second)
		defer now()
		cancel()
		_ = e.Shutdown(hurry) // what it says about servers that are gone is not what these tests are about
		<-p.ended
		if w.t.Failed() {
			w.t.Logf("log of %s:\n%s", p.name, p.log.String())
		}
	})
}

// Handle keeps what is added.
func (p *party) Handle(_ context.Context, n api.Notification) error {
	at := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n.Kind {
	case api.Added:
		n.Lease.Context() // made now, so that its end is that of a context in use
		p.leases[n.Lease] = struct{}{}
	case api.Disowned:
		p.disowned[n.Lease] = told{at: at, why: n.Err, remaining: n.Lease.Remaining(), cause: context.Cause(n.Lease.Context())}
	}
	return nil
}

// look notes what the party believes, all the time.
func (p *party) look() {
	ticker := time.NewTicker(3 * time.Millisecond)
	defer ticker.Stop()
	for {
		p.mu.Lock()
		for l := range p.leases {
			if p.recorder.Look(l) == 0 {
				delete(p.leases, l)
			}
		}
		p.mu.Unlock()
		select {
		case <-ticker.C:
		case <-p.ended:
			return
		}
	}
}

// held are the streams that the party holds in its own eyes.
func (p *party) held() (out []string) {
	for l := range p.engine.Leases() {
		out = append(out, l.Stream())
	}
	return out
}

// given are the leases that the party holds, by stream.
func (p *party) given() map[string]api.Lease {
	out := make(map[string]api.Lease)
	for l := range p.engine.Leases() {
		out[l.Stream()] = l
	}
	return out
}

// toldOf is what a Disowned of this lease came with.
func (p *party) toldOf(l api.Lease) (told, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, ok := p.disowned[l]
	return x, ok
}

// heard says whether there was an event of this kind.
func (p *party) heard(kind api.EventKind) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

// logged says whether the log has a text.
func (p *party) logged(text string) bool { return p.log.Has(text) }

func (p *party) ready() error { return p.engine.Ready(context.Background()) }

func withTTL(ttl time.Duration) []engine.Option {
	return []engine.Option{engine.WithLeaseTTL(ttl), engine.WithSessionTTL(ttl)}
}
