package expiry

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster/backoff"
)

var errNodeGone = errors.New("the client does not know the server any more")

// listener is the subscription to one server: a connection of its own and a goroutine that runs run. It does not rely on the
// connection to learn of a server's death: a node that others have forgotten says nothing for ever.
type listener struct {
	w       *Watcher
	address string
	late    bool // there were subscriptions before this server was known
	cancel  context.CancelFunc
}

// run keeps a subscription until ctx ends.
func (l *listener) run(ctx context.Context) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		s, err := l.subscribe(ctx)
		if err != nil {
			if ctx.Err() == nil {
				l.w.hooks.Subscription(l.address, Failed, false)
				l.w.warnOnce("expiry notifications: subscribing fails; it is tried again", err, "server", l.address)
				backoff.Sleep(ctx, min(lookInterval, l.w.cfg.Backoff(attempt)))
			}
			continue
		}
		l.w.hooks.Subscription(l.address, Made, l.late)
		attempt, l.late = 0, true
		l.keep(ctx, s)
		s.close()
		if ctx.Err() == nil {
			l.w.hooks.Subscription(l.address, Lost, false)
		}
	}
}

// keep returns when a subscription has ended, or does not answer, or ctx ends.
func (l *listener) keep(ctx context.Context, s *subscription) {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		case <-tick.C:
		}
		// On the connection itself: one that was cut off silently never ends.
		ctx, cancel := context.WithTimeout(ctx, l.w.cfg.Timeout)
		err := s.client.Do(ctx, s.client.B().Ping().Build()).Error()
		cancel()
		if err != nil {
			return
		}
	}
}

// subscription is one connection that is subscribed.
type subscription struct {
	client rueidis.DedicatedClient
	free   func()
	ended  <-chan error
}

func (l *listener) subscribe(ctx context.Context) (*subscription, error) {
	node := l.w.cfg.Nodes()[l.address]
	if node == nil {
		return nil, errNodeGone
	}
	ctx, cancel := context.WithTimeout(ctx, l.w.cfg.Timeout)
	defer cancel()
	client, free := node.Dedicate()
	s := &subscription{client: client, free: free}
	flags, known := l.w.flags(ctx, client)
	// Called on the connection's own goroutine: hand off at once.
	s.ended = client.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: l.w.report})
	pattern := Pattern(l.w.cfg.Layout.Service(), flags, known)
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
