package lease

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Trace: a beat and a renewal get no answer, since their server is about to be replaced. It says for how long, so both are
// sent again with TTLs that last, and that is answered: the owner believes in its leases for that long. Then the first two,
// which waited in a queue somewhere, run. Were the deadlines theirs now, the stream would go to somebody else while its
// owner believes.
func TestLateCallWithShorterTTLsShortensNothing(t *testing.T) {
	const session, lease = 40 * time.Second, 60 * time.Second
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	key := w.keys.Lease("s")
	long := *w
	long.store = w.store.With(Terms{SessionTTL: session, LeaseTTL: lease})
	require.Equal(t, "k", long.renew(alice, l).Verdicts)
	until := w.Now() + session.Milliseconds()

	unchanged := func(what string) {
		t.Helper()
		deadline, ok := w.deadline(alice)
		require.True(t, ok)
		require.InDelta(t, until, deadline, 5000, what)
		require.Greater(t, w.pttl(key), lease-5*time.Second, what)
	}
	require.Equal(t, SessionLive, w.beat(alice).Status)
	unchanged("beat")
	require.Equal(t, "k", w.renew(alice, l).Verdicts)
	unchanged("renew")
	require.Equal(t, []Verdict{Kept}, w.store.Extend(w.ctx, alice, []*Lease{l}))
	unchanged("extend")
	verdicts, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{}))
	require.NoError(t, err)
	require.Equal(t, "k", verdicts)
	unchanged("verify")
	require.Equal(t, Acquired, w.acquire(alice, &Entry{ID: l.Entry(), Key: key, Stream: "s"})[0].Verdict)
	unchanged("acquire")

	// Nor does it last forever: once the longer ones have run out, what is asked for holds again.
	w.setScore(alice, w.Now()+1000)
	w.Do("PEXPIRE", key, "1000")
	require.Equal(t, "l", w.renew(alice, l).Verdicts, "the token is another one by now")
	require.Equal(t, SessionLive, w.beat(alice).Status)
	deadline, _ := w.deadline(alice)
	require.InDelta(t, w.Now()+10_000, deadline, 5000)
}

// Trace: the clock of the server goes back by an hour. Were deadlines kept as they are, one who dies now would be
// believed alive for an hour.
func TestDeadlineBeyondTheGreatestTTLIsNotKept(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.setScore(alice, w.Now()+time.Hour.Milliseconds())
	require.Equal(t, SessionLive, w.beat(alice).Status)
	deadline, _ := w.deadline(alice)
	require.InDelta(t, w.Now()+10_000, deadline, 5000)
}
