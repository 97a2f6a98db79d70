package lease

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ended has bob's session end in a way that leaves this score, and a process that notices take bob out of the fleet.
func (x *sharer) ended(score string) {
	x.t.Helper()
	x.Do("ZADD", x.keys.Sessions, "XX", score, bob)
	require.NoError(x.t, x.store.Leave(x.ctx, 0, bob))
}

// crashesOfBob is what the next open of bob's process answers.
func (w *harness) crashesOfBob(run string) int {
	w.t.Helper()
	return w.sharer("bob." + run).fleet.Crashes
}

// Sessions that ended without being closed count as crashes of their process, whatever the name of its next run; once each.
func TestCrashesAreCounted(t *testing.T) {
	past := time.Now().Add(-time.Hour).UnixMilli()
	for name, c := range map[string]struct {
		score   string
		crashes int
	}{
		"closed":           {"0", 0},
		"alive":            {fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()), 0},
		"past":             {fmt.Sprint(past), 1},
		"adopted":          {fmt.Sprintf("%d.5", past), 0},
		"proven":           {fmt.Sprintf("%d.25", past), 1},
		"as if long ago":   {"1", 1},
		"closed, and more": {"0.5", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			a := w.sharer(alice)
			require.Zero(t, w.sharer(bob).fleet.Crashes)
			a.ended(c.score)
			require.Equal(t, c.crashes, w.Num("EXISTS", w.keys.Crashed("bob")))
			a.ended(c.score)
			require.Equal(t, c.crashes, w.crashesOfBob("second-7"), "it was counted once")
			require.Zero(t, w.sharer("bob.other.1").fleet.Crashes)
			require.Zero(t, a.beats().Crashes, "only an open asks")
		})
	}
}

// Crashes add up, and are forgotten ten minutes after the last.
func TestCrashesAddUpAndExpire(t *testing.T) {
	w := newHarness(t)
	a := w.sharer(alice)
	key := w.keys.Crashed("bob")
	for n := range 3 {
		require.Equal(t, n, w.sharer(bob).fleet.Crashes)
		if n > 0 {
			w.Do("PEXPIRE", key, "1000")
		}
		a.ended("1")
		w.Do("ZREM", w.keys.Sessions, bob) // as recovery does
		require.InDelta(t, crashKept, w.pttl(key), float64(time.Minute))
	}
	require.Equal(t, 3, w.crashesOfBob("2"))
	w.Do("SET", key, "99", "PX", "1000")
	w.sharer(bob)
	a.ended("1")
	require.Equal(t, 99, w.crashesOfBob("3"), "more make no difference")
	w.Do("PEXPIRE", key, "1")
	time.Sleep(5 * time.Millisecond)
	require.Zero(t, w.crashesOfBob("4"))
}

// A process that closes its session counts no crash, nor takes any back.
func TestClosingCountsNoCrash(t *testing.T) {
	w := newHarness(t)
	a := w.sharer(alice)
	w.sharer(bob)
	a.ended("1")
	w.Do("ZREM", w.keys.Sessions, bob)
	b := w.sharer("bob.2")
	_, err := b.store.Close(w.ctx, 0, "bob.2")
	require.NoError(t, err)
	require.NoError(t, a.store.Leave(w.ctx, 0, "bob.2"))
	require.Equal(t, 1, w.crashesOfBob("3"))
}

// A session that nobody has reported for, or that is not there, counts nothing.
func TestNoCrashWithoutARow(t *testing.T) {
	w := newHarness(t)
	a := w.sharer(alice)
	w.open(bob)
	a.ended("1")
	b := w.sharer("bob.2")
	w.Do("ZREM", w.keys.Sessions, "bob.2")
	require.NoError(t, b.store.Leave(w.ctx, 0, "bob.2"))
	require.Equal(t, []string{alice}, w.list("HKEYS", w.keys.Fleet))
	require.Zero(t, w.crashesOfBob("3"))
}

// Whatever the key holds, consumers leave the fleet and sessions open.
func TestBrokenCountOfCrashesStopsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		put     []string
		crashes int
	}{
		"another type": {[]string{"RPUSH", "", "x"}, 0},
		"a text":       {[]string{"SET", "", "many"}, 1},
		"a negative":   {[]string{"SET", "", "-3"}, 1},
		"too many":     {[]string{"SET", "", "100000000000000000000"}, 1},
		"nothing":      {[]string{"SET", "", ""}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			a := w.sharer(alice)
			c.put[1] = w.keys.Crashed("bob")
			w.Do(c.put...)
			b := w.sharer(bob)
			require.NotNil(t, b.fleet)
			require.Zero(t, b.fleet.Crashes)
			require.Empty(t, b.refused)
			a.ended("1")
			require.Equal(t, []string{alice}, w.list("HKEYS", w.keys.Fleet))
			require.Equal(t, c.crashes, w.crashesOfBob("2"))
		})
	}
}

// A user without rights to the key, or to what is done with it, takes part in the balance without it.
func TestUserWithoutRightsToCrashes(t *testing.T) {
	for name, rules := range map[string][]string{
		"the key": {"resetkeys", "~{shop-input}:[slbtf]*", "~shop-input"},
		"GET":     {"-get"},
		"SET":     {"-set"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			a := w.sharer(alice)
			w.sharer(bob)
			w.Do(append([]string{"ACL", "SETUSER", "default"}, rules...)...)
			a.ended("1")
			require.Equal(t, []string{alice}, w.list("HKEYS", w.keys.Fleet))
			require.InDelta(t, 1, a.beats().Weight, 0)
			if name == "the key" {
				require.Zero(t, w.crashesOfBob("2"))
			}
			w.Do("ACL", "SETUSER", "default", "allkeys", "+@all")
			require.Empty(t, a.refused)
			require.Zero(t, w.Num("EXISTS", w.keys.Crashed("bob")))
			a.set.Balance.crashes[0].Store(0)
			w.sharer(bob + "-1")
			w.Do("ZADD", w.keys.Sessions, "XX", "1", bob+"-1")
			require.NoError(t, a.store.Leave(w.ctx, 0, bob+"-1"))
			require.Equal(t, 1, w.crashesOfBob("3"))
		})
	}
}

// Trace: the only process that shared has crashed, and comes back paused. It hears of the crash although nobody shares.
func TestCrashIsAnsweredWhereNobodyShares(t *testing.T) {
	w := newHarness(t)
	w.sharer(bob).ended("1")
	b := &sharer{name: "bob.2", standing: Standing{Role: RolePaused, Weight: 1}}
	b.harness = w.setting(func(set *Settings) {
		set.Balance = NewBalance(w.layout, w.clock, func(int) Standing { return b.standing }, func(_ int, f Fleet) { b.fleet = &f }, nil)
	})
	b.open(b.name)
	require.NotNil(t, b.fleet)
	require.Equal(t, 1, b.fleet.Crashes)
	require.Negative(t, b.fleet.Least)
}
