package scan

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// TestTurnIsTakenByOne: one scanner a partition and interval in the whole fleet.
func TestTurnIsTakenByOne(t *testing.T) {
	w := newWard(t)
	for i, me := range []string{ann, bea, ann} {
		turn, err := w.store.Turn(w.ctx, 0, me)
		require.NoError(t, err)
		require.Equal(t, i == 0, turn)
	}
	left := w.Num("PTTL", w.keys.Scan)
	require.LessOrEqual(t, left, 27_000, "who had the last turn must not find its own mark")
	require.Greater(t, left, 20_000)
	w.Do("DEL", w.keys.Scan)
	turn, err := w.store.Turn(w.ctx, 0, bea)
	require.NoError(t, err)
	require.True(t, turn)
}

func TestDeadAreThoseWhoseSessionsArePast(t *testing.T) {
	w := newWard(t)
	require.Empty(t, w.list(ann, false))
	for _, name := range []string{"past.1", "closed.1", "alive.1", "adopted.1"} {
		w.open(name)
	}
	w.kill("past.1", time.Millisecond)
	w.score("closed.1", "0")
	w.score("adopted.1", strconv.FormatInt(w.Now()-1000, 10)+".5")
	require.ElementsMatch(t, []string{"past.1", "closed.1", "adopted.1"}, w.list(ann, false))
	require.ElementsMatch(t, []string{"past.1", "closed.1", "adopted.1"}, w.list(ann, true), "asked again, and in full")
	w.open("late.1")
	w.score("late.1", strconv.FormatInt(w.Now()+500, 10)+".5")
	require.NotContains(t, w.list(ann, true), "late.1")
}

// Trace: the session set is deleted by hand, or a consumer was made by XREADGROUP alone. Absent is unknown, not dead.
func TestConsumerWithoutSessionIsAdoptedAndNotDead(t *testing.T) {
	w := newWard(t)
	w.announce("s")
	w.read("unknown.1", 1)
	require.Empty(t, w.list(ann, false))
	require.Empty(t, w.deadline("unknown.1"), "only a full look adopts")
	require.Empty(t, w.list(ann, true))
	at, err := strconv.ParseFloat(w.deadline("unknown.1"), 64)
	require.NoError(t, err)
	require.Equal(t, 0.5, at-math.Trunc(at))
	require.InDelta(t, w.Now()+10_000, at, 5000)
	require.Empty(t, w.list(bea, true))
	require.Equal(t, fmt.Sprint(strconv.FormatFloat(at, 'f', 1, 64)), w.deadline("unknown.1"), "adopted once, not again and again")

	// It lives after all: a beat makes it whole.
	beat, err := w.leases.Beat(w.ctx, 0, "unknown.1", false)
	require.NoError(t, err)
	require.Equal(t, "1", strconv.Itoa(int(beat.Status)), "live")
	require.NotContains(t, w.deadline("unknown.1"), ".")
}

// Trace: a consumer is adopted, then Redis restarts, which gives every session a fresh deadline: a whole number would make
// the end of the adopted one look like a crash.
func TestAdoptedSessionStaysAdoptedOverAChangeOfServer(t *testing.T) {
	w := newWard(t)
	w.announce("s")
	w.read("unknown.1", 1)
	w.list(ann, true)
	w.forget()
	beat, err := w.leases.Beat(w.ctx, 0, ann, false)
	require.NoError(t, err)
	require.True(t, beat.Settling)
	require.True(t, strings.HasSuffix(w.deadline("unknown.1"), ".5"), w.deadline("unknown.1"))
	require.NotContains(t, w.deadline(bea), ".")
}

