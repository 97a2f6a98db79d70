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

// One consumer of the whole fleet scans a partition per interval.
func TestTurnIsTakenByOne(t *testing.T) {
	h := newHarness(t)
	for i, me := range []string{ann, bea, ann} {
		turn, err := h.store.Turn(h.ctx, 0, me)
		require.NoError(t, err)
		require.Equal(t, i == 0, turn)
	}
	left := h.Num("PTTL", h.keys.Scan)
	require.LessOrEqual(t, left, 27_000, "the one that had the last turn must not find its own mark")
	require.Greater(t, left, 20_000)
	h.Do("DEL", h.keys.Scan)
	turn, err := h.store.Turn(h.ctx, 0, bea)
	require.NoError(t, err)
	require.True(t, turn)
}

func TestDeadAreThoseWhoseSessionsArePast(t *testing.T) {
	h := newHarness(t)
	require.Empty(t, h.listDead(ann, false))
	for _, name := range []string{"past.1", "closed.1", "alive.1", "adopted.1"} {
		h.open(name)
	}
	h.kill("past.1", time.Millisecond)
	h.score("closed.1", "0")
	h.score("adopted.1", strconv.FormatInt(h.Now()-1000, 10)+".5")
	require.ElementsMatch(t, []string{"past.1", "closed.1", "adopted.1"}, h.listDead(ann, false))
	require.ElementsMatch(t, []string{"past.1", "closed.1", "adopted.1"}, h.listDead(ann, true), "asked again, and in full")
	h.open("late.1")
	h.score("late.1", strconv.FormatInt(h.Now()+500, 10)+".5")
	require.NotContains(t, h.listDead(ann, true), "late.1")
}

// Trace: the session set is deleted by hand, or a consumer was created by XREADGROUP alone. Absent means unknown, not dead.
func TestConsumerWithoutSessionIsAdoptedAndNotDead(t *testing.T) {
	h := newHarness(t)
	h.announce("s")
	h.read("unknown.1", 1)
	require.Empty(t, h.listDead(ann, false))
	require.Empty(t, h.deadline("unknown.1"), "only a full look adopts")
	require.Empty(t, h.listDead(ann, true))
	at, err := strconv.ParseFloat(h.deadline("unknown.1"), 64)
	require.NoError(t, err)
	require.Equal(t, 0.5, at-math.Trunc(at))
	require.InDelta(t, h.Now()+10_000, at, 5000)
	require.Empty(t, h.listDead(bea, true))
	require.Equal(t, fmt.Sprint(strconv.FormatFloat(at, 'f', 1, 64)), h.deadline("unknown.1"), "adopted once, not again and again")

	// It is alive after all: a beat makes its deadline a whole number.
	beat, err := h.leases.Beat(h.ctx, 0, "unknown.1", false)
	require.NoError(t, err)
	require.Equal(t, "1", strconv.Itoa(int(beat.Status)), "live")
	require.NotContains(t, h.deadline("unknown.1"), ".")
}

// Trace: a consumer is adopted, then Redis restarts, which gives every session a fresh deadline: a whole number would make
// the end of the adopted one look like a crash.
func TestAdoptedSessionStaysAdoptedOverAChangeOfServer(t *testing.T) {
	h := newHarness(t)
	h.announce("s")
	h.read("unknown.1", 1)
	h.listDead(ann, true)
	h.forget()
	beat, err := h.leases.Beat(h.ctx, 0, ann, false)
	require.NoError(t, err)
	require.True(t, beat.Settling)
	require.True(t, strings.HasSuffix(h.deadline("unknown.1"), ".5"), h.deadline("unknown.1"))
	require.NotContains(t, h.deadline(bea), ".")
}

