package maintenance

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/telemetry"
)

const (
	sessionTTL = 3 * time.Second
	leaseTTL   = 9 * time.Second
	patience   = 60 * time.Second
)

// party is an engine, and what it was told.
type party struct {
	*engine.Engine
	t        *testing.T
	recorder *overlap.Recorder
	log      telemetry.Log

	mu       sync.Mutex
	disowned int
	events   []api.Event
}

// join starts an engine, and stops it at the end of the test.
func join(t *testing.T, name, service, addr string, clock overlap.Clock, opts ...engine.Option) *party {
	t.Helper()
	p := &party{t: t, recorder: overlap.NewRecorder(name, clock)}
	all := append([]engine.Option{
		engine.WithConsumerID(name), engine.WithSessionTTL(sessionTTL), engine.WithLeaseTTL(leaseTTL),
		engine.WithLogger(p.log.Logger()),
		engine.WithEvents(func(e api.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.events = append(p.events, e)
		}),
	}, opts...)
	var err error
	p.Engine, err = engine.Open(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}, service, all...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = p.Run(ctx, api.HandlerFunc(p.handle)) })
	group.Go(func() { p.look(ctx) })
	t.Cleanup(func() {
		hurry, now := context.WithTimeout(context.Background(), 5*time.Second)
		defer now()
		cancel()
		_ = p.Shutdown(hurry)
		group.Wait()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.log.String())
		}
	})
	return p
}

func (p *party) handle(_ context.Context, n api.Notification) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.Kind == api.Disowned {
		p.disowned++
	}
	return nil
}

// look notes what the party believes, all the time.
func (p *party) look(ctx context.Context) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		for l := range p.Leases() {
			p.recorder.Look(l)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// lost is how many streams it was told it no longer owns.
func (p *party) lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.disowned
}

func (p *party) seen(kind api.EventKind) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// least is what is left of the lease that ends first.
func (p *party) least() (least time.Duration) {
	least = time.Hour
	for l := range p.Leases() {
		least = min(least, l.Remaining())
	}
	return least
}

func (p *party) logged(text string) bool {
	return strings.Contains(p.log.String(), text)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 20*time.Millisecond, what)
}

// announce publishes n streams of a service.
func announce(t *testing.T, client rueidis.Client, service string, n int) {
	t.Helper()
	p, err := engine.NewPublisher(client, service)
	require.NoError(t, err)
	items := make([]api.Announcement, n)
	for i := range items {
		items[i].Stream = fmt.Sprint("s-", i)
	}
	_, err = p.PublishMany(context.Background(), items...)
	require.NoError(t, err)
}
