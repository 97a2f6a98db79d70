package maintenance

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/telemetry"
	"github.com/streamlease/streamlease/test/wait"
)

const (
	sessionTTL = 3 * time.Second
	leaseTTL   = 9 * time.Second
	patience   = 60 * time.Second
)

// member is an engine, and what it was notified of.
type member struct {
	*engine.Engine
	t        *testing.T
	recorder *overlap.Recorder
	log      telemetry.Log
	events   telemetry.Events

	mu       sync.Mutex
	disowned int
}

// join starts an engine, and stops it at the end of the test.
func join(t *testing.T, name, service, addr string, clock overlap.Clock, opts ...engine.Option) *member {
	t.Helper()
	return joinBy(t, rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}, name, service, clock, opts...)
}

// joinBy does the same with other options of the client.
func joinBy(t *testing.T, opt rueidis.ClientOption, name, service string, clock overlap.Clock, opts ...engine.Option) *member {
	t.Helper()
	m := &member{t: t, recorder: overlap.NewRecorder(name, clock)}
	all := append([]engine.Option{
		engine.WithConsumerID(name), engine.WithSessionTTL(sessionTTL), engine.WithLeaseTTL(leaseTTL),
		engine.WithLogger(m.log.Logger()),
		engine.WithEvents(m.events.Add),
	}, opts...)
	var err error
	m.Engine, err = engine.Open(opt, service, all...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = m.Run(ctx, api.HandlerFunc(m.handle)) })
	group.Go(func() { m.look(ctx) })
	t.Cleanup(func() {
		hurry, now := context.WithTimeout(context.Background(), 5*time.Second)
		defer now()
		cancel()
		_ = m.Shutdown(hurry)
		group.Wait()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, m.log.String())
		}
	})
	return m
}

func (m *member) handle(_ context.Context, n api.Notification) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n.Kind == api.Disowned {
		m.disowned++
	}
	return nil
}

// look samples what the member believes it owns, until ctx ends.
func (m *member) look(ctx context.Context) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		for l := range m.Leases() {
			m.recorder.Look(l)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// lost returns how many times the engine disowned a stream.
func (m *member) lost() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.disowned
}

// least returns what remains of the lease that ends first.
func (m *member) least() (least time.Duration) {
	least = time.Hour
	for l := range m.Leases() {
		least = min(least, l.Remaining())
	}
	return least
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.True(t, wait.For(patience, 20*time.Millisecond, ok), "did not come true: %s", what)
}

// announce publishes n streams of a service.
func announce(t *testing.T, client rueidis.Client, service string, n int, opts ...engine.PublisherOption) {
	t.Helper()
	p, err := engine.NewPublisher(client, service, opts...)
	require.NoError(t, err)
	items := make([]api.Announcement, n)
	for i := range items {
		items[i].Stream = fmt.Sprint("s-", i)
	}
	_, err = p.PublishMany(context.Background(), items...)
	require.NoError(t, err)
}
