package recovery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/telemetry"
)

// The library that this one replaces has eight faults, each of which was reproduced there. Each has a test here, numbered like the
// fault. Other packages look at some of them more closely: test/behave in TestShutdown… and TestBlockedWorkersLoseNoLease,
// test/faults in TestLinkGoesAwayAndComesBack.

// Fault 1: shutting down a client acknowledged and deleted every stream that it still owned, so the work was lost.
func TestLegacy1ShutdownLosesNoWork(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.member("a", nil)
	h.add(upTo(200)...)
	h.ownedBy(200, a)
	require.NoError(t, a.stop())
	h.stateIs(state{Input: 200})
	h.member("b", finishAll)
	h.stateIs(state{Sessions: 1, Consumers: 1})
	h.checkDone()
	h.checkOwners()
}

// Fault 2: the lock was named after the stream and the announcement, so a stream announced twice got two owners.
func TestLegacy2StreamAnnouncedTwiceHasOneOwner(t *testing.T) {
	t.Parallel()
	const streams = 50
	h := newHarness(t)
	a, b := h.member("a", nil, engine.WithReadBatch(1)), h.member("b", nil, engine.WithReadBatch(1))
	h.add(append(upTo(streams), upTo(streams)...)...)
	h.ownedBy(streams, a, b)
	h.until("the others are parked", func() bool { return a.engine.Stats().Parked+b.engine.Stats().Parked == streams })
	h.stateIs(state{Input: 2 * streams, Pending: 2 * streams, Leases: streams, Sessions: 2, Consumers: 2})
	// Each announcement is handled, one after another.
	for h.open() > 0 {
		for _, m := range []*member{a, b} {
			for l := range m.engine.Leases() {
				_ = m.finish(l) // one that is not added yet has another turn
			}
		}
	}
	added := 0
	for n := range streams {
		added += a.timesAdded(stream(n)) + b.timesAdded(stream(n))
	}
	require.Equal(t, 2*streams, added)
	h.checkOwners()
}

// Fault 3: a client that was cut off from Redis kept believing that it owned its streams, for seconds in parallel with the next
// owner.
func TestLegacy3CutOffOwnerStopsBelieving(t *testing.T) {
	t.Parallel()
	const streams = 200
	h := newHarness(t)
	link := h.link()
	a := h.memberOn(link.ClientOption(), "a", nil, engine.WithSessionTTL(time.Second), engine.WithLeaseTTL(2*time.Second))
	h.add(upTo(streams)...)
	h.ownedBy(streams, a)
	b := h.member("b", nil)
	link.Stall()
	h.ownedBy(streams, b)
	for l := range a.engine.Leases() {
		require.Fail(t, "still believes that it owns "+l.Stream())
	}
	require.Equal(t, streams, a.lost())
	h.checkOwners()
	link.Resume()
}

// Fault 4: with more than 10,000 pending announcements the start never ended, and kept Redis busy meanwhile.
func TestLegacy4StartWithMoreThanTenThousandPending(t *testing.T) {
	const pending = 10_500
	h := newHarness(t)
	store := h.rawStore(10 * time.Second)
	_, err := store.Open(context.Background(), 0, "living.1", 0)
	require.NoError(t, err)
	h.add(upTo(pending)...)
	_, err = store.Read(context.Background(), 0, "living.1", pending, time.Millisecond)
	require.NoError(t, err)
	h.Do("ZADD", h.keys.Sessions, fmt.Sprint(h.Now()+time.Hour.Milliseconds()), "living.1")

	before := h.commands()
	a := h.member("a", nil, engine.WithRecovery(scan.Config{Interval: 200 * time.Millisecond}))
	h.add(pending)
	h.ownedBy(1, a)
	h.until("it has scanned", func() bool { return a.metric("script_duration_seconds", "script", "peers") >= 3 })
	require.Less(t, h.commands()-before, int64(pending/10), "commands do not grow with the entries pending for others")
	h.stateIs(state{Input: pending + 1, Pending: pending + 1, Leases: 1, Sessions: 2, Consumers: 2})

	h.Do("ZADD", h.keys.Sessions, "1", "living.1")
	h.ownedBy(pending+1, a)
	h.recoveredBy(a, pending)
}

// Fault 5: a starting client stole streams from live ones, and reset the idle time of the orphans that it failed to take, so that
// nobody could take them.
func TestLegacy5StartTakesNothingAndResetsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	store := h.rawStore(10 * time.Second)
	ctx := context.Background()
	for _, name := range []string{"living.1", "unknown.1"} {
		_, err := store.Open(ctx, 0, name, 0)
		require.NoError(t, err)
		h.add(upTo(100)...)
		_, err = store.Read(ctx, 0, name, 100, time.Millisecond)
		require.NoError(t, err)
	}
	h.Do("ZADD", h.keys.Sessions, fmt.Sprint(h.Now()+time.Hour.Milliseconds()), "living.1")
	h.Do("ZREM", h.keys.Sessions, "unknown.1")
	const hour = "3600000"
	for _, name := range []string{"living.1", "unknown.1"} {
		for _, id := range h.pendingOf(name) {
			h.Do("XCLAIM", h.keys.Input, h.layout.Group(), name, "0", id.id, "IDLE", hour, "RETRYCOUNT", "1", "JUSTID")
		}
	}
	for i := range 3 {
		m := h.member(fmt.Sprint("p-", i), nil, engine.WithRecovery(scan.Config{Interval: 200 * time.Millisecond}))
		h.until("it has scanned", func() bool { return m.metric("script_duration_seconds", "script", "peers") >= 3 })
	}
	for _, name := range []string{"living.1", "unknown.1"} {
		rows := h.pendingOf(name)
		require.Len(t, rows, 100, name)
		for _, row := range rows {
			require.GreaterOrEqual(t, row.idle, time.Hour)
			require.EqualValues(t, 1, row.deliveries)
		}
	}
	require.Zero(t, h.heldByAll())
}

