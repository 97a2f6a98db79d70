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

// faulty has a script refused on a link.
func (w *world) faulty(link *proxy.Proxy, script string) (repair func()) {
	return link.Inject(proxy.Fault{Command: script, Action: proxy.ReplyError, Error: "BUSY injected"})
}

// bare are the scripts on a client of the test, for consumers that are nothing but names.
func (w *world) bare(session time.Duration) *lease.Store {
	w.t.Helper()
	layout, err := cluster.NewLayout(service, 1)
	require.NoError(w.t, err)
	store := lease.NewStore(layout, lease.Settings{
		LeaseTTL: 30 * time.Second, SessionTTL: session, Gap: time.Hour, Settle: true, Timeout: patience,
	}, w.Client, w.Client, nil)
	// As every member does before it opens a session: whoever comes next waits for the record of those who live.
	require.NoError(w.t, store.Agree(context.Background()))
	return store
}

// TestHundredDeadConsumersAreGoneAfterAScan: nothing is pending for them. Half have sessions that are past, half none at
// all, as consumers of another library. The one that lives, and what is pending for it, stays.
func TestHundredDeadConsumersAreGoneAfterAScan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.bare(10 * time.Second)
	for i := range 100 {
		name := fmt.Sprint("old.", i)
		_, err := store.Open(context.Background(), 0, name, 0)
		require.NoError(t, err)
		if i%2 == 0 {
			w.Do("ZADD", w.keys.Sessions, "1", name)
		} else {
			w.Do("ZREM", w.keys.Sessions, name)
		}
	}
	require.Len(t, w.Consumers(w.keys.Input, w.layout.Group()), 100)
	a := w.party("a", nil, engine.WithRecovery(scan.Config{Interval: time.Second}))
	w.add(upTo(10)...)
	w.stateIs(state{Input: 10, Pending: 10, Leases: 10, Sessions: 1, Consumers: 1})
	// A call that was not answered in time has removed some and counts none.
	w.until("those are counted that were removed", func() bool { n := a.metric("consumers_removed_total"); return n > 0 && n <= 100 })
	require.Zero(t, a.metric("recovered_total"))
	require.Zero(t, a.lost())
}

// TestConsumerWakesUpAfterItsRemoval: a process stands still for so long that others recover all it had and remove it from
// the group. It wakes up, knows at once that nothing is its own, and goes on under a new session. Nobody's entries are
// destroyed by that.
func TestConsumerWakesUpAfterItsRemoval(t *testing.T) {
	t.Parallel()
	const streams = 50
	w := newWorld(t)
	c := w.child(spec{Name: "sleeper", Session: 3 * time.Second, Lease: 6 * time.Second, Work: 0})
	w.add(upTo(streams)...)
	w.ownedBy(streams, c)
	before := w.Consumers(w.keys.Input, w.layout.Group())
	require.Len(t, before, 1)
	a := w.party("a", nil)
	for range 3 {
		c.pause()
		w.until("it is removed", func() bool { return !slices.Contains(w.Consumers(w.keys.Input, w.layout.Group()), before[0]) })
		w.until("all is owned by the other", func() bool { return a.held() == streams })
		w.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 1, Consumers: 1})
		c.resume()
		w.until("it is back under another name", func() bool {
			names := w.Consumers(w.keys.Input, w.layout.Group())
			return len(names) == 2 && !slices.Contains(names, before[0])
		})
		require.Zero(t, c.held())
		// Hands everything over to the one that woke up, which shows that it works.
		a.engine.SetMaxStreams(1)
		w.until("it owns again", func() bool { return a.held()+c.held() == streams && a.held() <= 1 })
		before = nil
		for _, name := range w.Consumers(w.keys.Input, w.layout.Group()) {
			if name != a.engine.ID() {
				before = append(before, name)
			}
		}
		require.Len(t, before, 1)
		a.engine.SetMaxStreams(0)
	}
	w.checkOwners()
	require.Zero(t, w.Num("XLEN", w.keys.DeadLetters))
}

// TestWhatALostSessionLeftCountsNoCrash: an engine loses its session and finds it again first, before anybody else: it
// gives back by its own hand what was pending, its own scanner does not recover it as a dead consumer's, and no crash is
// counted.
func TestWhatALostSessionLeftCountsNoCrash(t *testing.T) {
	t.Parallel()
	const streams = 300
	w := newWorld(t)
	link := w.link()
	a := w.partyOn(link.ClientOption(), "a", nil, engine.WithSessionTTL(time.Second), engine.WithLeaseTTL(2*time.Second))
	w.add(upTo(streams)...)
	w.ownedBy(streams, a)
	for range 5 {
		link.Cut()
		w.until("all is lost", func() bool { return a.held() == 0 })
		// The server has found it dead, too.
		w.until("its session is past", func() bool { return w.Num("ZCOUNT", w.keys.Sessions, "0", fmt.Sprint(w.Now())) > 0 })
		link.Restore()
		w.ownedBy(streams, a)
		require.Zero(t, a.metric("recovered_total"))
		require.Zero(t, w.countField(lease.FieldCrashes))
	}
	w.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 1, Consumers: 1})
	w.checkOwners()
}

// countField is in how many entries a field is.
func (w *world) countField(name string) (n int) {
	w.t.Helper()
	entries, err := w.Try("XRANGE", w.keys.Input, "-", "+").AsXRange()
	require.NoError(w.t, err)
	for _, e := range entries {
		if _, ok := e.FieldValues[name]; ok {
			n++
		}
	}
	return n
}

// TestForeignConsumerThatIsAliveIsLeftAlone: a consumer of the library that this one follows has an entry and its lock. It
// appears after we have started; it is reported, and its entry is left alone until the lock is gone.
func TestForeignConsumerThatIsAliveIsLeftAlone(t *testing.T) {
	t.Parallel()
	const foreign = lease.LegacyPrefix + "old-pod"
	w := newWorld(t)
	a := w.party("a", nil, engine.WithSessionTTL(time.Second), engine.WithMaxStreams(1),
		engine.WithRecovery(scan.Config{Interval: 500 * time.Millisecond}))
	w.add(0)
	w.ownedBy(1, a)
	w.add(1)
	answer, err := w.Try("XREADGROUP", "GROUP", w.layout.Group(), foreign, "COUNT", "1", "STREAMS", w.keys.Input, ">").AsXRead()
	require.NoError(t, err)
	id := answer[w.keys.Input][0].ID
	w.Do("SET", stream(1)+":"+id, "x", "PX", "600000")
	w.until("it is reported", func() bool {
		err := a.engine.Ready(context.Background())
		return err != nil && errors.Is(err, api.ErrForeignConsumers)
	})
	require.Equal(t, 2, w.state().Pending)
	require.Contains(t, w.Consumers(w.keys.Input, w.layout.Group()), foreign)
	w.Do("DEL", stream(1)+":"+id)
	a.engine.SetMaxStreams(0)
	w.ownedBy(2, a)
	w.until("it is no longer reported", func() bool { return a.engine.Ready(context.Background()) == nil })
	require.Zero(t, w.countField(lease.FieldCrashes))
}
