package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

const crashSession = 600 * time.Millisecond

// TestStreamThatKillsItsOwnersBecomesADeadLetter: every process that takes it dies at once, and with it goes what else it
// holds. It ends in the dead letters, with the reason; the others do not follow it, and sent back it starts from zero.
func TestStreamThatKillsItsOwnersBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	const innocents, limit = 15, 6
	w := newWorld(t)
	s := spec{Name: "n", Session: crashSession, Lease: 2 * crashSession, Pages: 10_000, Killer: stream(innocents), Recovery: scan.Config{
		Interval: time.Second, MaxCrashes: limit, CrashDelay: 200 * time.Millisecond, MaxCrashDelay: time.Second,
	}}
	w.add(upTo(innocents + 1)...)
	c := w.child(s)
	deaths := 0
	w.until("the killer is a dead letter", func() bool {
		if c.gone() {
			deaths++
			require.LessOrEqual(t, deaths, 3*limit+1)
			c = w.child(s)
		}
		return w.Num("XLEN", w.keys.DeadLetters) > 0
	})
	t.Logf("%d deaths", deaths)
	require.Greater(t, deaths, limit)
	w.until("the others are owned in peace", func() bool { return c.held() == innocents })
	require.False(t, c.gone())
	letters, err := w.Try("XRANGE", w.keys.DeadLetters, "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, letters, 1)
	letter := letters[0].FieldValues
	require.Contains(t, letter[lease.FieldAnnouncement], `"`+stream(innocents)+`"`)
	require.True(t, strings.HasPrefix(letter[lease.FieldReason], "crashes: "), letter[lease.FieldReason])
	require.NotEmpty(t, letter[lease.FieldOriginalID])
	require.Contains(t, letter[lease.FieldLastOwner], "n.")
	require.NotEmpty(t, letter[lease.FieldDeadAt])
	w.checkOwners()
}

// TestStreamThatOutlivesManyProcessesIsNoDeadLetter: a stream that each owner held for long has a right to the next one,
// however many die under it.
func TestStreamThatOutlivesManyProcessesIsNoDeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := spec{Name: "n", Session: crashSession, Lease: 2 * crashSession, Pages: 1000, Recovery: scan.Config{
		MaxCrashes: 1, StableAfter: 300 * time.Millisecond, CrashDelay: time.Millisecond, MaxCrashDelay: time.Millisecond,
	}}
	w.add(0)
	for range 5 {
		c := w.child(s)
		w.ownedBy(1, c)
		w.passes(600 * time.Millisecond) // held for twice StableAfter, whatever the beats
		c.kill()
	}
	c := w.child(s)
	w.ownedBy(1, c)
	require.Zero(t, w.Num("XLEN", w.keys.DeadLetters))
	entries, err := w.Try("XRANGE", w.keys.Input, "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.NotContains(t, entries[0].FieldValues, lease.FieldCrashes)

	// Without that it would be one: held for a shorter time, it dies twice and no more.
	s.Recovery.StableAfter = time.Hour
	for range 2 {
		c.kill()
		c = w.child(s)
		w.until("it is owned or given up", func() bool { return c.held() == 1 || w.Num("XLEN", w.keys.DeadLetters) == 1 })
	}
	require.Equal(t, 1, w.Num("XLEN", w.keys.DeadLetters))
}

// TestFailedStreamComesBackAfterItsDelayWhereverThatIs: the delay is kept in Redis, so it holds for whatever consumer, also
// when the one that failed is gone.
func TestFailedStreamComesBackAfterItsDelayWhereverThatIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const delay = 2 * time.Second
	cause := errors.New("not today")
	var failed int64
	retry := engine.WithRecovery(scan.Config{RetryDelay: delay, MaxRetries: 1})
	a := w.party("a", func(_ *party, n api.Notification) error {
		if n.Kind == api.Added {
			failed = w.Now()
			return cause
		}
		return nil
	}, retry)
	w.add(0)
	w.until("it waits", func() bool { return w.Num("ZCARD", w.keys.Later) == 1 })
	require.NoError(t, a.stop())
	got := make(chan api.Lease, 1)
	at := int64(0)
	b := w.party("b", func(_ *party, n api.Notification) error {
		if n.Kind == api.Added {
			at = w.Now()
			got <- n.Lease
		}
		return nil
	}, retry)
	w.ownedBy(1, b)
	l := <-got
	require.GreaterOrEqual(t, at-failed, delay.Milliseconds()*8/10, "not before its delay, less the jitter")
	require.Equal(t, 1, l.Attempt())
	require.NoError(t, l.Fail(context.Background(), cause))
	letters, err := w.Try("XRANGE", w.keys.DeadLetters, "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, letters, 1)
	require.Contains(t, letters[0].FieldValues[lease.FieldReason], cause.Error())
	require.Equal(t, "2", letters[0].FieldValues[lease.FieldRetries])
}

// TestNotBeforeOutlivesWhoReadIt: an announcement that was read before its time is not handed out before it, whatever
// becomes of who read it. A copy of the entry does not carry the time; it was handed out at once.
func TestNotBeforeOutlivesWhoReadIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link()
	// What it reads cannot be acquired, so it stays pending for the consumer.
	for _, script := range []string{"acquire", "requeue"} {
		w.faulty(link, script)
	}
	a := w.partyOn(link.ClientOption(), "a", nil, engine.WithSessionTTL(2*time.Second))
	at := w.Now() + time.Hour.Milliseconds()
	w.Do("XADD", w.keys.Input, "*", "lbs-input", `{"DataStreamName":"s-0"}`, "_not_before", fmt.Sprint(at))
	w.until("it is read", func() bool { return w.state().Pending == 1 })
	link.Cut()
	a.drop()
	b := w.party("b", nil)
	w.stateIs(state{Later: 1, Sessions: 1, Consumers: 1})
	due, err := w.Try("ZRANGE", w.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
	require.NoError(t, err)
	require.EqualValues(t, at, due[0].Score)
	require.Zero(t, b.toldOf("s-0"))
}