// row is a row of XPENDING.
type row struct {
	id         string
	idle       time.Duration
	deliveries int64
}

func (h *harness) pendingOf(consumer string) (out []row) {
	h.T.Helper()
	rows, err := h.Try("XPENDING", h.keys.Input, h.layout.Group(), "-", "+", "100000", consumer).ToArray()
	require.NoError(h.T, err)
	for _, r := range rows {
		parts, err := r.ToArray()
		require.NoError(h.T, err)
		id, _ := parts[0].ToString()
		idle, _ := parts[2].AsInt64()
		deliveries, _ := parts[3].AsInt64()
		out = append(out, row{id, time.Duration(idle) * time.Millisecond, deliveries})
	}
	return out
}

// Fault 6: one malformed announcement stopped the reader forever.
func TestLegacy6MalformedAnnouncementStopsNobody(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	malformed := [][]string{
		{"lbs-input", "no json"}, {"lbs-input", ""}, {"lbs-input", "null"}, {"lbs-input", `{"DataStreamName":7}`},
		{"lbs-input", `{"DataStreamName":""}`}, {"lbs-input", "{}"}, {"else", "x"}, {"lbs-input", "\xff\xfe"},
		{"lbs-input", `{"DataStreamName":"s-0"`}, {"lbs-input", `{"DataStreamName":"s-0"}`, "_not_before", "soon"},
	}
	h.member("a", finishAll)
	for i, fields := range malformed {
		h.Do(append([]string{"XADD", h.keys.Input, "*"}, fields...)...)
		h.add(i)
	}
	h.stateIs(state{Sessions: 1, Consumers: 1, Dead: len(malformed)})
	h.checkDone()
	letters, err := h.Try("XRANGE", h.keys.DeadLetters, "-", "+").AsXRange()
	require.NoError(t, err)
	for _, l := range letters {
		require.Contains(t, l.FieldValues[lease.FieldReason], "malformed: ")
	}
}

// Fault 7: a slow reader of notifications blocked the extension of its locks, and lost them.
func TestLegacy7SlowReaderOfNotificationsLosesNoLease(t *testing.T) {
	t.Parallel()
	const streams = 100
	h := newHarness(t)
	// Notifications go to a channel that nobody reads.
	e, err := engine.Open(h.server.ClientOption(), service, engine.WithLeaseTTL(time.Second), engine.WithSessionTTL(time.Second))
	require.NoError(t, err)
	notices, err := e.Start(context.Background())
	require.NoError(t, err)
	h.add(upTo(streams)...)
	h.until("some are held", func() bool { return e.Stats().Held > 0 })
	held := e.Stats().Held
	h.awaitTime(4 * time.Second)
	require.GreaterOrEqual(t, e.Stats().Held, held)
	lost := 0
	for range streams {
		n := <-notices
		if n.Kind == api.Disowned {
			lost++
		}
		require.Equal(t, api.Added, n.Kind)
		require.Positive(t, n.Lease.Remaining(), n.Stream)
	}
	require.Zero(t, lost)
	go func() {
		for n := range notices {
			if n.Kind == api.Releasing {
				_ = n.Lease.Release(context.Background())
			}
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, e.Shutdown(ctx))
}

// Fault 8: every client was notified of every expiry, and all raced to claim; metrics had a label per stream.
func TestLegacy8OneRecoversAndNobodyElseIsNotified(t *testing.T) {
	t.Parallel()
	const streams = 500
	h := newHarness(t)
	link := h.link()
	a := h.memberOn(link.ClientOption(), "a", nil, engine.WithSessionTTL(3*time.Second), engine.WithLeaseTTL(3*time.Second))
	for i := range 4 {
		h.member(fmt.Sprint("p-", i), nil)
	}
	series := telemetry.Series(t, a.registry)
	for _, m := range h.fleet[1:] {
		m.engine.SetMaxStreams(1)
	}
	h.add(upTo(4)...)
	h.add(upTo(streams)...)
	h.until("everything is owned", func() bool { return h.heldByAll() >= streams })
	require.Less(t, telemetry.Series(t, a.registry)-series, streams/10, "no series per stream")
	for _, m := range h.fleet[1:] {
		m.engine.SetMaxStreams(0)
	}
	h.until("everything is added", func() bool { return h.addedByAll() == streams })
	held := a.held()
	link.Cut()
	h.until("the others own everything", func() bool { return a.held() == 0 && h.heldByAll() == streams })
	h.until("each stream is added once", func() bool { return h.addedByAll() >= streams+held })
	require.Equal(t, streams+held, h.addedByAll(), "and nobody is notified of anything else")
	h.until("what was recovered is counted, which comes after its streams were handed out", func() bool {
		recovered := 0.0
		for _, m := range h.fleet[1:] {
			recovered += m.metric("recovered_total")
		}
		return recovered >= float64(held)
	})
	tries := 0.0
	for _, m := range h.fleet[1:] {
		tries += m.metric("acquisitions_total", "result", "held")
		require.Zero(t, m.lost())
	}
	require.Less(t, tries, float64(streams), "nobody races")
	h.checkOwners()
	link.Restore()
}

func (h *harness) addedByAll() (n int) {
	for _, m := range h.fleet {
		m.mu.Lock()
		for _, times := range m.added {
			n += times
		}
		m.mu.Unlock()
	}
	return n
}
