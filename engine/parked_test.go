package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/waitlist"
	"github.com/streamlease/streamlease/lease"
)

// gaps are the times between acquisitions.
func gaps(calls []fakeCall) (out []time.Duration) {
	var last time.Time
	for _, c := range calls {
		if c.op != "acquire" {
			continue
		}
		if !last.IsZero() {
			out = append(out, c.at.Sub(last))
		}
		last = c.at
	}
	return out
}

// A parked entry is retried with growing delays, from 100 ms up to 30 s while the holder stays the same, and up to 2 s once
// the holder has changed.
func TestParkedEntriesAreRetriedWithBackoff(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.hold("s", "other.1", time.Hour)
		h.server.announce("s")
		e := h.start(nil)
		advance(10 * time.Minute)
		require.Equal(t, 1, e.Stats().Parked)
		list := gaps(e.fake.takeCalls())
		want := waitlist.FirstDelay
		for _, gap := range list {
			require.LessOrEqual(t, gap, want+2*time.Millisecond)
			require.GreaterOrEqual(t, gap, want*3/4)
			want = min(2*want, waitlist.MaxDelay)
		}
		require.Equal(t, waitlist.MaxDelay, want)
		require.InDelta(t, 30, len(list), 6)

		h.hold("s", "other.2", time.Hour)
		advance(waitlist.MaxDelay)
		e.fake.takeCalls()
		advance(time.Minute)
		list = gaps(e.fake.takeCalls())
		require.InDelta(t, 34, len(list), 6)
		for _, gap := range list {
			require.LessOrEqual(t, gap, waitlist.MaxDelayChanged+2*time.Millisecond)
		}
		// Nobody renews the lease any more: the stream is ours soon after it has ended.
		h.hold("s", "other.2", 5*time.Second)
		advance(5*time.Second + waitlist.MaxDelayChanged)
		e.held("s")
		require.Zero(t, e.Stats().Parked)
	})
}

// An entry that waits for a lease which ends soon is retried when it ends, not later.
func TestParkedEntryIsRetriedWhenTheLeaseEnds(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.hold("s", "other.1", time.Hour)
		h.server.announce("s")
		e := h.start(nil)
		advance(5 * time.Minute)
		h.hold("s", "other.1", 40*time.Second)
		advance(40*time.Second + waitlist.FirstDelay)
		e.held("s")
	})
}

// parked makes an engine wait for n streams that others hold, with further fields in their entries, and returns it.
func (h *harness) parked(n int, fields ...string) *testEngine {
	for _, s := range streams(n) {
		h.hold(s, "other.1", time.Hour)
		h.server.add(0, fakeBody(s, fields...))
	}
	e := h.start(nil)
	advance(time.Minute)
	require.Equal(h.t, n, e.Stats().Parked)
	e.fake.takeCalls()
	return e
}

// polled makes all parked entries due at the same time, and returns the acquisitions within a time.
func (e *testEngine) polled(n int, d time.Duration) []fakeCall {
	e.fake.takeCalls()
	for _, s := range streams(n) {
		e.parked.nudge(s)
	}
	advance(d)
	return slices.DeleteFunc(e.fake.takeCalls(), func(c fakeCall) bool { return c.op != "acquire" })
}

// Before Redis 7 the server reads every entry that it is asked for, so entries are batched up to a weight.
func TestParkedEntriesAreRetriedInBatchesOfBoundedWeight(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 20
		e := h.parked(n, "much", strings.Repeat("x", 1<<20))
		retried := make(map[string]bool)
		for _, c := range e.polled(n, waitlist.FirstDelay/4) {
			require.LessOrEqual(t, c.n, lease.MaxCallWeight>>20)
			for _, id := range c.entries {
				retried[id] = true
			}
		}
		require.Len(t, retried, n)

		for _, x := range e.parkedEntries(0) {
			if x.Stream == streams(1)[0] {
				x.Size = 2 * lease.MaxCallWeight
			}
		}
		retried = make(map[string]bool)
		for _, c := range e.polled(n, waitlist.FirstDelay/4) {
			for _, id := range c.entries {
				retried[id] = true
			}
		}
		require.Len(t, retried, n, "an entry that weighs more is retried alone")
	})
}

