package lease

import (
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// Trace: somebody deletes the session set, or a failover forgets the beat that made a session. Taken for dead, living
// consumers would be robbed.
func TestRule05AbsentSessionIsAdoptedNotDead(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	w.announce("other")
	entries := w.read(alice, 1)
	w.Do("ZREM", w.keys.Sessions, alice)

	require.Zero(t, w.beat(bob).Dead)
	status, takes, err := w.store.Acquire(w.ctx, 0, alice, entries)
	require.NoError(t, err)
	require.Equal(t, SessionAbsent, status)
	require.Empty(t, takes)
	require.Empty(t, w.value("other"))

	r := w.renew(alice, l)
	require.Equal(t, SessionMade, r.Status)
	require.Equal(t, "k", r.Verdicts)
	require.Equal(t, SessionLive, w.beat(alice).Status)
	deadline, ok := w.deadline(alice)
	require.True(t, ok)
	require.InDelta(t, w.Now()+10_000, deadline, 5000)
	require.Equal(t, Acquired, w.acquire(alice, entries...)[0].Verdict)

	w.Do("ZREM", w.keys.Sessions, alice)
	require.Equal(t, SessionMade, w.beat(alice).Status)
}

// checkSettling holds what a server does while it settles after it forgot lease l of alice.
func checkSettling(t *testing.T, w *harness, l *Lease, parked []*Entry) {
	t.Helper()
	other := w.lease(alice, &Entry{ID: l.Entry(), Key: l.Key(), Stream: "s"}, 1)
	r := w.renew(alice, l, other)
	require.True(t, r.Settling)
	require.Equal(t, "mm", r.Verdicts, "missing is not lost while the server settles")
	status, _, err := w.store.Acquire(w.ctx, 0, alice, parked)
	require.NoError(t, err)
	require.Equal(t, SessionWait, status, "nothing free is taken")

	// The lease is set again under its token; one of another token is lost after that.
	kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l, other}, Savings{}))
	require.NoError(t, err)
	require.Equal(t, "kl", kept)
	require.Equal(t, alice+" "+l.tag, w.value("s"))
	require.GreaterOrEqual(t, w.Text("GET", w.keys.Token), l.Token().String())
	require.Equal(t, "kl", w.renew(alice, l, other).Verdicts)
	kept, err = verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{}))
	require.NoError(t, err)
	require.Equal(t, "k", kept, "asked again")

	w.settled()
	require.False(t, w.beat(alice).Settling)
	require.Equal(t, Acquired, w.acquire(alice, parked...)[0].Verdict)
}

// Trace: a replica is promoted that has not heard of the last second: leases that are held are not there, and a stream
// that is held looks free. Its run_id gives it away.
func TestRule07ChangedServerSettles(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	w.open("closed.1")
	l := w.own(alice, "s")
	w.announce("parked")
	parked := w.read(alice, 1)
	w.Do("DEL", l.Key(), w.keys.Token)
	w.setScore("closed.1", 0)
	w.kill(bob)
	w.forget()

	status, _, err := w.store.Acquire(w.ctx, 0, alice, parked)
	require.NoError(t, err)
	require.Equal(t, SessionWait, status, "also before anybody's beat has noticed")

	beat := w.beat(alice)
	require.True(t, beat.Settling)
	require.Equal(t, 1, beat.Dead, "closed sessions only: the others may have beaten the old server")
	deadline, _ := w.deadline(bob)
	require.InDelta(t, w.Now()+10_000, deadline, 5000)
	score, _ := w.deadline("closed.1")
	require.Zero(t, score)
	require.Equal(t, []string{"!run:" + beat.Server}, w.runs())
	checkSettling(t, w, l, parked)
}

// The same with a server that restarts, with what it had, and without.
func TestRule07RestartedServerSettles(t *testing.T) {
	for name, keep := range map[string]bool{"with data": true, "empty": false} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			first := w.open(alice)
			l := w.own(alice, "s")
			w.announce("parked")
			parked := w.read(alice, 1)
			require.NoError(t, w.server.Restart(w.ctx, keep))

			w = w.as(w.server.Client(t))
			beat := w.beat(alice)
			require.NotEqual(t, first.Server, beat.Server)
			require.True(t, beat.Settling)
			if keep {
				require.Equal(t, SessionLive, beat.Status)
				require.Equal(t, "k", w.renew(alice, l).Verdicts)
				w.Do("DEL", l.Key(), w.keys.Token)
				checkSettling(t, w, l, parked)
				return
			}
			// Everything is gone, the entry too: what was held cannot be claimed again.
			require.Equal(t, SessionMade, beat.Status)
			require.Equal(t, "m", w.renew(alice, l).Verdicts)
			kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{}))
			require.NoError(t, err)
			require.Equal(t, "g", kept)
			require.True(t, w.open(alice).Settling, "the group is made again, but not by the first of all")
		})
	}
}

