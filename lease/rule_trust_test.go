package lease

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// everywhere runs a test on each server there is.
func everywhere(t *testing.T, f func(t *testing.T, w *harness)) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) { f(t, harnessOn(t, servers.New(t, servers.On(program)))) })
	}
}

// with is the same harness seen by a process with another session TTL, and another reach (0: the same).
func (w *harness) with(ttl, reach time.Duration) *harness {
	other := *w
	other.set.SessionTTL, other.set.Reach = ttl, reach
	other.store = NewStore(w.layout, other.set, w.Client, w.Client, nil)
	return &other
}

// pass has time pass for all that the session set says.
func (w *harness) pass(d time.Duration) {
	w.t.Helper()
	w.Do("EVAL", `
		redis.call('PEXPIRE', KEYS[1], 1e9)
		local by, flat = tonumber(ARGV[1]), redis.call('ZRANGEBYSCORE', KEYS[1], '(-inf', '+inf', 'WITHSCORES')
		for i = 1, #flat, 2 do
			local score = tonumber(flat[i + 1])
			if score > 0 then
				redis.call('ZADD', KEYS[1], math.max(1, score - by), flat[i])
			elseif score < -1 and flat[i] ~= '!ttl' then
				redis.call('ZADD', KEYS[1], math.min(-1, score + by), flat[i])
			end
		end`, "1", w.keys.Sessions, strconv.FormatInt(d.Milliseconds(), 10))
}

// book is the member that keeps a book, and its score.
func (w *harness) book(prefix string) (member string, score int64) {
	w.t.Helper()
	all, err := w.Try("ZRANGEBYSCORE", w.keys.Sessions, "-inf", "(0").AsStrSlice()
	require.NoError(w.t, err)
	for _, m := range all {
		if strings.HasPrefix(m, prefix) {
			require.Empty(w.t, member, "one of %s", prefix)
			member = m
			score, _ = w.deadline(m)
		}
	}
	return member, score
}

// inForce is the greatest session TTL in force.
func (w *harness) inForce() time.Duration {
	w.t.Helper()
	score, ok := w.deadline("!ttl")
	require.True(w.t, ok)
	return time.Duration(-score) * time.Millisecond
}

const carol = "carol.1"

// Trace: all have 20 s. One comes with 5 min and takes a stream, and the server dies. The replica that is promoted has not
// heard of it, settles for 20 s and gives the stream away, while its owner believes in it for minutes.
func TestNoSessionIsTrustedForLongerThanASuccessorSettles(t *testing.T) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			server := servers.New(t, servers.On(program))
			replica := servers.New(t, servers.On(program), servers.ReplicaOf(server))
			old := harnessOn(t, server).with(20*time.Second, 0)
			require.Equal(t, 20*time.Second, old.open(alice).Firm, "nothing was on record before")
			old.announce("s")
			require.Eventually(t, func() bool {
				n, err := replica.Call(old.ctx, "XLEN", old.keys.Input)
				return err == nil && n == "1"
			}, 20*time.Second, time.Millisecond, "the replica has that")
			require.NoError(t, replica.Promote(old.ctx)) // and hears of no more

			late := old.with(5*time.Minute, 0)
			require.Equal(t, 20*time.Second, late.open(bob).Firm)
			l := late.own(bob, "s")
			require.Equal(t, 20*time.Second, late.renew(bob, l).Firm)
			require.NoError(t, server.Kill())

			after := *old
			after.server = replica
			after = *after.as(replica.Client(t))
			require.True(t, after.beat(alice).Settling)
			entries := after.read(alice, 1)
			require.Len(t, entries, 1)
			after.pass(10 * time.Second)
			require.True(t, after.beat(alice).Settling)
			after.pass(10 * time.Second) // by then nobody may believe in the first
			require.Equal(t, Acquired, after.acquire(alice, entries...)[0].Verdict)

			require.Equal(t, 20*time.Second, after.with(5*time.Minute, 0).open("dora.1").Firm, "on a new server it begins again")
		})
	}
}

