package lease

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// calls is how often the server has run a command.
func (w *harness) calls(command string) int {
	w.t.Helper()
	_, rest, found := strings.Cut(w.Text("INFO", "commandstats"), "cmdstat_"+command+":calls=")
	if !found {
		return 0
	}
	n, err := strconv.Atoi(rest[:strings.IndexByte(rest, ',')])
	require.NoError(w.t, err)
	return n
}

// A beat tells when the next entry is due, to 40 ms, and never too early. Where nothing is due soon, it costs what counting what is
// due has always cost: one command.
func TestBeatTellsWhenTheNextIsDue(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		answers := map[string]func() Beat{
			"beat": func() Beat {
				b, err := w.store.Beat(w.ctx, 0, alice, false)
				require.NoError(t, err)
				return b
			},
			"renew": func() Beat {
				out := w.store.Renew(w.ctx, 0, alice, 0, [][]*Lease{nil}, nil, nil)
				require.NoError(t, out[0].Err)
				return out[0].Beat
			},
			"open": func() Beat { return w.open(alice) },
			"promote": func() Beat {
				done, err := w.store.Promote(w.ctx, 0, 10)
				require.NoError(t, err)
				require.Zero(t, done.Moved)
				return Beat{Due: done.Due, Next: done.Next}
			},
		}
		w.Do("ZADD", w.keys.Later, strconv.FormatInt(w.Now()+time.Hour.Milliseconds(), 10), "far")
		for name, answer := range answers {
			before := w.calls("zcount")
			b := answer()
			require.Zero(t, b.Next, name)
			require.Zero(t, b.Due, name)
			switch name {
			case "promote":
				require.Equal(t, before+1, w.calls("zcount"), name)
			case "beat", "renew":
				require.Equal(t, before+2, w.calls("zcount"), "one for the dead")
			}
			for _, in := range []int64{70, 500, 1200, 1270} {
				for range 5 {
					at := w.Now() + in
					w.Do("ZADD", w.keys.Later, strconv.FormatInt(at, 10), "soon")
					early := w.Now()
					b := answer()
					late := w.Now()
					if late >= at {
						continue // the machine is busy
					}
					require.Zero(t, b.Due, name)
					require.GreaterOrEqual(t, b.Next.Milliseconds(), at-late, name)
					require.LessOrEqual(t, b.Next.Milliseconds(), at-early+40, name)
				}
			}
			w.Do("ZREM", w.keys.Later, "soon")
		}
		w.Do("ZADD", w.keys.Later, strconv.FormatInt(w.Now()-1, 10), "due", strconv.FormatInt(w.Now()+100, 10), "soon")
		b := answers["beat"]()
		require.Positive(t, b.Due)
		require.Zero(t, b.Next)
		alone, err := w.store.Beat(w.ctx, 0, alice, true)
		require.NoError(t, err)
		require.Equal(t, []any{-1, time.Duration(0)}, []any{alone.Due, alone.Next})
	})
}

// What is delayed is reported with how long it is: the process that delays an entry need not wait for a beat to know.
func TestRequeueTellsHowLongItDelays(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		delayed := func(change func(r *Disposition)) time.Duration {
			r := back(w.own(alice, "s"))
			change(&r)
			out := w.requeue(alice, r)
			require.Equal(t, "m", verdicts(out))
			return out[0].Delay()
		}
		require.Zero(t, delayed(func(r *Disposition) {}))
		require.Equal(t, 700*time.Millisecond, delayed(func(r *Disposition) { r.Dest, r.Delay = ToLater, 700*time.Millisecond }))
		require.Zero(t, delayed(func(r *Disposition) { r.Dest = ToLater }))
		require.Zero(t, delayed(func(r *Disposition) { r.Dest, r.Reason = ToDeadLetters, "permanent: x" }))
		at := w.Now() + 2000
		d := delayed(func(r *Disposition) { r.Dest, r.At = ToLater, at })
		require.LessOrEqual(t, d, 2*time.Second)
		require.GreaterOrEqual(t, d.Milliseconds(), at-w.Now())
	})
}

// Long delays end together, at a second of the partition's own; short ones, and the times that producers set, are kept exactly.
func TestLongDelaysEndTogether(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		due := func(change func(r *Disposition)) (at, now int64) {
			w.Do("DEL", w.keys.Later)
			r := back(w.own(alice, "s"))
			r.Dest = ToLater
			change(&r)
			require.Equal(t, "m", verdicts(w.requeue(alice, r)))
			all, err := w.Try("ZRANGE", w.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
			require.NoError(t, err)
			return int64(all[0].Score), w.Now()
		}
		phases := make(map[int64]bool)
		for _, d := range []time.Duration{10 * time.Second, 10_123 * time.Millisecond, 45_678 * time.Millisecond, time.Hour} {
			before := w.Now()
			at, now := due(func(r *Disposition) { r.Delay = d })
			phases[at%1000] = true
			require.GreaterOrEqual(t, at, before+d.Milliseconds())
			require.Less(t, at, now+d.Milliseconds()+1000)
		}
		require.Len(t, phases, 1)
		want := w.Now() + 100_001
		at, _ := due(func(r *Disposition) { r.At = want })
		require.Equal(t, want, at)
		before := w.Now()
		at, now := due(func(r *Disposition) { r.Delay = 9_999 * time.Millisecond })
		require.GreaterOrEqual(t, at, before+9_999)
		require.LessOrEqual(t, at, now+9_999)
	})
}
