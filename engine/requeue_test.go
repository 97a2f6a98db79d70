package engine

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// abandon delivers an announcement to a consumer that has no session, in a partition that need not be its own.
func (l *live) abandon(partition int, stream string) {
	l.t.Helper()
	input, group := l.layout.Keys(partition).Input, l.layout.Group()
	// In one step, so that the engine does not read it.
	l.do("EVAL", `redis.call('XADD', KEYS[1], '*', 'lbs-input', ARGV[2])
		return redis.call('XREADGROUP', 'GROUP', ARGV[1], 'stranger.1', 'STREAMS', KEYS[1], '>')`,
		"1", input, group, `{"DataStreamName":`+strconv.Quote(stream)+`}`)
}

// rarely makes recovery look only once, at the start.
func rarely() Option { return WithRecovery(scan.Config{Interval: time.Hour}) }

func TestRequeueOfAnOrphanedEntry(t *testing.T) {
	l := startLive(t, servers.New(t), nil, WithPartitions(2), rarely())
	l.looked(0)
	l.looked(1)
	home := ""
	for n := 0; home == ""; n++ {
		if name := "s" + strconv.Itoa(n); l.layout.Of(name) == 1 {
			home = name
		}
	}
	ctx := context.Background()
	require.ErrorIs(t, l.Requeue(ctx, home), api.ErrNotAnnounced)
	require.ErrorIs(t, l.Requeue(ctx, ""), api.ErrInvalidStream)

	l.abandon(1, home)
	require.NoError(t, l.Requeue(ctx, home))
	l.until("it is handed out", func() bool { return l.notified(api.Added, home) == 1 })
	require.ErrorIs(t, l.Requeue(ctx, home), api.ErrHeldElsewhere, "this process owns it")
	held, _ := l.Lease(home)
	require.NoError(t, held.Done(ctx))

	// The producer does not know of partitions, and the reader died before it forwarded the entry.
	l.abandon(0, home)
	require.NoError(t, l.Requeue(ctx, home))
	l.until("it is forwarded and handed out", func() bool { return l.notified(api.Added, home) == 2 })
	recovered, _ := l.metric("recovered_total")
	require.EqualValues(t, 2, recovered)
}

// Another process keeps its lease while its session lives, whatever else happens in the meantime.
func TestRequeueWhileTheOwnerLives(t *testing.T) {
	l := startLive(t, servers.New(t), nil, rarely())
	ctx := context.Background()
	other := lease.NewStore(l.layout, lease.Settings{LeaseTTL: time.Hour, SessionTTL: time.Hour, Gap: time.Hour, Settle: true,
		Timeout: 20 * time.Second}, l.client, l.client, nil)
	_, err := other.Open(ctx, 0, "other.1", 0)
	require.NoError(t, err)
	l.SetMaxStreams(0)
	// Delivered to the other consumer in one step, so that the engine does not read it.
	id := l.do("EVAL", `local id = redis.call('XADD', KEYS[1], '*', 'lbs-input', '{"DataStreamName":"x"}')
		redis.call('XREADGROUP', 'GROUP', ARGV[1], 'other.1', 'STREAMS', KEYS[1], '>') return id`,
		"1", l.layout.Keys(0).Input, l.layout.Group())
	entry, err := id.ToString()
	require.NoError(t, err)
	_, takes, err := other.Acquire(ctx, 0, "other.1", []*lease.Entry{{ID: entry, Key: l.layout.Keys(0).Lease("x")}})
	require.NoError(t, err)
	require.Equal(t, lease.Acquired, takes[0].Verdict)
	err = l.Requeue(ctx, "x")
	require.ErrorIs(t, err, api.ErrHeldElsewhere)
	require.ErrorContains(t, err, "other.1")

	// Once the other consumer counts as dead, the alarm of the beat recovers its entries, or this call does, whichever comes first.
	l.do("ZADD", l.layout.Keys(0).Sessions, "1", "other.1")
	if err := l.Requeue(ctx, "x"); err != nil {
		require.True(t, isAnyOf(err, api.ErrNotAnnounced, api.ErrHeldElsewhere), "%v", err)
	}
	l.until("it is handed out", func() bool { return l.notified(api.Added, "x") == 1 })
	require.Zero(t, l.num("XLEN", l.layout.Keys(0).Input)-1)
}

func TestRequeueNeedsARunningEngine(t *testing.T) {
	server := servers.New(t)
	e, err := New(server.Client(t), liveService)
	require.NoError(t, err)
	require.ErrorIs(t, e.Requeue(context.Background(), "x"), api.ErrNotReady)
	require.NoError(t, e.Shutdown(context.Background()))
}

// A stream whose announcement is delayed is not lost, and the error says until when. It may be delayed where its producer, which
// knows of no partitions, announced it.
func TestRequeueOfADelayedStream(t *testing.T) {
	l := startLive(t, servers.New(t), func(_ context.Context, n api.Notification) error {
		if n.Kind == api.Added && n.Lease.Attempt() == 0 {
			return api.Snooze(time.Hour)
		}
		return nil
	}, WithPartitions(2), rarely())
	l.looked(0)
	l.looked(1)
	home := ""
	for n := 0; home == ""; n++ {
		if name := "s" + strconv.Itoa(n); l.layout.Of(name) == 1 {
			home = name
		}
	}
	ctx := context.Background()
	l.announce(home)
	l.until("it is delayed", func() bool { return l.num("ZCARD", l.layout.Keys(1).Later) == 1 })
	l.until("its owner has the answer", func() bool { return l.Stats().Held == 0 })
	delayed := func() {
		t.Helper()
		var err *scan.DelayedError
		require.ErrorAs(t, l.Requeue(ctx, home), &err)
		require.WithinDuration(t, time.Now().Add(time.Hour), err.Until, time.Minute)
		require.Equal(t, home, err.Stream)
	}
	delayed()
	l.do("EVAL", `local m = redis.call('ZPOPMIN', KEYS[1])
		return redis.call('ZADD', KEYS[2], m[2], m[1])`, "2", l.layout.Keys(1).Later, l.layout.Keys(0).Later)
	delayed()

	i, err := l.Inspector(scan.InspectorConfig{})
	require.NoError(t, err)
	moved, gone, err := i.BringForward(ctx, scan.Selection{Stream: home})
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{moved, gone})
	l.until("it is handed out and snoozed again", func() bool { return l.notified(api.Added, home) == 2 })
}