func TestNobodyIsFoundDead(t *testing.T) {
	looks := map[string]func(*harness) bool{
		"listing": func(h *harness) bool { return len(h.listDead(ann, false)) > 0 },
		"listing in full": func(h *harness) bool {
			h.announce("other")
			h.read("unknown.1", 1)
			found := len(h.listDead(ann, true)) > 0
			return found || h.deadline("unknown.1") != ""
		},
		"claiming": func(h *harness) bool {
			_, err := h.recovery(ann).page(h.ctx, "-")
			require.ErrorIs(h.t, err, ErrNotMine)
			require.NotErrorIs(h.t, err, ErrBusy)
			return h.Num("EXISTS", h.keys.Recover(dead)) > 0
		},
	}
	for name, look := range looks {
		for why, change := range map[string]func(*harness){
			"while the partition settles": func(h *harness) { h.forget() },
			"while it settles, as a beat has noticed": func(h *harness) {
				h.forget()
				_, err := h.leases.Beat(h.ctx, 0, bea, false)
				require.NoError(h.t, err)
				h.kill(dead, time.Minute)
			},
			"without books":                func(h *harness) { h.Do("ZREM", h.keys.Sessions, h.runs()[0]) },
			"without a beat":               func(h *harness) { h.Do("ZREM", h.keys.Sessions, "!beat") },
			"by one without a session":     func(h *harness) { h.Do("ZREM", h.keys.Sessions, ann) },
			"by one whose session is past": func(h *harness) { h.kill(ann, 0) },
			"by one who is closed":         func(h *harness) { h.score(ann, "0") },
		} {
			t.Run(name+" "+why, func(t *testing.T) {
				h := newHarness(t).withDead()
				h.owned(dead, "s")
				h.kill(dead, time.Minute)
				change(h)
				require.False(t, look(h))
				require.Equal(t, 1, h.pending(dead))
			})
		}
	}
}

// Trace: Redis hangs for 5 s. The first script that runs afterwards is not a beat, which would add these seconds to every
// deadline, but the scan of an engine with a long session: consumers with short ones looked dead to it and lost their streams,
// each of which counted a crash.
func TestNobodyIsFoundDeadBeforeTheBeatAfterAGap(t *testing.T) {
	h := newHarness(t, func(s *Settings) { s.Gap = 2 * time.Second }).withDead()
	h.owned(dead, "s")
	last := h.Now() - 5000
	h.score("!beat", strconv.FormatInt(-last, 10))
	h.score(dead, strconv.FormatInt(last+2000, 10))
	r := h.recovery(ann)
	require.Empty(t, h.listDead(ann, false))
	_, err := r.page(h.ctx, "-")
	require.ErrorIs(t, err, ErrNotMine)
	_, err = r.runRecover(h.ctx, nil)
	require.ErrorIs(t, err, ErrNotMine)

	_, err = h.leases.Beat(h.ctx, 0, ann, false)
	require.NoError(t, err)
	require.Empty(t, h.listDead(ann, false), "the gap was added")
	_, err = r.page(h.ctx, "-")
	require.ErrorIs(t, err, ErrNotMine)
	require.Equal(t, 1, h.pending(dead))
}

// Trace: an engine that considers itself dead would recover what it holds.
func TestNobodyRecoversItself(t *testing.T) {
	h := newHarness(t)
	h.owned(ann, "s")
	_, err := h.store.Recover(h.ctx, 0, ann, ann)
	require.ErrorIs(t, err, ErrNotMine)
	h.kill(ann, time.Minute)
	_, err = h.store.Recover(h.ctx, 0, ann, ann)
	require.ErrorIs(t, err, ErrNotMine)
	require.Equal(t, 1, h.pending(ann))
}

// With settling off the server's ID does not matter, and INFO is never called.
func TestSettlingOffDoesWithoutTheServersID(t *testing.T) {
	h := newHarness(t, func(s *Settings) { s.Settle = false })
	limited := h.as("-info", "-cluster", "-config")
	limited.open(dead)
	limited.owned(dead, "s")
	limited.kill(dead, time.Minute)
	limited.forget()
	require.Equal(t, []string{dead}, limited.listDead(ann, true))
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, limited.recover(ann))
}

// At maxmemory dead consumers are recovered all the same, and unknown ones adopted: what stays pending frees no memory.
func TestRecoveryAtMaxmemory(t *testing.T) {
	h := newHarness(t).withDead()
	for i := range 5 {
		h.announce(fmt.Sprint(i))
	}
	h.own(dead, 5)
	h.announce("unknown")
	h.read("unknown.1", 1)
	h.kill(dead, time.Minute)
	h.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	h.Do("CONFIG", "SET", "maxmemory", "1")
	require.ErrorContains(t, h.Try("SET", "x", "y").Error(), "OOM")
	require.Equal(t, []string{dead}, h.listDead(ann, true))
	require.NotEmpty(t, h.deadline("unknown.1"))
	require.Equal(t, Recovered{Entries: 5, Scripts: 2, Removed: true}, h.recover(ann))
	h.Do("CONFIG", "SET", "maxmemory", "0")
	require.Len(t, h.Stream(h.keys.Input), 6)
}

