package maintenance

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/servers"
)

func moving(seq, seconds int, endpoint string) string {
	if endpoint == "" {
		return fmt.Sprintf(">4\r\n+MOVING\r\n:%d\r\n:%d\r\n_\r\n", seq, seconds)
	}
	return fmt.Sprintf(">4\r\n+MOVING\r\n:%d\r\n:%d\r\n+%s\r\n", seq, seconds, endpoint)
}

// settled is an engine that holds everything and is ready, and a watch on whether it stays so.
type settled struct {
	*member
	unready atomic.Pointer[error]
	ended   chan struct{}
	group   sync.WaitGroup
}

// settle starts an engine at an address of a server, and returns when it holds all streams.
func settle(t *testing.T, server *servers.Server, addr string, opts ...engine.Option) *settled {
	t.Helper()
	announce(t, server.Client(t), "moves", streams)
	s := &settled{member: join(t, "m", "moves", addr, overlap.NewClock(), opts...), ended: make(chan struct{})}
	eventually(t, "everything is held", func() bool { return s.Stats().Held == streams && s.Ready(context.Background()) == nil })
	s.group.Go(func() {
		for {
			if err := s.Ready(context.Background()); err != nil {
				s.unready.CompareAndSwap(nil, &err)
			}
			select {
			case <-s.ended:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	return s
}

// kept requires that nothing was lost, and that the engine was ready all the time.
func (s *settled) kept() {
	s.t.Helper()
	close(s.ended)
	s.group.Wait()
	if err := s.unready.Load(); err != nil {
		require.NoError(s.t, *err)
	}
	require.Zero(s.t, s.lost())
	require.Zero(s.t, s.events.Count(api.EventSessionLost))
	require.Equal(s.t, streams, s.Stats().Held)
}

// outlive waits until sessions and leases could not have lasted without renewals.
func (s *settled) outlive(from time.Time) {
	s.t.Helper()
	eventually(s.t, "every lease that was not renewed would have ended", func() bool { return time.Since(from) > leaseTTL+2*sessionTTL })
}

// The address of the server goes away at the announced time, as was announced together with the new one. Clients have left by then,
// no call has failed, and nothing is lost.
func TestAServerThatMovesIsFollowed(t *testing.T) {
	t.Parallel()
	server := servers.New(t)
	before, after := newFront(t, server.Addr()), newFront(t, server.Addr())
	s := settle(t, server, before.addr(), engine.WithMaintenance(window))
	eventually(t, "notices are listened to", func() bool { return before.Listening() == 1 })
	for range 3 { // one notice, repeated
		require.Equal(t, 1, before.Push(moving(7, 4, after.addr())))
	}
	announced := time.Now()
	eventually(t, "all connections lead to the new endpoint", func() bool { return before.clients() == 0 && before.Listening() == 0 })
	require.Less(t, time.Since(announced), 4*time.Second, "before the old one goes away")
	require.Zero(t, s.events.Count(api.EventRedisUnreachable), "no call has failed:\n%s", s.log.String())
	before.kill()
	require.Equal(t, 1, after.Listening())
	after.Push(moving(7, 4, after.addr())) // repeated on the new connection
	s.outlive(announced)
	require.Equal(t, 1, s.events.Count(api.EventServerMoved))
	require.Zero(t, s.events.Count(api.EventRedisUnreachable), s.log.String())
	s.kept()
}
