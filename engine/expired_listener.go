package engine

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// listener is the subscription to one server: a connection of its own and a goroutine that runs run. So a server that
// hangs, or was killed and is still in the client's list, holds up no other subscription. What its connection is told of a
// server's death is not relied on: a node that others have forgotten says nothing for ever.
type listener struct {
	h       *hints
	address string
	late    bool // the engine had subscriptions before this server was known
	cancel  context.CancelFunc
}

// run keeps a subscription until ctx ends.
func (l *listener) run(ctx context.Context) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		s, err := l.subscribe(ctx)
		if err != nil {
			if ctx.Err() == nil {
				l.h.e.metrics.subscriptions[subscriptionFailed].Inc()
				l.h.once("expiry notifications: subscribing fails; it is tried again", "server", l.address, "err", lease.Explain(err))
				pause(ctx, min(hintsLook, l.h.e.backoff(attempt)))
			}
			continue
		}
		l.h.e.metrics.subscriptions[subscriptionMade].Inc()
		if l.late {
			// Only the user can know what hints were good for: nothing here rests on them, recovery least of all.
			l.h.e.event(api.EventHintsMissed, api.NoPartition, nil, l.address)
		}
		attempt, l.late = 0, true
		l.keep(ctx, s)
		s.close()
		if ctx.Err() == nil {
			l.h.e.metrics.subscriptions[subscriptionLost].Inc()
		}
	}
}

// keep returns when a subscription has ended, or does not answer, or ctx ends.
func (l *listener) keep(ctx context.Context, s *subscription) {
	tick := time.NewTicker(hintsLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		case <-tick.C:
		}
		// Over the connection itself: one that was cut off in silence ends in nothing.
		ctx, cancel := context.WithTimeout(ctx, l.h.e.cfg.timeout)
		err := s.client.Do(ctx, s.client.B().Ping().Build()).Error()
		cancel()
		if err != nil {
			return
		}
	}
}

// subscription is what a server was asked for.
type subscription struct {
	client rueidis.DedicatedClient
	free   func()
	ended  <-chan error
}

func (l *listener) subscribe(ctx context.Context) (*subscription, error) {
	// Asked for each time: the engine's clients are made anew now and then.
	node := l.h.e.client.Nodes()[l.address]
	if node == nil {
		return nil, errNodeGone
	}
	ctx, cancel := context.WithTimeout(ctx, l.h.e.cfg.timeout)
	defer cancel()
	client, free := node.Dedicate()
	s := &subscription{client: client, free: free}
	flags, known := l.h.flags(ctx, client)
	// Called on the connection's own goroutine: hand off at once.
	s.ended = client.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: l.h.report})
	pattern := cluster.ExpiredPattern(l.h.e.layout.Service(), flags, known)
	if err := client.Do(ctx, client.B().Psubscribe().Pattern(pattern).Build()).Error(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *subscription) close() {
	s.client.Close()
	s.free()
}