// What is on record is relied on when it has been there for as long as what it replaced lasts; more that comes before that
// puts it off, and what was firm stays so.
func TestATTLIsFirmWhenItHasOutlivedWhatItReplaces(t *testing.T) {
	everywhere(t, func(t *testing.T, w *harness) {
		short, mid, long := w.with(20*time.Second, 0), w.with(100*time.Second, 0), w.with(5*time.Minute, 0)
		short.open(alice)
		require.Equal(t, 20*time.Second, mid.open(bob).Firm)
		w.pass(15 * time.Second)
		require.Equal(t, 20*time.Second, mid.beat(bob).Firm)
		short.beat(alice)
		w.pass(10 * time.Second)
		require.Equal(t, 100*time.Second, mid.beat(bob).Firm)
		require.Equal(t, 100*time.Second, short.beat(alice).Firm, "a consumer that needs less gets it, too")

		require.Equal(t, 100*time.Second, long.open(carol).Firm)
		w.pass(10 * time.Second)
		longest := w.with(10*time.Minute, 0)
		require.Equal(t, 100*time.Second, longest.open("dora.1").Firm)
		w.pass(95 * time.Second)
		require.Equal(t, 100*time.Second, long.beat(carol).Firm, "delayed")
		w.pass(210 * time.Second)
		require.Equal(t, 10*time.Minute, longest.beat("dora.1").Firm)
	})
}

// A session that may be lengthened some day is put on record with that, and relies on no more than is firm.
func TestWhatASessionMayReachIsOnRecordAhead(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	reaching := w.with(10*time.Second, 40*time.Second)
	require.Equal(t, 10*time.Second, reaching.open(bob).Firm)
	require.Equal(t, 40*time.Second, w.inForce())
	deadline, _ := w.deadline(bob)
	require.LessOrEqual(t, deadline, w.Now()+10_000, "its own is no longer for that")
	w.pass(7 * time.Second)
	w.beat(alice)
	require.Equal(t, 10*time.Second, reaching.beat(bob).Firm)
	w.pass(3 * time.Second)
	require.Equal(t, 40*time.Second, reaching.beat(bob).Firm)
	member, _ := w.book("!of:10000:40000:")
	require.Equal(t, "!of:10000:40000:bob.1", member)
	// More than was said counts all the same.
	other := *reaching
	other.store = reaching.store.With(Terms{SessionTTL: time.Minute})
	require.Equal(t, 40*time.Second, other.beat(bob).Firm)
	require.Equal(t, time.Minute, w.inForce())
}

// Trace: a process of an older version puts its 30 s on record at once and says nothing of since when.
func TestWhatAnOlderVersionPutsOnRecordIsFirmLater(t *testing.T) {
	w := newHarness(t).with(2*time.Second, 0)
	w.open(alice)
	w.Do("ZADD", w.keys.Sessions, "-30000", "!ttl")
	long := w.with(30*time.Second, 0)
	require.Equal(t, 2*time.Second, long.open(bob).Firm)
	w.pass(2 * time.Second)
	require.Equal(t, 30*time.Second, long.beat(bob).Firm)
	// Books of an older version, which none of this one has seen yet.
	w.Do("ZREMRANGEBYSCORE", w.keys.Sessions, "(-inf", "(0")
	w.Do("ZADD", w.keys.Sessions, "-2000", "!ttl", strconv.FormatInt(-w.Now(), 10), "!beat")
	require.Equal(t, 2*time.Second, long.beat(bob).Firm)
	// Who deletes one book deletes what hangs on it.
	w.Do("ZREM", w.keys.Sessions, "!ttl")
	require.Equal(t, 2*time.Second, w.open(carol).Firm)
	require.Equal(t, 2*time.Second, w.inForce())
}

// Trace: a process with 45 s came once, and every restart of the server since then was settled for 45 s.
func TestTheGreatestTTLFallsWhenNobodyReachesItAnyMore(t *testing.T) {
	everywhere(t, func(t *testing.T, w *harness) {
		long := w.with(45*time.Second, 0)
		w.open(alice)
		long.open(bob)
		w.pass(7 * time.Second)
		w.beat(alice)
		w.pass(3 * time.Second)
		require.Equal(t, 45*time.Second, w.beat(alice).Firm)
		_, err := long.store.Close(w.ctx, 0, bob)
		require.NoError(t, err)
		for range 2 {
			w.beat(alice)
			require.Equal(t, 45*time.Second, w.inForce(), "one look is none: it may be starting again")
		}
		for range 14 { // two looks, 45 s apart
			w.pass(7 * time.Second)
			require.Equal(t, SessionLive, w.beat(alice).Status)
		}
		require.Equal(t, 10*time.Second, w.open(carol).Firm)
		require.Equal(t, 10*time.Second, w.inForce())
		require.Equal(t, 10*time.Second, w.beat(carol).Firm)

		// Whoever lengthens it now begins where it is, and waits for as long as a replica may lag that knows what was before.
		require.Equal(t, 10*time.Second, long.open("dora.1").Firm)
		w.pass(30 * time.Second)
		require.Equal(t, 10*time.Second, long.beat("dora.1").Firm)
		w.pass(14 * time.Second)
		require.Equal(t, 45*time.Second, long.beat("dora.1").Firm)
	})
}