func TestNobodyIsFoundDead(t *testing.T) {
	looks := map[string]func(*ward) bool{
		"listing": func(w *ward) bool { return len(w.list(ann, false)) > 0 },
		"listing in full": func(w *ward) bool {
			w.announce("other")
			w.read("unknown.1", 1)
			found := len(w.list(ann, true)) > 0
			return found || w.deadline("unknown.1") != ""
		},
		"claiming": func(w *ward) bool {
			_, err := w.at(ann).page(w.ctx, "-")
			require.ErrorIs(w.t, err, ErrNotMine)
			require.NotErrorIs(w.t, err, ErrBusy)
			return w.Num("EXISTS", w.keys.Recover(dead)) > 0
		},
	}
	for name, look := range looks {
		for why, change := range map[string]func(*ward){
			"while the partition settles": func(w *ward) { w.forget() },
			"while it settles, as a beat has noticed": func(w *ward) {
				w.forget()
				_, err := w.leases.Beat(w.ctx, 0, bea, false)
				require.NoError(w.t, err)
				w.kill(dead, time.Minute)
			},
			"without books":                func(w *ward) { w.Do("ZREM", w.keys.Sessions, w.runs()[0]) },
			"without a beat":               func(w *ward) { w.Do("ZREM", w.keys.Sessions, "!beat") },
			"by one without a session":     func(w *ward) { w.Do("ZREM", w.keys.Sessions, ann) },
			"by one whose session is past": func(w *ward) { w.kill(ann, 0) },
			"by one who is closed":         func(w *ward) { w.score(ann, "0") },
		} {
			t.Run(name+" "+why, func(t *testing.T) {
				w := newWard(t).mortal()
				w.owned(dead, "s")
				w.kill(dead, time.Minute)
				change(w)
				require.False(t, look(w))
				require.Equal(t, 1, w.pending(dead))
			})
		}
	}
}

// Trace: Redis hangs for 5 s. The first script that runs afterwards is not a beat, which would add these seconds to
// everybody's deadline, but the look of an engine with a long session: those with short ones looked dead to it, were
// robbed, and a crash was held against each of their streams.
func TestNobodyIsFoundDeadBeforeTheBeatAfterAGap(t *testing.T) {
	w := newWard(t, func(s *Settings) { s.Gap = 2 * time.Second }).mortal()
	w.owned(dead, "s")
	last := w.Now() - 5000
	w.score("!beat", strconv.FormatInt(-last, 10))
	w.score(dead, strconv.FormatInt(last+2000, 10))
	r := w.at(ann)
	require.Empty(t, w.list(ann, false))
	_, err := r.page(w.ctx, "-")
	require.ErrorIs(t, err, ErrNotMine)
	_, err = r.runRecover(w.ctx, nil)
	require.ErrorIs(t, err, ErrNotMine)

	_, err = w.leases.Beat(w.ctx, 0, ann, false)
	require.NoError(t, err)
	require.Empty(t, w.list(ann, false), "the gap was added")
	_, err = r.page(w.ctx, "-")
	require.ErrorIs(t, err, ErrNotMine)
	require.Equal(t, 1, w.pending(dead))
}

// Trace: an engine that takes itself for dead would recover what it holds.
func TestNobodyRecoversItself(t *testing.T) {
	w := newWard(t)
	w.owned(ann, "s")
	_, err := w.store.Recover(w.ctx, 0, ann, ann)
	require.ErrorIs(t, err, ErrNotMine)
	w.kill(ann, time.Minute)
	_, err = w.store.Recover(w.ctx, 0, ann, ann)
	require.ErrorIs(t, err, ErrNotMine)
	require.Equal(t, 1, w.pending(ann))
}

// With settling off nothing of the kind is looked at, and INFO is never called.
func TestSettlingOffDoesWithoutTheServersID(t *testing.T) {
	w := newWard(t, func(s *Settings) { s.Settle = false })
	limited := w.as("-info", "-cluster", "-config")
	limited.open(dead)
	limited.owned(dead, "s")
	limited.kill(dead, time.Minute)
	limited.forget()
	require.Equal(t, []string{dead}, limited.list(ann, true))
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, limited.recover(ann))
}

