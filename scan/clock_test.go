package scan

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Trace: somebody takes the turn to scan, and the server's clock goes back by 58 minutes: what is set to expire expires that
// much later, and nobody adopted the unknown until then. So does a turn that lost its end.
func TestATurnOutlastsNoClockThatGoesBack(t *testing.T) {
	for name, command := range map[string][]string{"the clock went back": {"PEXPIRE", "3480000"}, "it has no end": {"PERSIST"}} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t)
			turn := func(me string) bool {
				mine, err := w.store.Turn(w.ctx, 0, me)
				require.NoError(t, err)
				return mine
			}
			require.True(t, turn(ann))
			require.False(t, turn(bea))
			w.Do(append([]string{command[0], w.keys.Scan}, command[1:]...)...)
			require.True(t, turn(bea))
			require.False(t, turn(ann))
			require.LessOrEqual(t, w.Num("PTTL", w.keys.Scan), int(w.set.Interval.Milliseconds()))
		})
	}
}

// The same with the claim of a recovery: who dies while it recovers somebody keeps others from that for as long as a claim
// lasts, and no longer.
func TestAClaimOutlastsNoClockThatGoesBack(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.kill(dead, time.Minute)
	_, err := w.at(ann).page(w.ctx, "-")
	require.NoError(t, err)
	w.Do("PEXPIRE", w.keys.Recover(dead), "3480000")
	_, err = w.store.Recover(w.ctx, 0, bea, dead)
	require.ErrorIs(t, err, ErrBusy)
	left := time.Duration(w.Num("PTTL", w.keys.Recover(dead))) * time.Millisecond
	require.LessOrEqual(t, left, ClaimTime)
	require.Positive(t, left)
	w.Do("DEL", w.keys.Recover(dead)) // when that has passed
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, w.recover(bea))
}

// Trace: a process dies, and the clock goes back by 58 minutes before its session is over. It was alive until the clock had
// caught up, and what it held was nobody's.
func TestTheDeadDoNotLiveOnWhenTheClockGoesBack(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	step := (58 * time.Minute).Milliseconds()
	for _, consumer := range []string{ann, bea, dead} {
		w.score(consumer, strconv.FormatInt(w.Now()+step+9000, 10))
	}
	w.score("!beat", strconv.FormatInt(-(w.Now()+step), 10))
	require.Empty(t, w.list(ann, true))
	_, err := w.leases.Beat(w.ctx, 0, ann, false)
	require.NoError(t, err)
	until, err := strconv.ParseFloat(w.deadline(dead), 64)
	require.NoError(t, err)
	require.LessOrEqual(t, int64(until), int64(w.Now())+w.set.SessionTTL.Milliseconds())
	w.kill(dead, 0) // when that has passed
	require.Equal(t, []string{dead}, w.list(ann, false))
	require.Equal(t, 1, w.recover(ann).Entries)
}

// ofTTL is a consumer with sessions of another TTL than its peers.
func (w *ward) ofTTL(consumer string, ttl time.Duration) *lease.Store {
	w.t.Helper()
	store := lease.NewStore(w.layout, lease.Settings{
		LeaseTTL: max(ttl, 30*time.Second), SessionTTL: ttl, Gap: w.set.Gap, Settle: true, Timeout: w.set.Timeout,
	}, w.Client, w.Client, nil)
	_, err := store.Open(w.ctx, 0, consumer, 0)
	require.NoError(w.t, err)
	return store
}

// Trace: a process with sessions of 4 min holds a stream for 2 min and dies of it. One with 10 s recovers it, reckons that
// the last beat came 10 s before the end of that session, so that the stream was held for almost 6 min, and counts no crash:
// a stream that kills whoever owns it never becomes a dead letter. And the other way round, innocents do.
func TestAStreamIsStableByTheSessionOfWhoDied(t *testing.T) {
	for name, c := range map[string]struct {
		ttl     time.Duration
		crashes int
	}{"it had longer sessions": {4 * time.Minute, 1}, "it had the same": {10 * time.Second, 0}, "it had shorter ones": {2 * time.Second, 0}} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, func(s *Settings) { s.StableAfter = 3 * time.Minute })
			w.ofTTL(dead, c.ttl)
			w.score(dead, strconv.FormatInt(w.Now()+time.Hour.Milliseconds(), 10)) // until it is killed
			e := w.owned(dead, "s")
			w.kill(dead, time.Second)
			w.held(e, 6*time.Minute) // since it was acquired; 1 s and a session of those, it was dead
			orphans, err := w.at(ann).page(w.ctx, "-")
			require.NoError(t, err)
			require.Len(t, orphans, 1)
			r := w.at(ann)
			_, err = r.page(w.ctx, "-")
			require.NoError(t, err)
			require.Equal(t, c.ttl, r.end.ttl)
			require.Equal(t, c.crashes, max(r.triage(orphans)[0].Crashes, 0))

			// Who asks for it by name reckons the same.
			for _, find := range []func() (*candidate, error){
				func() (*candidate, error) { return w.store.findByLease(w.ctx, 0, "s") },
				func() (*candidate, error) { return w.store.findByScan(w.ctx, 0, "s") },
			} {
				found, err := find()
				require.NoError(t, err)
				require.Equal(t, dead, found.consumer)
				require.Equal(t, c.ttl, found.end.ttl)
			}
		})
	}
	t.Run("it was of an older version", func(t *testing.T) {
		w := newWard(t).mortal()
		w.ofTTL("longer.1", time.Minute)
		w.Do("ZREM", w.keys.Sessions, "!of:10000:10000:"+dead)
		w.owned(dead, "s")
		w.kill(dead, time.Second)
		r := w.at(ann)
		_, err := r.page(w.ctx, "-")
		require.NoError(t, err)
		require.Equal(t, time.Minute, r.end.ttl, "the greatest there is")
	})
}

// What is on record of a consumer goes when it is swept, and not before.
func TestWhoIsSweptLeavesNothingOnRecord(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.kill(dead, time.Minute)
	require.NotEmpty(t, w.deadline("!of:10000:10000:"+dead))
	require.True(t, w.recover(ann).Removed)
	require.Empty(t, w.deadline("!of:10000:10000:"+dead))
	require.NotEmpty(t, w.deadline("!of:10000:10000:"+ann))
}

// Trace: somebody with sessions of 2 s adopts a consumer that a server has forgotten, or whose session was deleted, and which
// has sessions of 60 s: it was dead 2 s later, and believed in its streams.
func TestWhoIsAdoptedMayHaveLongerSessions(t *testing.T) {
	w := newWard(t)
	w.ofTTL(dead, time.Minute)
	w.owned(dead, "s")
	w.Do("ZREM", w.keys.Sessions, dead)
	require.Empty(t, w.list(ann, true))
	until, err := strconv.ParseFloat(w.deadline(dead), 64)
	require.NoError(t, err)
	require.Greater(t, int64(until), int64(w.Now())+50_000)

	w.Do("ZREM", w.keys.Sessions, dead)
	require.ErrorIs(t, w.store.Requeue(w.ctx, 0, ann, "s", nil), ErrUndecided)
	until, err = strconv.ParseFloat(w.deadline(dead), 64)
	require.NoError(t, err)
	require.Greater(t, int64(until), int64(w.Now())+50_000)
}