// A demoted server refuses to list dead consumers: it may not have received the last beats.
func TestReplicaFindsNobodyDead(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.kill(dead, time.Minute)
	h.Do("REPLICAOF", "127.0.0.1", "1")
	_, err := h.store.Dead(h.ctx, 0, ann, false)
	require.ErrorContains(t, err, "READONLY")
	_, err = h.store.Recover(h.ctx, 0, ann, dead)
	require.ErrorContains(t, err, "READONLY")
	_, err = h.store.Turn(h.ctx, 0, ann)
	require.ErrorContains(t, err, "READONLY")
	h.Do("REPLICAOF", "NO", "ONE")
}

// Each permission that recovery needs and lacks shows as an error, and nothing is lost.
func TestRecoveryWithoutRights(t *testing.T) {
	for _, right := range []string{"xinfo", "xpending", "xrange", "xgroup", "xack", "xadd", "zscore", "zrangebyscore", "set", "get"} {
		t.Run(right, func(t *testing.T) {
			h := newHarness(t).withDead()
			h.owned(dead, "s")
			h.kill(dead, time.Minute)
			limited := h.as("-" + right)
			_, listing := limited.store.Dead(h.ctx, 0, ann, true)
			_, recovering := limited.store.Recover(h.ctx, 0, ann, dead)
			if right == "xinfo" || right == "zscore" || right == "zrangebyscore" {
				require.ErrorContains(t, lease.Explain(listing), "grant")
			} else {
				require.NoError(t, listing)
			}
			if right != "xinfo" && right != "zrangebyscore" {
				require.Error(t, recovering)
			}
			// A client with the permission finds all of it, once.
			_, err := h.store.Recover(h.ctx, 0, ann, dead)
			if err != nil {
				require.ErrorIs(t, err, ErrNotMine)
			}
			require.Len(t, h.Stream(h.keys.Input), 1)
			require.Zero(t, h.pending(dead))
			require.NotContains(t, h.Consumers(h.keys.Input, h.layout.Group()), dead)
			require.Zero(t, h.Num("EXISTS", h.keys.Lease("s")))
		})
	}
	t.Run("xdel", func(t *testing.T) {
		// The entry is acknowledged and moved; that its old body stays is no loss.
		h := newHarness(t).withDead()
		h.owned(dead, "s")
		h.kill(dead, time.Minute)
		require.Equal(t, 1, h.as("-xdel").recover(ann).Entries)
		require.Zero(t, h.pending(dead))
		h.own(bea, 1)
	})
}

// A key of another type in place of one of ours is an error, and nothing is lost.
func TestRecoveryMeetsKeysOfAnotherType(t *testing.T) {
	for name, key := range map[string]func(*harness) string{
		"the claim": func(h *harness) string { return h.keys.Recover(dead) },
		"later":     func(h *harness) string { return h.keys.Later },
		"the lease": func(h *harness) string { return h.keys.Lease("s") },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t).withDead()
			h.owned(dead, "s", "_crash_count", "1")
			h.kill(dead, time.Minute)
			h.Do("DEL", key(h))
			h.Do("HSET", key(h), "f", "v")
			_, err := h.store.Recover(h.ctx, 0, ann, dead)
			if name == "the lease" {
				require.NoError(t, err, "it is nobody's")
				require.Equal(t, 1, h.Num("ZCARD", h.keys.Later))
				return
			}
			require.ErrorContains(t, err, "WRONGTYPE")
			require.Equal(t, 1, h.pending(dead))
			h.Do("DEL", key(h))
			require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, h.recover(ann))
		})
	}
	for name, key := range map[string]func(*harness) string{
		"the turn":     func(h *harness) string { return h.keys.Scan },
		"the sessions": func(h *harness) string { return h.keys.Sessions },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.Do("DEL", key(h))
			h.Do("HSET", key(h), "f", "v")
			turn, err1 := h.store.Turn(h.ctx, 0, ann)
			_, err2 := h.store.Dead(h.ctx, 0, ann, true)
			if name == "the turn" {
				require.NoError(t, err1)
				require.True(t, turn, "it would never end")
				return
			}
			require.ErrorContains(t, err2, "WRONGTYPE")
		})
	}
	t.Run("no input stream", func(t *testing.T) {
		h := newHarness(t).withDead()
		h.kill(dead, time.Minute)
		h.Do("DEL", h.keys.Input)
		_, err := h.store.Dead(h.ctx, 0, ann, true)
		require.Error(t, err)
		require.Equal(t, []string{dead}, h.listDead(ann, false))
		_, err = h.store.Recover(h.ctx, 0, ann, dead)
		require.ErrorContains(t, err, "NOGROUP")
		h.open(ann) // creates it again
		require.Equal(t, Recovered{Removed: true}, h.recover(ann))
	})
}
