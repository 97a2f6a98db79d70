package behave_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
)

// TestStreamsAnnouncedManyTimesHaveOneOwner: several producers announce the same streams three times each, and several engines take
// them. The members' own records show that no stream had two owners at once and that tokens rose. Every announcement is done in
// the end.
//
// The lock of the library that this one replaces was named after stream and announcement: a stream announced twice got two
// owners.
func TestStreamsAnnouncedManyTimesHaveOneOwner(t *testing.T) {
	t.Parallel()
	const streams, producers, times, engines = 40, 4, 3, 3
	h := newHarnessOf(t, 2)
	var done atomic.Int64
	var work sync.WaitGroup
	members := make([]*member, engines)
	for i := range members {
		m := h.member(fmt.Sprintf("e%d", i), nil, engine.WithLeaseTTL(3*shortTTL), engine.WithReadBatch(10))
		m.setHandler(api.Funcs{Added: func(_ context.Context, n api.Notification) error {
			work.Go(func() {
				// Look at the lease several times, to let the runtime schedule other goroutines in between.
				for range 50 {
					m.recorder.Look(n.Lease)
					select {
					case <-n.Lease.Context().Done():
						return
					case <-time.After(100 * time.Microsecond):
					}
				}
				m.recorder.Look(n.Lease)
				if n.Lease.Done(context.Background()) == nil {
					done.Add(1)
				}
			})
			return nil
		}})
		m.run()
		members[i] = m
	}
	var producing sync.WaitGroup
	for range producers {
		producing.Go(func() {
			for range times {
				h.announce(names("s", streams)...)
			}
		})
	}
	producing.Wait()
	const all = streams * producers * times
	until(t, "every announcement is done", func() bool { return done.Load() >= all })
	work.Wait()
	require.EqualValues(t, all, done.Load())
	h.stateIs(state{Sessions: engines, Consumers: engines})
	var records []overlap.Record
	for _, m := range members {
		records = append(records, m.recorder.Records()...)
		require.Zero(t, m.notified(api.Disowned))
		require.Zero(t, m.engine.Stats().Parked)
		for s, x := range m.owned() {
			require.IsIncreasing(t, x.tokens, "tokens of %s", s)
		}
	}
	require.Len(t, records, all, "one ownership per announcement")
	require.NoError(t, overlap.Check(records))
}

// TestOwnerIsNotifiedThatItsStreamWasAnnouncedAgain: once per ownership, however often the stream is announced. Done, Release
// and Fail make way for the next announcement.
func TestOwnerIsNotifiedThatItsStreamWasAnnouncedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	m := h.start("a", nil, quick(3)...)
	h.announce("s")
	first := m.lease("s", 1)
	h.announce("s")
	until(t, "the owner is notified", func() bool { return m.notifiedOf("s", api.Superseded) == 1 })
	h.announce("s", "s")
	until(t, "all are parked", func() bool { return m.engine.Stats().Parked == 3 })
	h.stateIs(state{Input: 4, Pending: 4, Leases: 1, Sessions: 1, Consumers: 1})
	require.Equal(t, 1, m.notifiedOf("s", api.Superseded))
	require.Positive(t, first.Remaining(), "still the owner")

	require.NoError(t, first.Done(ctx))
	second := m.lease("s", 2)
	require.Greater(t, second.Token(), first.Token())
	until(t, "the next owner is notified", func() bool { return m.notifiedOf("s", api.Superseded) == 2 })
	h.stateIs(state{Input: 3, Pending: 3, Leases: 1, Sessions: 1, Consumers: 1})

	require.NoError(t, second.Release(ctx)) // it queues behind the others
	third := m.lease("s", 3)
	require.NoError(t, third.Fail(ctx, errWork))
	for n := 4; n <= 6; n++ {
		require.NoError(t, m.lease("s", n).Done(ctx), "announcement %d", n)
	}
	h.stateIs(state{Sessions: 1, Consumers: 1})
	require.Equal(t, 6, m.notifiedOf("s", api.Added))
	require.Zero(t, m.notified(api.Disowned))
}

