package lease

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sharer is a process that reports its standing, and keeps the last answer.
type sharer struct {
	*harness
	name     string
	standing Standing
	fleet    *Fleet
	refused  []error
}

// sharer opens a session for a process of weight 1 that holds nothing.
func (w *harness) sharer(name string) *sharer {
	w.t.Helper()
	x := &sharer{name: name, standing: Standing{Role: RoleShares, Weight: 1}}
	x.harness = w.setting(func(set *Settings) {
		set.Balance = NewBalance(w.layout, w.clock, func(int) Standing { return x.standing },
			func(_ int, f Fleet) { x.fleet = &f }, func(_ int, err error) { x.refused = append(x.refused, err) })
	})
	x.open(name)
	return x
}

// setting is the same harness with other settings.
func (w *harness) setting(change func(*Settings)) *harness {
	other := *w
	change(&other.set)
	other.store = NewStore(other.layout, other.set, other.Client, other.Client, nil)
	return &other
}

// beats sends a beat and returns what it answers about the fleet.
func (x *sharer) beats() Fleet {
	x.t.Helper()
	x.fleet = nil
	x.harness.beat(x.name)
	require.NotNil(x.t, x.fleet)
	return *x.fleet
}

// Each that joins counts with its weight, and all of them hear the same sums.
func TestFleetIsCounted(t *testing.T) {
	w := newHarness(t)
	a := w.sharer(alice)
	require.Equal(t, Fleet{Weight: 1, Least: 0, Changes: 1, Waited: -time.Millisecond}, *a.fleet, "open answers, too")
	b := w.sharer(bob)
	for _, stream := range []string{"one", "two", "three"} {
		w.announce(stream)
	}
	a.standing.Held, b.standing.Held, b.standing.Weight = 6, 4, 4
	a.beats()
	require.Equal(t, Fleet{Total: 3, Weight: 5, Least: 1, Changes: 2, Waited: -time.Millisecond}, b.beats())
	require.Equal(t, b.beats(), a.beats())
	require.Equal(t, "6", w.Text("ZSCORE", w.keys.Load, alice))
	require.Equal(t, "4000 0 0 shares", w.Text("HGET", w.keys.Fleet, bob))
	require.Equal(t, "5000 0 2 0", w.Text("HGET", w.keys.Books, "sums"))
}

// Who does not share counts in neither sum: its streams stay where they are. If they do not stay, they count.
func TestWhoDoesNotShareIsNotCounted(t *testing.T) {
	for part, total := range map[Role]int{
		RoleShares: 3, RoleFull: 1, RoleBehind: 1, RolePaused: 1, RoleEvacuating: 3, RoleDraining: 3,
	} {
		t.Run(string(part), func(t *testing.T) {
			w := newHarness(t)
			a, b := w.sharer(alice), w.sharer(bob)
			for _, stream := range []string{"one", "two", "three"} {
				w.announce(stream)
			}
			b.standing = Standing{Role: part, Weight: 2, Held: 2, Here: 2}
			b.beats()
			b.beats()
			got := a.beats()
			require.Equal(t, total, got.Total)
			if part == RoleShares {
				require.InDelta(t, 3, got.Weight, 0)
				return
			}
			require.InDelta(t, 1, got.Weight, 0)
			require.Equal(t, []string{alice}, w.list("ZRANGE", w.keys.Load, "0", "-1"))
			b.standing = Standing{Role: RoleShares, Weight: 2, Held: 2, Here: 2}
			b.beats()
			got = a.beats()
			require.Equal(t, 3, got.Total)
			require.InDelta(t, 3, got.Weight, 0)
			require.EqualValues(t, 2, got.Changes, "nobody joined or left")
		})
	}
}

// The keys of the balance come last in a call. A stream whose lease ends like them is not taken for one.
func TestStreamsNamedLikeAKeyOfTheFleet(t *testing.T) {
	w := newHarness(t)
	a := w.sharer(alice)
	for _, name := range []string{"}:fleet", "{x}:fleet", "x}:fleet", ":fleet"} {
		for reports, h := range map[string]*harness{"without a report": w, "with one": a.harness} {
			w.announce(name)
			a.set.Balance.ReportNow(0)
			entries := h.read(alice, 1)
			takes := h.acquire(alice, entries...)
			require.Equal(t, Acquired, takes[0].Verdict, "%s, %s", name, reports)
			l := w.lease(alice, entries[0], takes[0].Token)
			require.Equal(t, 1, w.Num("EXISTS", l.Key()))
			require.Equal(t, Finished, h.done(alice, back(l))[0].Verdict)
		}
	}
	require.Equal(t, Fleet{Weight: 1, Changes: 1, Waited: -time.Millisecond}, a.beats())
}

