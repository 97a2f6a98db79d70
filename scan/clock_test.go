package scan

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Trace: a consumer takes the turn to scan, and the server's clock goes back by 58 minutes: TTLs end that much later, and nobody
// adopted unknown consumers until then. So does a turn that lost its TTL.
func TestATurnOutlastsNoClockThatGoesBack(t *testing.T) {
	for name, command := range map[string][]string{"the clock went back": {"PEXPIRE", "3480000"}, "it has no end": {"PERSIST"}} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			turn := func(me string) bool {
				mine, err := h.store.Turn(h.ctx, 0, me)
				require.NoError(t, err)
				return mine
			}
			require.True(t, turn(ann))
			require.False(t, turn(bea))
			h.Do(append([]string{command[0], h.keys.Scan}, command[1:]...)...)
			require.True(t, turn(bea))
			require.False(t, turn(ann))
			require.LessOrEqual(t, h.Num("PTTL", h.keys.Scan), int(h.set.Interval.Milliseconds()))
		})
	}
}

// The same with the claim of a recovery: a process that dies during a recovery keeps others from it for as long as a claim
// lasts, and no longer.
func TestAClaimOutlastsNoClockThatGoesBack(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.kill(dead, time.Minute)
	_, err := h.recovery(ann).page(h.ctx, "-")
	require.NoError(t, err)
	h.Do("PEXPIRE", h.keys.Recover(dead), "3480000")
	_, err = h.store.Recover(h.ctx, 0, bea, dead)
	require.ErrorIs(t, err, ErrBusy)
	left := time.Duration(h.Num("PTTL", h.keys.Recover(dead))) * time.Millisecond
	require.LessOrEqual(t, left, ClaimTime)
	require.Positive(t, left)
	h.Do("DEL", h.keys.Recover(dead)) // when that has passed
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, h.recover(bea))
}

// Trace: a process dies, and the clock goes back by 58 minutes before its session has ended. It counted as alive until the clock
// had caught up, and nobody worked on what it had held.
func TestTheDeadDoNotLiveOnWhenTheClockGoesBack(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	step := (58 * time.Minute).Milliseconds()
	for _, consumer := range []string{ann, bea, dead} {
		h.score(consumer, strconv.FormatInt(h.Now()+step+9000, 10))
	}
	h.score("!beat", strconv.FormatInt(-(h.Now()+step), 10))
	require.Empty(t, h.listDead(ann, true))
	_, err := h.leases.Beat(h.ctx, 0, ann, false)
	require.NoError(t, err)
	until, err := strconv.ParseFloat(h.deadline(dead), 64)
	require.NoError(t, err)
	require.LessOrEqual(t, int64(until), int64(h.Now())+h.set.SessionTTL.Milliseconds())
	h.kill(dead, 0) // when that has passed
	require.Equal(t, []string{dead}, h.listDead(ann, false))
	require.Equal(t, 1, h.recover(ann).Entries)
}

// ofTTL is a consumer with sessions of another TTL than its peers.
func (h *harness) ofTTL(consumer string, ttl time.Duration) *lease.Store {
	h.t.Helper()
	store := lease.NewStore(h.layout, lease.Settings{
		LeaseTTL: max(ttl, 30*time.Second), SessionTTL: ttl, Gap: h.set.Gap, Settle: true, Timeout: h.set.Timeout,
	}, h.Client, h.Client, nil)
	_, err := store.Open(h.ctx, 0, consumer, 0)
	require.NoError(h.t, err)
	return store
}

// Trace: a process with sessions of 4 min holds a stream for 2 min and dies of it. One with sessions of 10 s recovers it, assumes
// that the last beat came 10 s before the end of that session, so that the stream was held for almost 6 min, and counts no
// crash: a stream that kills its owners never becomes a dead letter. And the other way round, innocent ones do.
func TestAStreamIsStableByTheSessionOfWhoDied(t *testing.T) {
	for name, c := range map[string]struct {
		ttl     time.Duration
		crashes int
	}{"it had longer sessions": {4 * time.Minute, 1}, "it had the same": {10 * time.Second, 0}, "it had shorter ones": {2 * time.Second, 0}} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(s *Settings) { s.StableAfter = 3 * time.Minute })
			h.ofTTL(dead, c.ttl)
			h.score(dead, strconv.FormatInt(h.Now()+time.Hour.Milliseconds(), 10)) // until it is killed
			e := h.owned(dead, "s")
			h.kill(dead, time.Second)
			h.held(e, 6*time.Minute) // since it was acquired; for 1 s and a session TTL of those its owner was dead
			orphans, err := h.recovery(ann).page(h.ctx, "-")
			require.NoError(t, err)
			require.Len(t, orphans, 1)
			r := h.recovery(ann)
			_, err = r.page(h.ctx, "-")
			require.NoError(t, err)
			require.Equal(t, c.ttl, r.end.ttl)
			require.Equal(t, c.crashes, max(r.triage(orphans)[0].Crashes, 0))

			// Requeue comes to the same result.
			for _, find := range []func() (*candidate, error){
				func() (*candidate, error) { return h.store.findByLease(h.ctx, 0, "s") },
				func() (*candidate, error) { return h.store.findByScan(h.ctx, 0, "s") },
			} {
				found, err := find()
				require.NoError(t, err)
				require.Equal(t, dead, found.consumer)
				require.Equal(t, c.ttl, found.end.ttl)
			}
		})
	}
	t.Run("it was of an older version", func(t *testing.T) {
		h := newHarness(t).withDead()
		h.ofTTL("longer.1", time.Minute)
		h.Do("ZREM", h.keys.Sessions, "!of:10000:10000:"+dead)
		h.owned(dead, "s")
		h.kill(dead, time.Second)
		r := h.recovery(ann)
		_, err := r.page(h.ctx, "-")
		require.NoError(t, err)
		require.Equal(t, time.Minute, r.end.ttl, "the greatest there is")
	})
}

// The record of a consumer is deleted when the consumer is swept, and not before.
func TestWhoIsSweptLeavesNothingOnRecord(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.kill(dead, time.Minute)
	require.NotEmpty(t, h.deadline("!of:10000:10000:"+dead))
	require.True(t, h.recover(ann).Removed)
	require.Empty(t, h.deadline("!of:10000:10000:"+dead))
	require.NotEmpty(t, h.deadline("!of:10000:10000:"+ann))
}

// Trace: a process with sessions of 2 s adopts a consumer with sessions of 60 s, which a server has forgotten, or whose session
// was deleted: it was declared dead 2 s later, and still believed that it held its streams.
func TestWhoIsAdoptedMayHaveLongerSessions(t *testing.T) {
	h := newHarness(t)
	h.ofTTL(dead, time.Minute)
	h.owned(dead, "s")
	h.Do("ZREM", h.keys.Sessions, dead)
	require.Empty(t, h.listDead(ann, true))
	until, err := strconv.ParseFloat(h.deadline(dead), 64)
	require.NoError(t, err)
	require.Greater(t, int64(until), int64(h.Now())+50_000)

	h.Do("ZREM", h.keys.Sessions, dead)
	require.ErrorIs(t, h.store.Requeue(h.ctx, 0, ann, "s", nil), ErrUndecided)
	until, err = strconv.ParseFloat(h.deadline(dead), 64)
	require.NoError(t, err)
	require.Greater(t, int64(until), int64(h.Now())+50_000)
}