// A call that takes too long is not repeated as it was: the next ones ask for less, and grow again when that works.
//
// Trace: the same entries were due together a quarter of a second later, and kept the server busy forever.
func TestParkedBatchThatTakesTooLongIsSplit(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n, most = 64, 5
		e := h.parked(n)
		e.fake.failWhen(faultHang, func(c *fakeCall) bool { return c.op == "acquire" && c.n > most })
		retried := make(map[string]bool)
		for _, c := range e.polled(n, time.Minute) {
			if c.err == nil && !c.ended.IsZero() {
				for _, id := range c.entries {
					retried[id] = true
				}
			}
		}
		require.Len(t, retried, n)
		e.fake.setFault(nil)
		grown := 0
		for range 10 {
			for _, c := range e.polled(n, time.Second) {
				grown = max(grown, c.n)
			}
		}
		require.Equal(t, n, grown)
	})
}

// An entry that makes a call take too long is retried alone, now and then, and delays no other.
func TestParkedEntryThatTakesTooLongDelaysNoOther(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 30
		e := h.parked(n)
		bad := e.parkedEntries(0)[0].ID
		e.fake.failEntry(faultHang, bad, "acquire")
		for _, s := range streams(n) {
			h.hold(s, "other.1", time.Millisecond)
		}
		e.polled(n, 30*time.Second)
		require.Equal(t, n-1, e.Stats().Held)
		e.fake.takeCalls()
		advance(time.Minute)
		alone := 0
		for _, c := range e.fake.takeCalls() {
			if slices.Contains(c.entries, bad) {
				alone++
			}
		}
		require.InDelta(t, time.Minute/(e.cfg.timeout+waitlist.MaxDelayChanged), alone, 2)
		e.fake.setFault(nil)
		advance(e.cfg.timeout + waitlist.MaxDelayChanged)
		require.Equal(t, n, e.Stats().Held)
	})
}

// Of the entries of one stream only the one with the lowest ID is retried. Entries are handled in order, and at once when this
// process frees the stream.
func TestOnlyTheLowestParkedEntryIsRetried(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		h.server.announce("s")
		advance(time.Second)
		for range 20 {
			h.server.announce("s")
		}
		advance(time.Second)
		require.Equal(t, 20, e.Stats().Parked)
		require.Len(t, e.notified(api.Superseded), 1, "the owner is notified once")
		e.fake.takeCalls()
		advance(10 * time.Minute)
		require.Zero(t, countCalls(e.fake.takeCalls(), "acquire"), "this process knows that it holds the stream itself")
		var last string
		var token api.Token
		for i := range 21 {
			l := e.held("s")
			require.Greater(t, l.Token(), token)
			if last != "" {
				require.Positive(t, lease.CompareIDs(l.Entry(), last))
			}
			last, token = l.Entry(), l.Token()
			require.Equal(t, 20-i, e.Stats().Parked)
			require.NoError(t, l.Done(context.Background()))
			advance(5 * time.Millisecond)
		}
		for _, c := range e.fake.takeCalls() {
			if c.op == "acquire" {
				require.Equal(t, 1, c.n)
			}
		}
		require.Len(t, e.notified(api.Superseded), 20, "each owner but the last")
		undelivered, pending, later, _ := h.server.count()
		require.Equal(t, []int{0, 0, 0}, []int{undelivered, pending, later})
	})
}

// Announcements beyond MaxParked go to later and come back; reading never pauses for them, and none is lost.
func TestAnnouncementsBeyondMaxParkedGoToLater(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n, most = 500, 40
		e := h.start(nil, WithMaxParked(most))
		h.server.announce(streams(n)...)
		advance(time.Second)
		for range 3 {
			h.server.announce(streams(n)...)
		}
		h.server.announce("new")
		advance(time.Second)
		e.held("new")
		require.Equal(t, most, e.Stats().Parked)
		require.Equal(t, []int{0, n + 1 + most, 3*n - most, 0}, h.server.counts())
		e.fake.takeCalls()
		advance(10 * time.Minute)
		require.Equal(t, most, e.Stats().Parked)
		// Each of them comes round in 30 to 60 s. At most once per tick, all that are due then are promoted, read (the first, then
		// the others) and deferred again.
		require.Less(t, len(e.fake.takeCalls()), 10*60*50)
		for range 3*n + n + 1 {
			for l := range e.Leases() {
				go func() { _ = l.Done(context.Background()) }()
			}
			advance(time.Second)
		}
		require.Equal(t, []int{0, 0, 0, 0}, h.server.counts(), "all are done in the end")
		require.Len(t, e.notified(api.Added), 4*n+1)
	})
}

