package lease

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// micros is the server's time.
func (w *harness) micros() int64 {
	w.t.Helper()
	clock, err := w.Client.Do(w.ctx, w.Client.B().Time().Build()).AsIntSlice()
	require.NoError(w.t, err)
	return clock[0]*1e6 + clock[1]
}

// Whatever carries a beat answers the server's time, as exact as it is there, and also when the session is lost.
func TestBeatsAnswerTheTimeOfTheServer(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		held, other, gone := w.own(alice, "s"), w.own(alice, "{s}"), w.own(alice, "gone")
		w.announce("s")
		w.acquire(alice, w.read(alice, 1)...) // an entry waits for s
		w.Do("DEL", gone.Key())
		beat := func(alone bool) func() Beat {
			return func() Beat {
				b, err := w.store.Beat(w.ctx, 0, alice, alone)
				require.NoError(t, err)
				return b
			}
		}
		renew := func(leases ...*Lease) func() Beat { return func() Beat { return w.renew(alice, leases...).Beat } }
		answers := map[string]func() Beat{
			"open": func() Beat { return w.open(alice) }, "beat": beat(false), "beat alone": beat(true),
			"renewal of nothing": renew(), "renewal of what is kept": renew(other), "renewal of others": renew(held, gone),
		}
		check := func(name string, want Status) {
			before := w.micros()
			b := answers[name]()
			require.Equal(t, want, b.Status, name)
			require.GreaterOrEqual(t, b.Time, before, name)
			require.LessOrEqual(t, b.Time, w.micros(), name)
		}
		for name := range answers {
			check(name, SessionLive)
		}
		w.setScore(alice, w.Now()-1)
		for name := range answers {
			check(name, SessionLost)
		}
	})
}