// Trace: a server without persistence restarts, and the first to come back is a survivor's reader, which makes the group
// again because it is missing. Were that taken for the first start of the service, a stream announced again would be
// handed out while another survivor still holds it by its own deadline.
func TestRule07OpenThatKnowsATokenSettlesThoughItMakesTheGroup(t *testing.T) {
	w := newHarness(t)
	beat, err := w.store.Open(w.ctx, 0, alice, 1)
	require.NoError(t, err)
	require.True(t, beat.Settling)
}

// Trace: the books are gone, or were never there: the group was made by another library, or the set was deleted.
func TestRule07NoServerNotedCountsAsChanged(t *testing.T) {
	w := newHarness(t)
	require.False(t, w.open(alice).Settling, "the open that makes the group waits for nobody")
	require.False(t, w.open(bob).Settling)
	w.announce("s")
	entries := w.read(alice, 1)
	w.Do("ZREM", w.keys.Sessions, w.runs()[0])
	status, _, err := w.store.Acquire(w.ctx, 0, alice, entries)
	require.NoError(t, err)
	require.Equal(t, SessionWait, status)
	require.True(t, w.open(alice).Settling)
	require.True(t, w.beat(bob).Settling)

	w.Do("DEL", w.keys.Sessions)
	require.True(t, w.open(alice).Settling, "a group that was there")

	w.Do("ZADD", w.keys.Sessions, "-2", "!run:other")
	status, _, err = w.store.Acquire(w.ctx, 0, alice, entries)
	require.NoError(t, err)
	require.Equal(t, SessionWait, status, "two servers noted count as changed too")
	require.True(t, w.beat(alice).Settling)
	require.Len(t, w.runs(), 1)
}

// Trace: a fleet in which the session TTL is being changed: settling by the shorter one would end while those with the
// longer one still trust their leases.
func TestRule07SettlesForTheGreatestTTLOfTheFleet(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	long := *w
	long.set.SessionTTL = time.Minute
	long.store = NewStore(w.layout, long.set, w.Client, w.Client, nil)
	long.open(bob)
	ttl, _ := w.deadline("!ttl")
	require.EqualValues(t, -60_000, ttl)
	w.setScore(w.runs()[0], -(w.Now() - 30_000))
	require.True(t, w.beat(alice).Settling)
	w.setScore(w.runs()[0], -(w.Now() - 61_000))
	require.False(t, w.beat(alice).Settling)

	w.forget()
	w.Do("ZADD", w.keys.Sessions, "-60000", "!ttl")
	w.beat(alice)
	deadline, _ := w.deadline(bob)
	require.InDelta(t, w.Now()+60_000, deadline, 5000)
}

// Trace: Redis is out of reach for everybody for a minute. To the first one back, all others would look dead, unless the
// gap is added; those that were dead before it stay dead, and closed ones stay closed.
func TestRule07GapInAllBeatsIsAddedToTheLivingOnly(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	now := w.Now()
	last := now - 60_000
	w.setScore("!beat", -last)
	w.setScore("living.1", last+8000)
	w.setScore("barely.1", last+1)
	w.setScore("dead.1", last-1)
	w.setScore("exactly.1", last)
	w.setScore("closed.1", 0)
	beat := w.beat(alice)
	require.Equal(t, SessionLive, beat.Status)
	require.Equal(t, 3, beat.Dead, "dead, exactly and closed")
	for member, want := range map[string]int64{
		"living.1": last + 8000 + 60_000, "barely.1": last + 1 + 60_000,
		"dead.1": last - 1, "exactly.1": last, "closed.1": 0,
	} {
		score, ok := w.deadline(member)
		require.True(t, ok)
		if want > now {
			require.InDelta(t, want, score, 5000, member)
			require.GreaterOrEqual(t, score, want, member)
		} else {
			require.Equal(t, want, score, member)
		}
	}
	noted, _ := w.deadline("!beat")
	require.GreaterOrEqual(t, -noted, now)
}

// Trace: a gap that is no longer than the threshold is a survivor that stutters; it must still see its dead.
func TestRule07ShortGapChangesNothing(t *testing.T) {
	w := newHarness(t, func(s *Settings) { s.Gap = time.Hour })
	w.open(alice)
	last := w.Now() - 60_000
	w.setScore("!beat", -last)
	w.setScore("bob.1", last+8000)
	require.Equal(t, 1, w.beat(alice).Dead)
	score, _ := w.deadline("bob.1")
	require.Equal(t, last+8000, score)
}