// An announcement that must not be handed out yet goes to later, and comes at its time.
func TestNotBefore(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		at := time.Now().Add(time.Hour)
		for _, s := range streams(1000) {
			h.server.add(0, fakeBody(s, lease.FieldNotBefore, strconv.FormatInt(at.UnixMilli(), 10)))
		}
		h.server.announce("now")
		advance(3 * time.Second)
		e.held("now")
		_, pending, later, _ := h.server.count()
		require.Equal(t, 1, pending)
		require.Equal(t, 1000, later)
		require.Zero(t, e.Stats().Parked)
		e.fake.takeCalls()
		advance(time.Until(at) - 2*time.Second)
		require.Equal(t, 1, e.Stats().Held)
		require.Zero(t, countCalls(e.fake.takeCalls(), "acquire", "requeue", "promote"))
		advance(2*time.Second + e.cfg.beat)
		require.Equal(t, 1001, e.Stats().Held)
	})
}

// A handler that is stuck on a stream which this process has lost keeps it here for a lease TTL; then others get it. If this
// process happens to read it again, it passes it on at once, more and more slowly. When the handler is done, it takes the
// stream.
func TestStreamOfAStuckHandlerGoesToOthers(t *testing.T) {
	const ttl = 12 * time.Second
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprintf("alone=%v", alone), func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				stuck := make(chan struct{})
				free := sync.OnceFunc(func() { close(stuck) })
				defer free()
				a := h.start(func(context.Context, api.Notification) error {
					<-stuck
					return nil
				}, WithLeaseTTL(ttl))
				h.server.announce("s")
				advance(time.Second)
				lost := a.held("s")
				var b *testEngine
				if !alone {
					b = h.start(nil, WithLeaseTTL(ttl))
				}
				a.fake.takeCalls()
				h.server.forgetLeases(0)
				// It takes a renewal to notice the loss, one lease TTL to give up, and then at most 30 s each time until chance
				// decides again who reads the stream: an hour has a hundred such draws.
				for range 3600 {
					if !alone && b.Stats().Held == 1 {
						break
					}
					advance(time.Second)
					require.False(t, a.table.Get("s") != nil && a.table.Get("s") != lost, "not acquired a second time while the handler runs")
				}
				if !alone {
					require.Equal(t, 1, b.Stats().Held)
					free()
					return
				}
				moved := countCalls(a.fake.takeCalls(), "requeue")
				require.Greater(t, moved, 60, "it is offered to others over and over")
				require.Less(t, moved, 200, "but not as fast as possible")
				free()
				advance(time.Minute)
				require.NotSame(t, lost, a.held("s"))
			})
		})
	}
}

// Nothing of an ended session stays in the list, and nothing of its successor is dropped with it.
//
// Trace: an announcement that was parked for the new session, while the leases of the old one were still being disowned, was
// forgotten: pending for a living consumer, which did not know of it. One that was read before the end and parked after it was
// retried under the ended session forever, with all later announcements of the stream behind it.
func TestParkingAcrossSessions(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(time.Second)
		entry := func(stream, id string) *lease.Entry {
			return &lease.Entry{Stream: stream, Key: h.layout.Keys(0).Lease(stream), ID: id}
		}
		old, list := e.session(0), e.parked.list
		held := lease.Take{Verdict: lease.HeldByOne, Left: time.Hour, Holder: "other.1 1"}
		e.fake.failOnly(faultError, "acquire")
		require.True(t, e.parked.park(old, entry("a", "1-1"), held))
		require.True(t, e.parked.park(old, entry("a", "1-2"), held))
		require.True(t, e.parked.park(old, entry("b", "1-3"), held))
		old.End()
		next := lease.NewSession(context.Background(), e.clock, 0, "next.1", e.clock.Now(), time.Hour)
		require.True(t, e.parked.park(next, entry("a", "1-4"), held))
		require.Equal(t, 2, e.Stats().Parked, "the row of the new session replaces that of the old one")
		require.True(t, e.parked.park(old, entry("c", "1-5"), held), "it is requeued with its session")
		require.False(t, list.Has("c"))
		list.Drop(old)
		require.True(t, list.HasEntry("a", "1-4"))
		require.False(t, list.Has("b"))
		require.Equal(t, 1, e.Stats().Parked)
		list.Drop(next)
		require.Zero(t, e.Stats().Parked)
	})
}
