package lease

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func small(s *Settings) { s.MaxMove = 1000 }

// An entry that is too large to be copied stays where it is, and a dead letter says so.
func TestEntryTooLargeToBeCopiedIsReferredTo(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		text := `{"DataStreamName":"s","Info":"` + strings.Repeat("x", 10_000) + `"}`
		for _, dest := range []Dest{ToInput, ToLater, ToDeadLetters} {
			for _, known := range []bool{false, true} {
				w.Do("DEL", w.keys.Input)
				w.Do("XGROUP", "CREATE", w.keys.Input, w.layout.Group(), "0", "MKSTREAM")
				w.Text("XADD", w.keys.Input, "*", FieldAnnouncement, text, FieldRetries, "2", "_reference", "1-1")
				l := w.take(alice, w.read(alice, 1)[0])
				r := back(l).to(dest)
				if known {
					r.Size, r.Cut = 10_500, "the start"
				} else {
					out := w.requeue(alice, r)
					require.Equal(t, "b", verdicts(out))
					require.Equal(t, "k", w.renew(alice, l).Verdicts, "nothing has changed")
					require.True(t, r.Redirect(out[0]))
					require.Equal(t, text[:MaxCut], r.Cut)
				}
				require.Equal(t, "r", verdicts(w.requeue(alice, r)))
				letter := w.letter()
				require.Equal(t, r.Cut, valueOf(t, letter, FieldAnnouncement)+map[bool]string{known: ""}[known])
				require.Equal(t, l.Entry(), valueOf(t, letter, FieldReference))
				require.Equal(t, l.Entry(), valueOf(t, letter, FieldOriginalID))
				require.Equal(t, strconv.Itoa(r.Size), valueOf(t, letter, FieldSize))
				require.Equal(t, alice, valueOf(t, letter, FieldLastOwner))
				switch reason := valueOf(t, letter, FieldReason); dest {
				case ToDeadLetters:
					require.Equal(t, "because", reason, "why it became one")
				default:
					require.Contains(t, reason, DeadTooLarge)
				}
				if !known {
					require.Equal(t, len(FieldAnnouncement)+len(text)+len(FieldRetries)+1+len("_reference")+3+3*FieldWeight, r.Size)
				}
				require.Empty(t, w.pendingIDs(alice))
				require.Empty(t, w.value("s"))
				require.Len(t, w.Stream(w.keys.Input), 1, "nothing is deleted that is not kept elsewhere")
				require.Empty(t, w.read(alice, 1))
				require.Equal(t, "n", verdicts(w.requeue(alice, r)), "asked again after a lost answer")
				require.Zero(t, w.Num("XLEN", w.keys.DeadLetters))
			}
		}
	}, small)
}

// What may come between, when an entry is referred to.
func TestReferringToAnEntryIsWholeOrNotAtAll(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		refer := func() Disposition {
			r := w.raw(FieldAnnouncement, `{"DataStreamName":"s"}`)
			r.Dest, r.Reason, r.Size, r.Cut = ToReference, "too_large: because", 5000, "cut"
			return r
		}
		r := refer()
		limited := w.as(w.user("-xack"))
		require.Equal(t, "x", verdicts(limited.requeue(alice, r)))
		require.Zero(t, w.Num("XLEN", w.keys.DeadLetters), "the acknowledgement was refused: the letter is taken back")
		require.Equal(t, []string{r.Entry}, w.pendingIDs(alice))

		w.Do("SET", w.keys.DeadLetters, "x")
		out := w.requeue(alice, r)
		require.Equal(t, "x", verdicts(out))
		require.False(t, Blames(out[0].Err()), "that is the server's fault")
		require.Equal(t, []string{r.Entry}, w.pendingIDs(alice))
		w.Do("DEL", w.keys.DeadLetters)

		w.Do("XDEL", w.keys.Input, r.Entry)
		if redisOf(w) >= 7 {
			require.Equal(t, "g", verdicts(w.requeue(alice, r)), "there is nothing to refer to")
			require.Zero(t, w.Num("XLEN", w.keys.DeadLetters))
		} else {
			w.Do("XACK", w.keys.Input, w.layout.Group(), r.Entry) // it cannot be told from one that is there
		}

		// Trace: a script that looks at it is not answered in time. So none does.
		r = refer()
		r.Size, r.Cut = Unweighed, ""
		require.NoError(t, w.server.ResetStats(w.ctx))
		require.Equal(t, "r", verdicts(w.requeue(alice, r)))
		stats, err := w.server.CommandStats(w.ctx)
		require.NoError(t, err)
		require.Zero(t, stats["xrange"].Calls)
		letter := w.letter()
		require.Equal(t, r.Entry, valueOf(t, letter, FieldReference))
		require.NotContains(t, letter, FieldSize)
		require.NotContains(t, letter, FieldAnnouncement)

		w.Do("EVAL", "for i = 1, 100 do redis.call('XADD', KEYS[1], '*', 'f', 'v') end", "1", w.keys.DeadLetters)
		r = refer()
		out = w.requeue(alice, r)
		require.Equal(t, "x", verdicts(out))
		require.Contains(t, out[0].Reason, "DLQFULL")
		require.False(t, Blames(out[0].Err()))
		require.ErrorContains(t, Explain(out[0].Err()), "send dead letters back")
		require.Equal(t, []string{r.Entry}, w.pendingIDs(alice), "it cannot be delayed, so it waits here")
		w.set.DeadTrim = true
		require.Equal(t, "r", verdicts(w.as(w.Client).requeue(alice, r)))

		letters := w.Num("XLEN", w.keys.DeadLetters)
		w.set.DeadLimit = 0
		require.Equal(t, "r", verdicts(w.as(w.Client).requeue(alice, refer())))
		require.Equal(t, letters+1, w.Num("XLEN", w.keys.DeadLetters), "without a limit nothing is trimmed")
	})
}

// redisOf is the major version that scripts go by.
func redisOf(w *harness) int {
	return w.Num("EVAL", "return redis.REDIS_VERSION_NUM and math.floor(redis.REDIS_VERSION_NUM / 65536) or 6", "0")
}