// TestOwnerLearnsWhatAnotherProcessRead: another engine reads the newer announcement, and the owner learns of it with a renewal.
func TestOwnerLearnsWhatAnotherProcessRead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.start("a", nil, engine.WithMaxStreams(1), engine.WithLeaseTTL(shortTTL))
	h.announce("s")
	l := a.lease("s", 1)
	b := h.start("b", nil)
	h.announce("s")
	until(t, "the other engine parks it", func() bool { return b.engine.Stats().Parked == 1 })
	until(t, "the owner is notified", func() bool { return a.notifiedOf("s", api.Superseded) == 1 })
	require.Zero(t, b.notified(api.Added))
	a.recorder.Look(l)
	require.NoError(t, l.Done(context.Background()))
	next := b.lease("s", 1)
	require.Greater(t, next.Token(), l.Token())
	require.NoError(t, overlap.CheckAll(a.recorder, b.recorder))
	h.stateIs(state{Input: 1, Pending: 1, Leases: 1, Sessions: 2, Consumers: 2})
}

// TestFloodOfAnnouncements: up to 10,000 held streams are announced four more times, and as many others for tomorrow. Parked entries stay
// within MaxParked, and entries being requeued within a few reads. Commands stay bounded, reading does not pause, and nothing
// starves.
func TestFloodOfAnnouncements(t *testing.T) {
	const again, parked = 4, 1000
	many := on.streams
	h := newHarness(t)
	ctx := context.Background()
	streams := names("s", many)
	m := h.start("a", nil, engine.WithMaxParked(parked), engine.WithLeaseTTL(20*time.Second))
	h.announce(streams...)
	m.holds(many)

	overfull := func() bool {
		s := m.engine.Stats()
		return s.Parked > parked || s.Ending > 6*engine.DefaultReadBatch
	}
	for range again {
		h.announce(streams...)
		require.False(t, overfull())
	}
	tomorrow := h.serverTime().Add(24 * time.Hour)
	publisher := h.publisher()
	items := make([]api.Announcement, many)
	for i := range items {
		items[i] = api.Announcement{Stream: fmt.Sprintf("tomorrow-%d", i), NotBefore: tomorrow}
	}
	_, err := publisher.PublishMany(ctx, items...)
	require.NoError(t, err)

	// Reading never pauses: what is announced behind all of these is taken.
	h.announce("fresh")
	require.Positive(t, m.lease("fresh", 1).Remaining())
	require.False(t, overfull())
	total := many + again*many + many + 1
	untilEvery(t, 50*time.Millisecond, "everything has been read and put in its place", func() bool {
		s := h.state()
		return s.Pending <= many+1+parked && s.Input == s.Pending && s.Input+s.Later == total
	})
	require.Equal(t, parked, m.engine.Stats().Parked)
	require.Equal(t, many+1, m.engine.Stats().Held)

	// Nothing starves: each of the streams that are ended now is handed out again, some by delayed announcements.
	ended := slices.Concat(streams[:100], streams[many-100:])
	for _, s := range ended {
		require.NoError(t, m.engine.DoneStream(ctx, s))
	}

	// While each lease is renewed twice, scripts are far fewer than renewals. Entries beyond MaxParked come back once in half a
	// minute to a minute, and are delayed again.
	kept := func() float64 { return m.metric("renewals_total", "result", "kept") }
	from, before := kept(), h.scripts(t)
	untilEvery(t, 50*time.Millisecond, "each lease was renewed twice on average", func() bool {
		require.False(t, overfull())
		return kept() >= from+float64(2*many)
	})
	renewed, scripts := kept()-from, h.scripts(t)-before
	t.Logf("%d scripts while %.0f leases were renewed", scripts, renewed)
	if h.layout.Partitions() == 1 { // each partition has batches of its own
		require.Less(t, float64(scripts), renewed/20)
	}

	until(t, "their next announcements are handled", func() bool {
		return !slices.ContainsFunc(ended, func(s string) bool { return m.notifiedOf(s, api.Added) < 2 })
	})
	require.Zero(t, m.notified(api.Disowned))
	require.False(t, overfull())
	require.Zero(t, h.countField("_retry_count"))
	for s, x := range m.owned() {
		require.IsIncreasing(t, append([]api.Token{0}, x.tokens...), "tokens of %s", s)
	}
	require.NoError(t, m.shutdown())
	h.checkRequeued(total - len(ended))
}