// At maxmemory the dead are recovered all the same, and the unknown adopted: what stays pending frees no memory.
func TestRecoveryAtMaxmemory(t *testing.T) {
	w := newWard(t).mortal()
	for i := range 5 {
		w.announce(fmt.Sprint(i))
	}
	w.own(dead, 5)
	w.announce("unknown")
	w.read("unknown.1", 1)
	w.kill(dead, time.Minute)
	w.Do("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	require.ErrorContains(t, w.Try("SET", "x", "y").Error(), "OOM")
	require.Equal(t, []string{dead}, w.list(ann, true))
	require.NotEmpty(t, w.deadline("unknown.1"))
	require.Equal(t, Recovered{Entries: 5, Scripts: 2, Removed: true}, w.recover(ann))
	w.Do("CONFIG", "SET", "maxmemory", "0")
	require.Len(t, w.Stream(w.keys.Input), 6)
}

// A demoted server refuses to say who is dead: it may not have heard of the last beats.
func TestReplicaFindsNobodyDead(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.kill(dead, time.Minute)
	w.Do("REPLICAOF", "127.0.0.1", "1")
	_, err := w.store.Dead(w.ctx, 0, ann, false)
	require.ErrorContains(t, err, "READONLY")
	_, err = w.store.Recover(w.ctx, 0, ann, dead)
	require.ErrorContains(t, err, "READONLY")
	_, err = w.store.Turn(w.ctx, 0, ann)
	require.ErrorContains(t, err, "READONLY")
	w.Do("REPLICAOF", "NO", "ONE")
}

// Each right that recovery needs and does not have shows as an error, and costs nothing.
func TestRecoveryWithoutRights(t *testing.T) {
	for _, right := range []string{"xinfo", "xpending", "xrange", "xgroup", "xack", "xadd", "zscore", "zrangebyscore", "set", "get"} {
		t.Run(right, func(t *testing.T) {
			w := newWard(t).mortal()
			w.owned(dead, "s")
			w.kill(dead, time.Minute)
			limited := w.as("-" + right)
			_, listing := limited.store.Dead(w.ctx, 0, ann, true)
			_, recovering := limited.store.Recover(w.ctx, 0, ann, dead)
			if right == "xinfo" || right == "zscore" || right == "zrangebyscore" {
				require.ErrorContains(t, lease.Explain(listing), "grant")
			} else {
				require.NoError(t, listing)
			}
			if right != "xinfo" && right != "zrangebyscore" {
				require.Error(t, recovering)
			}
			// Whoever has the rights finds all of it, once.
			_, err := w.store.Recover(w.ctx, 0, ann, dead)
			if err != nil {
				require.ErrorIs(t, err, ErrNotMine)
			}
			require.Len(t, w.Stream(w.keys.Input), 1)
			require.Zero(t, w.pending(dead))
			require.NotContains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)
			require.Zero(t, w.Num("EXISTS", w.keys.Lease("s")))
		})
	}
	t.Run("xdel", func(t *testing.T) {
		// The entry is acknowledged and moved; that its old body stays is no loss.
		w := newWard(t).mortal()
		w.owned(dead, "s")
		w.kill(dead, time.Minute)
		require.Equal(t, 1, w.as("-xdel").recover(ann).Entries)
		require.Zero(t, w.pending(dead))
		w.own(bea, 1)
	})
}

// A key of another type in the place of one of ours is an error, and nothing is lost by it.
func TestRecoveryMeetsKeysOfAnotherType(t *testing.T) {
	for name, key := range map[string]func(*ward) string{
		"the claim": func(w *ward) string { return w.keys.Recover(dead) },
		"later":     func(w *ward) string { return w.keys.Later },
		"the lease": func(w *ward) string { return w.keys.Lease("s") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t).mortal()
			w.owned(dead, "s", "_crash_count", "1")
			w.kill(dead, time.Minute)
			w.Do("DEL", key(w))
			w.Do("HSET", key(w), "f", "v")
			_, err := w.store.Recover(w.ctx, 0, ann, dead)
			if name == "the lease" {
				require.NoError(t, err, "it is nobody's")
				require.Equal(t, 1, w.Num("ZCARD", w.keys.Later))
				return
			}
			require.ErrorContains(t, err, "WRONGTYPE")
			require.Equal(t, 1, w.pending(dead))
			w.Do("DEL", key(w))
			require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, w.recover(ann))
		})
	}
	for name, key := range map[string]func(*ward) string{
		"the turn":     func(w *ward) string { return w.keys.Scan },
		"the sessions": func(w *ward) string { return w.keys.Sessions },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t)
			w.Do("DEL", key(w))
			w.Do("HSET", key(w), "f", "v")
			turn, err1 := w.store.Turn(w.ctx, 0, ann)
			_, err2 := w.store.Dead(w.ctx, 0, ann, true)
			if name == "the turn" {
				require.NoError(t, err1)
				require.True(t, turn, "it would never end")
				return
			}
			require.ErrorContains(t, err2, "WRONGTYPE")
		})
	}
	t.Run("no input stream", func(t *testing.T) {
		w := newWard(t).mortal()
		w.kill(dead, time.Minute)
		w.Do("DEL", w.keys.Input)
		_, err := w.store.Dead(w.ctx, 0, ann, true)
		require.Error(t, err)
		require.Equal(t, []string{dead}, w.list(ann, false))
		_, err = w.store.Recover(w.ctx, 0, ann, dead)
		require.ErrorContains(t, err, "NOGROUP")
		w.open(ann) // makes it again
		require.Equal(t, Recovered{Removed: true}, w.recover(ann))
	})
}
