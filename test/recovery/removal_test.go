package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/proxy"
)

// refuse makes a link reply to a script with an error.
func (h *harness) refuse(link *proxy.Proxy, script string) (repair func()) {
	return link.Inject(proxy.Fault{Command: script, Action: proxy.ReplyError, Error: "BUSY injected"})
}

// rawStore returns the scripts on the client of the test, for consumers that exist only by name.
func (h *harness) rawStore(session time.Duration) *lease.Store {
	h.T.Helper()
	layout, err := cluster.NewLayout(service, 1)
	require.NoError(h.T, err)
	store := lease.NewStore(layout, lease.Settings{
		LeaseTTL: 30 * time.Second, SessionTTL: session, Gap: time.Hour, Settle: true, Timeout: patience,
	}, h.Client, h.Client, nil)
	// As every engine does before it opens a session: the next one waits for the record of the live ones.
	require.NoError(h.T, store.Agree(context.Background()))
	return store
}

// TestHundredDeadConsumersAreGoneAfterAScan: nothing is pending for them. Half have expired sessions, half have none at all, like
// consumers of another library. The live one and its pending entries stay.
func TestHundredDeadConsumersAreGoneAfterAScan(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	store := h.rawStore(10 * time.Second)
	for i := range 100 {
		name := fmt.Sprint("old.", i)
		_, err := store.Open(context.Background(), 0, name, 0)
		require.NoError(t, err)
		if i%2 == 0 {
			h.Do("ZADD", h.keys.Sessions, "1", name)
		} else {
			h.Do("ZREM", h.keys.Sessions, name)
		}
	}
	require.Len(t, h.Consumers(h.keys.Input, h.layout.Group()), 100)
	a := h.member("a", nil, engine.WithRecovery(scan.Config{Interval: time.Second}))
	h.add(upTo(10)...)
	h.stateIs(state{Input: 10, Pending: 10, Leases: 10, Sessions: 1, Consumers: 1})
	// A call whose reply was late has removed some and counted none.
	h.until("removed consumers are counted", func() bool { n := a.metric("consumers_removed_total"); return n > 0 && n <= 100 })
	require.Zero(t, a.metric("recovered_total"))
	require.Zero(t, a.lost())
}

// TestConsumerWakesUpAfterItsRemoval: a process is paused for so long that others recover everything it had and remove it from the
// group. When it wakes up it knows at once that it owns nothing, and carries on with a new session. This destroys no entries.
func TestConsumerWakesUpAfterItsRemoval(t *testing.T) {
	t.Parallel()
	const streams = 50
	h := newHarness(t)
	c := h.child(spec{Name: "sleeper", Session: 3 * time.Second, Lease: 6 * time.Second, Work: 0})
	h.add(upTo(streams)...)
	h.ownedBy(streams, c)
	before := h.Consumers(h.keys.Input, h.layout.Group())
	require.Len(t, before, 1)
	a := h.member("a", nil)
	for range 3 {
		c.pause()
		h.until("it is removed", func() bool { return !slices.Contains(h.Consumers(h.keys.Input, h.layout.Group()), before[0]) })
		h.until("the other one owns everything", func() bool { return a.held() == streams })
		h.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 1, Consumers: 1})
		c.resume()
		h.until("it is back under another name", func() bool {
			names := h.Consumers(h.keys.Input, h.layout.Group())
			return len(names) == 2 && !slices.Contains(names, before[0])
		})
		require.Zero(t, c.held())
		// Everything is handed over to the process that woke up, which shows that it works.
		a.engine.SetMaxStreams(1)
		h.until("it owns again", func() bool { return a.held()+c.held() == streams && a.held() <= 1 })
		before = nil
		for _, name := range h.Consumers(h.keys.Input, h.layout.Group()) {
			if name != a.engine.ID() {
				before = append(before, name)
			}
		}
		require.Len(t, before, 1)
		a.engine.SetMaxStreams(0)
	}
	h.checkOwners()
	require.Zero(t, h.Num("XLEN", h.keys.DeadLetters))
}

// TestLostSessionCountsNoCrash: an engine loses its session, and is the first to notice when the link is back. It requeues what was
// pending by itself, its own recovery does not treat the session as a dead consumer, and no crash is counted.
func TestLostSessionCountsNoCrash(t *testing.T) {
	t.Parallel()
	const streams = 300
	h := newHarness(t)
	link := h.link()
	a := h.memberOn(link.ClientOption(), "a", nil, engine.WithSessionTTL(time.Second), engine.WithLeaseTTL(2*time.Second))
	h.add(upTo(streams)...)
	h.ownedBy(streams, a)
	for range 5 {
		link.Cut()
		h.until("everything is lost", func() bool { return a.held() == 0 })
		// It is dead by the server's clock, too.
		h.until("its session has expired", func() bool { return h.Num("ZCOUNT", h.keys.Sessions, "0", fmt.Sprint(h.Now())) > 0 })
		link.Restore()
		h.ownedBy(streams, a)
		require.Zero(t, a.metric("recovered_total"))
		require.Zero(t, h.countField(lease.FieldCrashes))
	}
	h.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 1, Consumers: 1})
	h.checkOwners()
}

// countField returns the number of entries that have a field.
func (h *harness) countField(name string) (n int) {
	h.T.Helper()
	entries, err := h.Try("XRANGE", h.keys.Input, "-", "+").AsXRange()
	require.NoError(h.T, err)
	for _, e := range entries {
		if _, ok := e.FieldValues[name]; ok {
			n++
		}
	}
	return n
}

// TestForeignConsumerThatIsAliveIsLeftAlone: a consumer of the library that this one replaces has an entry and its lock. It appears
// after our start. It is reported, and its entry is left alone until the lock is gone.
func TestForeignConsumerThatIsAliveIsLeftAlone(t *testing.T) {
	t.Parallel()
	const foreign = lease.LegacyPrefix + "old-pod"
	h := newHarness(t)
	a := h.member("a", nil, engine.WithSessionTTL(time.Second), engine.WithMaxStreams(1),
		engine.WithRecovery(scan.Config{Interval: 500 * time.Millisecond}))
	h.add(0)
	h.ownedBy(1, a)
	h.add(1)
	answer, err := h.Try("XREADGROUP", "GROUP", h.layout.Group(), foreign, "COUNT", "1", "STREAMS", h.keys.Input, ">").AsXRead()
	require.NoError(t, err)
	id := answer[h.keys.Input][0].ID
	h.Do("SET", stream(1)+":"+id, "x", "PX", "600000")
	h.until("it is reported", func() bool {
		err := a.engine.Ready(context.Background())
		return err != nil && errors.Is(err, api.ErrForeignConsumers)
	})
	require.Equal(t, 2, h.state().Pending)
	require.Contains(t, h.Consumers(h.keys.Input, h.layout.Group()), foreign)
	h.Do("DEL", stream(1)+":"+id)
	a.engine.SetMaxStreams(0)
	h.ownedBy(2, a)
	h.until("it is no longer reported", func() bool { return a.engine.Ready(context.Background()) == nil })
	require.Zero(t, h.countField(lease.FieldCrashes))
}
