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

// shortTTL is for leases and sessions in tests of their end.
const shortTTL = 2 * time.Second

// longTTL is for tests in which they must not end, although the machine may be busy with other things.
const longTTL = 8 * time.Second

// member is an engine that keeps every stream it gets, and records what it believed it owned.
type member struct {
	name     string
	engine   *engine.Engine
	recorder *overlap.Recorder
	stop     func() error // drains, and returns what Run returned
	log      telemetry.Log
	events   telemetry.Events

	mu       sync.Mutex
	leases   map[api.Lease]struct{} // not known to have ended
	disowned map[api.Lease]disowning
	ended    chan struct{} // closed when Run has returned
	err      error
}

// disowning is the content of a Disowned, and what was true at that moment.
type disowning struct {
	at        time.Time
	why       error
	remaining time.Duration
	cause     error
}

// join starts an engine with its own clients, and stops it at the end of the test.
func (h *harness) join(name string, opt rueidis.ClientOption, opts ...engine.Option) *member {
	h.T.Helper()
	m := h.newMember(name)
	e, err := engine.Open(opt, service, m.options(opts)...)
	require.NoError(h.T, err)
	h.run(m, e)
	return m
}

func (h *harness) newMember(name string) *member {
	return &member{
		name: name, recorder: overlap.NewRecorder(name, h.clock),
		leases: make(map[api.Lease]struct{}), disowned: make(map[api.Lease]disowning), ended: make(chan struct{}),
	}
}

func (m *member) options(more []engine.Option) []engine.Option {
	return append([]engine.Option{
		engine.WithConsumerID(m.name), engine.WithLeaseTTL(shortTTL), engine.WithSessionTTL(shortTTL),
		engine.WithLogger(m.log.Logger()),
		engine.WithEvents(m.events.Add),
	}, more...)
}

func (h *harness) run(m *member, e *engine.Engine) {
	m.engine = e
	h.fleet = append(h.fleet, m)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		m.err = e.Run(ctx, m)
		close(m.ended)
	}()
	go m.look()
	m.stop = func() error {
		cancel()
		<-m.ended
		return m.err
	}
	h.T.Cleanup(func() {
		hurry, now := context.WithTimeout(context.Background(), 5*time.Second)
		defer now()
		cancel()
		_ = e.Shutdown(hurry) // errors about servers that are gone are not what these tests are about
		<-m.ended
		if h.T.Failed() {
			h.T.Logf("log of %s:\n%s", m.name, m.log.String())
		}
	})
}

// Handle keeps every stream.
func (m *member) Handle(_ context.Context, n api.Notification) error {
	at := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch n.Kind {
	case api.Added:
		n.Lease.Context() // created now, so that its end is observed as one in use
		m.leases[n.Lease] = struct{}{}
	case api.Disowned:
		m.disowned[n.Lease] = disowning{at: at, why: n.Err, remaining: n.Lease.Remaining(), cause: context.Cause(n.Lease.Context())}
	}
	return nil
}

// look samples what the member believes it owns, until Run has returned.
func (m *member) look() {
	ticker := time.NewTicker(3 * time.Millisecond)
	defer ticker.Stop()
	for {
		m.mu.Lock()
		for l := range m.leases {
			if m.recorder.Look(l) == 0 {
				delete(m.leases, l)
			}
		}
		m.mu.Unlock()
		select {
		case <-ticker.C:
		case <-m.ended:
			return
		}
	}
}

// held returns the streams that the member believes it holds.
func (m *member) held() (out []string) {
	for l := range m.engine.Leases() {
		out = append(out, l.Stream())
	}
	return out
}

// given returns the leases that the member believes it holds, by stream.
func (m *member) given() map[string]api.Lease {
	out := make(map[string]api.Lease)
	for l := range m.engine.Leases() {
		out[l.Stream()] = l
	}
	return out
}

// disowning returns the Disowned of this lease, if there was one.
func (m *member) disowning(l api.Lease) (disowning, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x, ok := m.disowned[l]
	return x, ok
}

// saw reports whether there was an event of this kind.
func (m *member) saw(kind api.EventKind) bool { return m.events.Count(kind) > 0 }

func (m *member) ready() error { return m.engine.Ready(context.Background()) }

func withTTL(ttl time.Duration) []engine.Option {
	return []engine.Option{engine.WithLeaseTTL(ttl), engine.WithSessionTTL(ttl)}
}