// Trace: the server's clock goes back by an hour. Who died just before looked alive for that hour, and so did what he held;
// settling, which counts from a time that is now in the future, would have lasted as long. The first beat ends both: nobody
// lasts longer than the greatest TTL, and settling starts over.
func TestRule07ClockGoneBack(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	ahead := w.Now() + aged.Milliseconds()
	w.setScore("!beat", -ahead)
	w.setScore("bob.1", ahead+8000)
	w.Do("ZADD", w.keys.Sessions, strconv.FormatInt(ahead+8000, 10)+".5", "adopted.1")
	w.setScore("shorter.1", w.Now()+5000)
	w.setScore("closed.1", 0)
	w.setScore(w.runs()[0], -ahead)
	before := w.Now()
	require.True(t, w.beat(alice).Settling)
	for _, member := range []string{"bob.1", "adopted.1"} {
		score, _ := w.deadline(member)
		require.WithinRange(t, time.UnixMilli(score), time.UnixMilli(before+10_000), time.UnixMilli(w.Now()+10_000), member)
	}
	require.Contains(t, w.Text("ZSCORE", w.keys.Sessions, "adopted.1"), ".5", "it still counts no crash")
	score, _ := w.deadline("shorter.1")
	require.LessOrEqual(t, score, before+6000)
	score, _ = w.deadline("closed.1")
	require.Zero(t, score)
	since, _ := w.deadline(w.runs()[0])
	require.InDelta(t, w.Now(), -since, 5000)
	noted, _ := w.deadline("!beat")
	require.InDelta(t, w.Now(), -noted, 5000)
}

// Trace: a clock that goes forward by an hour looks like a gap in all beats: nobody dies of it.
func TestRule07ClockGoneForwardKillsNobody(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	now := w.Now()
	w.setScore("!beat", -(now - aged.Milliseconds()))
	w.setScore(bob, now-aged.Milliseconds()+9000)
	require.Zero(t, w.beat(alice).Dead)
}

// Trace: verify outside of settling. A lease that vanished then was deleted or has expired, and another consumer may have
// had the stream and ended it since.
func TestRule07VerifySetsNothingOutsideOfSettling(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	w.Do("DEL", l.Key())
	require.Equal(t, "l", w.renew(alice, l).Verdicts)
	kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{}))
	require.NoError(t, err)
	require.Equal(t, "l", kept)
	require.Empty(t, w.value("s"))
}

// Trace: a late verify arrives after its lease was ended, or its entry re-queued and taken by another.
func TestRule07LateVerifySetsNothing(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	done, moved := w.own(alice, "done"), w.own(alice, "moved")
	require.Equal(t, "d", verdicts(w.done(alice, back(done))))
	require.Equal(t, "m", verdicts(w.requeue(alice, back(moved))))
	l := w.take(bob, w.read(bob, 1)[0])
	w.forget()
	kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{done, moved}, Savings{}))
	require.NoError(t, err)
	require.Equal(t, "gl", kept, "the first is done with; whose answer this is has ended it")
	require.Empty(t, w.value("done"))
	require.Equal(t, bob+" "+l.tag, w.value("moved"))
}

// user is a client that may call all but what rules take away, "-info".
func (w *harness) user(rules ...string) rueidis.Client {
	w.t.Helper()
	w.Do(append([]string{"ACL", "SETUSER", "limited", "reset", "on", ">secret", "~*", "&*", "+@all"}, rules...)...)
	option := w.server.ClientOption()
	option.Username, option.Password = "limited", "secret"
	client, err := rueidis.NewClient(option)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

// Trace: a managed service refuses INFO. On a cluster the node's ID tells servers apart; elsewhere nothing does, and
// starting in spite of it would give G1 up in silence.
func TestRule07RefusedInfo(t *testing.T) {
	t.Run("standalone", func(t *testing.T) {
		w := newHarness(t)
		w.open(bob)
		limited := w.as(w.user("-info"))
		_, err := limited.store.Open(w.ctx, 0, alice, 0)
		require.ErrorContains(t, err, "NOSERVERID")
		require.False(t, Retryable(err))
		require.ErrorContains(t, Explain(err), "+info")
		_, err = limited.store.Beat(w.ctx, 0, alice, false)
		require.ErrorContains(t, err, "NOSERVERID")
		_, _, err = limited.store.Acquire(w.ctx, 0, bob, nil)
		require.ErrorContains(t, err, "NOSERVERID")
		_, err = verdictsOf(limited.store.Verify(w.ctx, 0, bob, nil, Savings{}))
		require.ErrorContains(t, err, "NOSERVERID")
		out := limited.store.Renew(w.ctx, 0, bob, 0, [][]*Lease{{}}, nil, nil)
		require.ErrorContains(t, out[0].Err, "NOSERVERID")
		_, ok := w.deadline(alice)
		require.False(t, ok)
	})
	t.Run("settling turned off", func(t *testing.T) {
		w := newHarness(t, func(s *Settings) { s.Settle = false })
		limited := w.as(w.user("-info"))
		require.Empty(t, limited.open(alice).Server)
		require.False(t, limited.beat(alice).Settling)
		limited.own(alice, "s")
		require.Empty(t, w.runs())
	})
}

// Trace: with settling off, whoever finds a stream free takes it, whatever the server forgot: availability for G1.
func TestRule07SettlingTurnedOff(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.announce("s")
	entries := w.read(alice, 1)
	w.forget()
	w.set.Settle = false
	off := w.as(w.Client)
	beat := off.beat(alice)
	require.False(t, beat.Settling)
	require.Empty(t, beat.Server)
	require.Equal(t, Acquired, off.acquire(alice, entries...)[0].Verdict)
	require.Equal(t, strconv.Itoa(-1), w.Text("ZSCORE", w.keys.Sessions, "!run:0123456789abcdef"), "the books are left to others")
}