// A version that reports nothing counts with a weight of 1 by its session.
func TestConsumerThatReportsNothingWeighsOne(t *testing.T) {
	w := newHarness(t)
	a := w.sharer(alice)
	w.open(bob)
	a.set.Balance.ReportNow(0)
	require.InDelta(t, 2, a.beats().Weight, 0, "it is looked for with whole reports")
	_, err := w.store.Close(w.ctx, 0, bob)
	require.NoError(t, err)
	a.set.Balance.ReportNow(0)
	require.InDelta(t, 1, a.beats().Weight, 0)
}

// Whose session is over leaves with the call that says so, once, and nobody can take out who is alive.
func TestLeaving(t *testing.T) {
	w := newHarness(t)
	a, b := w.sharer(alice), w.sharer(bob)
	require.NoError(t, a.store.Leave(w.ctx, 0, bob))
	require.InDelta(t, 2, a.beats().Weight, 0, "bob is alive")
	left, err := b.store.Close(w.ctx, 0, bob)
	require.NoError(t, err)
	require.Zero(t, left)
	require.Equal(t, Fleet{Weight: 1, Changes: 3, Waited: -time.Millisecond}, a.beats())
	require.NoError(t, a.store.Leave(w.ctx, 0, bob))
	require.EqualValues(t, 3, a.beats().Changes)
	require.Equal(t, []string{alice}, w.list("HKEYS", w.keys.Fleet))
	require.Equal(t, []string{alice}, w.list("ZRANGE", w.keys.Load, "0", "-1"))
}

// A beat that runs late, after its session was closed, brings nobody back.
func TestLateBeatOfOneWhoHasLeft(t *testing.T) {
	w := newHarness(t)
	a, b := w.sharer(alice), w.sharer(bob)
	w.announce("one")
	b.read(bob, 1) // the consumer stays, and its closed session
	left, err := b.store.Close(w.ctx, 0, bob)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	require.Equal(t, SessionLost, b.harness.beat(bob).Status)
	require.InDelta(t, 1, a.beats().Weight, 0)
	require.Equal(t, []string{alice}, w.list("HKEYS", w.keys.Fleet))
}

// Who asks hears how long the oldest entry waits that nobody has read. Its body is read once.
func TestOldestEntryWaits(t *testing.T) {
	w := newHarness(t)
	a := w.sharer(alice)
	a.standing.Waits = true
	require.Negative(t, a.beats().Waited, "there is none")
	w.Do("XADD", w.keys.Input, "1000000000000-0", "field", "value")
	require.Greater(t, a.beats().Waited, time.Hour)
	require.Equal(t, "0-0 1000000000000", w.Text("HGET", w.keys.Books, "oldest"))
	w.Do("XDEL", w.keys.Input, "1000000000000-0")
	w.announce("new")
	require.Greater(t, a.beats().Waited, time.Hour, "remembered, until something is delivered")
	require.Len(t, w.read(alice, 1), 1)
	w.announce("newer")
	require.Less(t, a.beats().Waited, time.Minute)
	require.GreaterOrEqual(t, a.beats().Waited, time.Duration(0))
	require.Len(t, w.read(alice, 1), 1)
	require.Negative(t, a.beats().Waited)

	// An ID that is no time counts from when it is seen.
	w.Do("XADD", w.keys.Input, "99999999999999999-0", "field", "value")
	require.Less(t, a.beats().Waited, time.Minute)
	time.Sleep(20 * time.Millisecond)
	require.GreaterOrEqual(t, a.beats().Waited, 20*time.Millisecond)
}

// A renewal reports once a second, an acquisition each time.
func TestRenewalReportsOnceASecond(t *testing.T) {
	w := newHarness(t)
	a := w.sharer(alice)
	w.announce("one")
	a.fleet = nil
	entries := a.read(alice, 1)
	takes := a.acquire(alice, entries...)
	require.Equal(t, Acquired, takes[0].Verdict)
	require.NotNil(t, a.fleet)
	require.Equal(t, 1, a.fleet.Total)
	l := a.lease(alice, entries[0], takes[0].Token)
	a.fleet = nil
	require.Equal(t, "k", a.renew(alice, l).Verdicts)
	require.Nil(t, a.fleet)
	a.set.Balance.ReportNow(0)
	require.Equal(t, "k", a.renew(alice, l).Verdicts)
	require.NotNil(t, a.fleet)
}