// What a session that is not over may reach stays in force: else a successor would settle for less than somebody believes.
func TestTheGreatestTTLStaysWhileSomebodyMayReachIt(t *testing.T) {
	for name, stay := range map[string]func(w *harness){
		"it is alive": func(w *harness) { w.with(45*time.Second, 0).beat(bob) },
		"it is silent, and its session is not over": func(w *harness) { w.setScore(bob, w.Now()+1000) },
		"it has said that it may":                   func(w *harness) { w.with(10*time.Second, 45*time.Second).open(bob) },
		"a call from before that comes late": func(w *harness) {
			w.with(10*time.Second, 45*time.Second).open(bob)
			w.beat(bob)
		},
		"it is of an older version": func(w *harness) {
			member, _ := w.book("!of:45000:45000:" + bob)
			w.Do("ZREM", w.keys.Sessions, member)
			w.setScore(bob, w.Now()+44_000)
		},
		"somebody unknown was adopted": func(w *harness) {
			w.kill(bob)
			w.Do("ZADD", w.keys.Sessions, fmt.Sprintf("%d.5", w.Now()+5000), "unknown.1")
		},
		"it starts again at every look": func(w *harness) {
			w.kill(bob)
			w.with(45*time.Second, 0).open(fmt.Sprint("bob.", w.Now()))
		},
		"the server is new": func(w *harness) {
			w.kill(bob)
			w.setScore(w.runs()[0], -w.Now())
		},
		"settling is turned off for who looks": func(w *harness) {
			w.kill(bob)
			w.set.Settle = false
			w.store = NewStore(w.layout, w.set, w.Client, w.Client, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			w.with(45*time.Second, 0).open(bob)
			for range 5 {
				stay(w)
				w.setScore(alice, w.Now()+9000)
				w.beat(alice)
				require.Equal(t, 45*time.Second, w.inForce())
				if name == "it starts again at every look" {
					w.Do("ZREMRANGEBYSCORE", w.keys.Sessions, "1", strconv.FormatInt(w.Now()-1, 10))
				}
				w.pass(46 * time.Second)
			}
		})
	}
}

// What is on record of a consumer goes with its session, whoever removes that.
func TestNothingStaysOnRecordOfWhoIsGone(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	_, err := w.store.Close(w.ctx, 0, bob)
	require.NoError(t, err)
	member, _ := w.book("!of:")
	require.Equal(t, "!of:10000:10000:alice.1", member)
	w.Do("ZREM", w.keys.Sessions, alice) // as an older version does
	w.open(carol)
	member, _ = w.book("!of:")
	require.Equal(t, "!of:10000:10000:carol.1", member)
	w.with(20*time.Second, 0).open(carol)
	member, _ = w.book("!of:")
	require.Equal(t, "!of:20000:20000:carol.1", member)
}

// Trace: the clock goes back by an hour while a TTL is not firm yet, and while looks are an hour ahead.
func TestAClockThatGoesBackPutsNoTTLOff(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	long := w.with(30*time.Second, 0)
	require.Equal(t, 10*time.Second, long.open(bob).Firm)
	w.beat(alice) // a look
	w.pass(-time.Hour)
	require.Equal(t, 10*time.Second, w.beat(alice).Firm)
	_, seen := w.book("!seen:")
	require.InDelta(t, w.Now(), -seen, 5000)
	w.pass(30 * time.Second)
	require.Equal(t, 30*time.Second, long.open(carol).Firm)
}

// Trace: a lease was set, the clock went back by an hour, and its holder is gone with session and pending entry (acknowledged
// by hand): the stream could not be owned for that hour.
func TestALeaseOfNobodyOutlastsNoClockThatGoesBack(t *testing.T) {
	everywhere(t, func(t *testing.T, w *harness) {
		w.open(alice)
		w.open(bob)
		l := w.own(bob, "s")
		w.Do("PEXPIRE", l.Key(), "3600000")
		w.announce("s")
		e := w.read(alice, 1)[0]
		require.Equal(t, HeldByOne, w.acquire(alice, e)[0].Verdict)
		require.Greater(t, w.pttl(l.Key()), time.Minute, "who is there renews it, and is recovered")
		w.Do("XACK", w.keys.Input, w.layout.Group(), l.Entry())
		_, err := w.store.Close(w.ctx, 0, bob)
		require.NoError(t, err)
		take := w.acquire(alice, e)[0]
		require.Equal(t, HeldByOne, take.Verdict)
		require.LessOrEqual(t, take.Left, w.set.LeaseTTL)
		require.LessOrEqual(t, w.pttl(l.Key()), w.set.LeaseTTL)
	})
}