// Whatever the keys hold, sessions and leases go on, and the process that cannot report hears why.
func TestBrokenKeysStopNoBeat(t *testing.T) {
	for _, key := range []string{"books", "load", "fleet"} {
		t.Run(key, func(t *testing.T) {
			w := newHarness(t)
			a := w.sharer(alice)
			name := "{" + w.keys.Input + "}:" + key
			w.Do("DEL", name)
			w.Do("SET", name, "text")
			a.set.Balance.ReportNow(0)
			require.Equal(t, SessionLive, a.harness.beat(alice).Status)
			require.Len(t, a.refused, 1)
			require.ErrorContains(t, a.refused[0], "WRONGTYPE")
			require.Equal(t, SessionLive, a.harness.beat(alice).Status)
			require.Len(t, a.refused, 1, "it is left out for a while")
			w.Do("DEL", name)
			a.set.Balance.leftOut[0].Store(0)
			require.Equal(t, SessionLive, a.harness.beat(alice).Status)
			require.Len(t, a.refused, 1)
		})
	}
	w := newHarness(t)
	a := w.sharer(alice)
	w.Do("HSET", w.keys.Books, "sums", "many -3  ", "oldest", "garbage")
	w.Do("HSET", w.keys.Fleet, alice, "garbage")
	a.standing.Waits = true
	a.set.Balance.ReportNow(0)
	require.Equal(t, SessionLive, a.harness.beat(alice).Status)
	require.Empty(t, a.refused, "what is no sum counts as nothing")
	require.InDelta(t, 1, a.beats().Weight, 0)
}

// A user without the rights owns streams as before. Which of the optional keys is missing is found out.
func TestUserWithoutRightsToTheFleet(t *testing.T) {
	w := newHarness(t)
	signalsRefused := signalling(t, w)
	a := w.sharer(alice)
	w.Do("ACL", "SETUSER", "default", "resetkeys", "~"+w.keys.Input, "~{"+w.keys.Input+"}:[sltc]*", "%R~{"+w.keys.Input+"}:fleet")
	defer w.Do("ACL", "SETUSER", "default", "allkeys")
	require.Equal(t, SessionLive, a.harness.beat(alice).Status)
	require.Len(t, a.refused, 1)
	require.ErrorContains(t, a.refused[0], "NOPERM")
	require.Empty(t, *signalsRefused)
	require.False(t, w.set.Signals.LeftOut(0))
	w.announce("one")
	takes := a.acquire(alice, a.read(alice, 1)...)
	require.Equal(t, Acquired, takes[0].Verdict)

	w.Do("ACL", "SETUSER", "default", "resetkeys", "~"+w.keys.Input, "~{"+w.keys.Input+"}:[tlcbf]*", "~"+w.keys.Sessions)
	a.set.Balance.leftOut[0].Store(0)
	require.Equal(t, SessionLive, a.harness.beat(alice).Status)
	require.Len(t, *signalsRefused, 1)
	require.Len(t, a.refused, 1, "only signals are missing")
	require.InDelta(t, 1, a.beats().Weight, 0)
}

// list returns the strings that a command replies with.
func (w *harness) list(args ...string) []string {
	w.t.Helper()
	texts, err := w.Try(args...).AsStrSlice()
	require.NoError(w.t, err)
	return texts
}

// What did not change is not sent again, but for once in ten seconds: what somebody deleted comes back.
func TestReportIsSentWholeNowAndThen(t *testing.T) {
	w := newHarness(t)
	a := w.sharer(alice)
	a.beats()
	require.Equal(t, []string{"=", ""}, a.set.Balance.report(0))
	a.standing.Held = 3
	require.Equal(t, []string{"3.000", ""}, a.set.Balance.report(0))
	require.Equal(t, []string{"3.000", ""}, a.set.Balance.report(0), "the first was not answered")
	a.beats()
	require.Equal(t, "3", w.Text("ZSCORE", w.keys.Load, alice))
	w.Do("DEL", w.keys.Books, w.keys.Load, w.keys.Fleet)
	require.Zero(t, a.beats().Weight)
	a.set.Balance.last[0].whole -= int64(wholeEvery)
	require.Equal(t, Fleet{Weight: 1, Least: 3, Changes: 1, Waited: -time.Millisecond}, a.beats())
	require.Equal(t, []string{"=", ""}, a.set.Balance.report(0))

	a.standing.Role = RolePaused
	require.Equal(t, []string{"3.000 1000 0 0 paused", ""}, a.set.Balance.report(0))
	require.Equal(t, []string{"3.000 1000 0 0 paused", ""}, a.set.Balance.report(0), "the first was not answered")
}
