package lease

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// Trace: alice's lease runs out on the server while her session lives. Bob gets another announcement of the stream, works, and hands
// back. Alice still has her entry pending, and the lease is free: her ending goes through, her old checkpoint does not.
func TestEndingLeavesNoCheckpointBehindALaterOwner(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	done, moved := w.own(alice, "done"), w.own(alice, "moved")
	require.Equal(t, "ss", w.save(alice, 1, Saving{done, "1"}, Saving{moved, "1"}))
	for _, l := range []*Lease{done, moved} {
		w.Do("DEL", l.Key())
		later, take := w.again(bob, l.Stream())
		require.Equal(t, "1", take.Checkpoint)
		require.Equal(t, "d", verdicts(w.done(bob, back(later).with("9"))))
	}
	require.Equal(t, "9", w.checkpoint("done"))
	out := w.done(alice, back(done).with("2"))
	require.Equal(t, "d", verdicts(out))
	require.Equal(t, Lost, out[0].Checkpoint)
	out = w.requeue(alice, back(moved).with("2"))
	require.Equal(t, "m", verdicts(out))
	require.Equal(t, Lost, out[0].Checkpoint)
	require.Equal(t, []string{"9", "9"}, []string{w.checkpoint("done"), w.checkpoint("moved")})

	// The same while bob owns it.
	require.Len(t, w.read(bob, 1), 1)
	mine := w.own(alice, "moved too")
	w.Do("DEL", mine.Key())
	bobs := w.own(bob, "moved too")
	require.Equal(t, "o", verdicts(w.done(alice, back(mine).with("2"))))
	out = w.requeue(alice, back(mine).with("2"))
	require.Equal(t, "m", verdicts(out))
	require.Equal(t, Lost, out[0].Checkpoint)
	require.Empty(t, w.stored("moved too"))
	require.Equal(t, "k", w.renew(bob, bobs).Verdicts)
}

// Trace: as above, but bob drops the checkpoint, or leaves none. There is none to compare alice's token with, so hers must not come back.
func TestEndingBringsNoDroppedCheckpointBack(t *testing.T) {
	for name, end := range map[string]func(w *harness, l *Lease, d Disposition) Outcome{
		"done": func(w *harness, _ *Lease, d Disposition) Outcome {
			out := w.done(alice, d)
			require.Equal(w.t, "d", verdicts(out))
			return out[0]
		},
		"moved": func(w *harness, _ *Lease, d Disposition) Outcome {
			out := w.requeue(alice, d)
			require.Equal(w.t, "m", verdicts(out))
			return out[0]
		},
		"restored": func(w *harness, l *Lease, d Disposition) Outcome {
			out, err := w.store.Restore(w.ctx, 0, alice, []Restorable{{Disposition: d, Memory: l.Memory()}})
			require.NoError(w.t, err)
			require.Equal(w.t, "m", verdicts(out))
			return out[0]
		},
	} {
		for _, known := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				w := newHarness(t)
				w.open(alice)
				w.open(bob)
				l := w.own(alice, "s")
				if known {
					require.Equal(t, "s", w.save(alice, 1, Saving{l, "1"}))
				}
				w.Do("DEL", l.Key())
				later, _ := w.again(bob, "s")
				drop := back(later)
				drop.DropCheckpoint = known
				require.Equal(t, "d", verdicts(w.done(bob, drop)))
				require.Equal(t, Lost, end(w, l, back(l).with("2")).Checkpoint)
				require.EqualValues(t, 0, w.Num("HEXISTS", w.keys.Checkpoints, "s"+l.Stream()))
				require.Empty(t, w.stored("s"))
			})
		}
	}
}

// A lease that is gone loses no checkpoint that is there: nobody has owned the stream since, or it would bear another token.
func TestEndingWithoutALeaseGoesOnFromTheCheckpointThatIsThere(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	require.Equal(t, "s", w.save(alice, 1, Saving{l, "1"}))
	w.Do("DEL", l.Key())
	require.Equal(t, Saved, w.requeue(alice, back(l).with("2"))[0].Checkpoint)
	l, take := w.next(alice)
	require.Equal(t, "2", take.Checkpoint)
	w.Do("DEL", l.Key())
	require.Equal(t, Saved, w.done(alice, back(l).with("3"))[0].Checkpoint, "not stored under this token before")
	require.Equal(t, "3", w.checkpoint("s"))
}

// A late or repeated ending, one by a name alone, and one of an entry that was never held leave no checkpoint.
func TestOnlyAnOwnersEndingLeavesACheckpoint(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	out := w.requeue(alice, back(l).with("1"))
	require.Equal(t, "m", verdicts(out))
	late := w.requeue(alice, back(l).with("0"))
	require.Equal(t, "n", verdicts(late))
	require.Zero(t, late[0].Checkpoint)
	late = w.done(alice, back(l).with("0"))
	require.Equal(t, "n", verdicts(late))
	require.Zero(t, late[0].Checkpoint)
	require.Equal(t, l.tokenText()+" r 1", w.stored("s"))

	l, _ = w.next(alice)
	any := back(l).with("0")
	any.Token = AnyToken
	out = w.requeue(alice, any)
	require.Equal(t, "m", verdicts(out))
	require.Zero(t, out[0].Checkpoint)
	read := w.read(alice, 1)[0]
	never := Disposition{Key: read.Key, Entry: read.ID, Dest: ToInput, Retries: KeepCount, Crashes: KeepCount}.with("0")
	require.Equal(t, "m", verdicts(w.requeue(alice, never)))
	read = w.read(alice, 1)[0]
	never.Entry = read.ID
	require.Equal(t, "d", verdicts(w.done(alice, never)))
	require.Equal(t, l.tokenText()+" v 1", w.stored("s"))
}

// Each way out of a stream leaves the checkpoint in the same step, dead letters included, and what is not ended leaves none worse than
// it was.
func TestEveryEndingLeavesTheCheckpoint(t *testing.T) {
	w := newHarness(t, func(s *Settings) { s.MaxMove = 1 << 10 })
	w.open(alice)
	for _, dest := range []Dest{ToInput, ToLater, ToDeadLetters} {
		l := w.own(alice, "to "+string(rune(dest)))
		require.Equal(t, "m", verdicts(w.requeue(alice, back(l).to(dest).with("1"))))
		require.Equal(t, l.tokenText()+" r 1", w.stored(l.Stream()))
		if dest == ToInput {
			w.read(alice, 1)
		}
	}

	w.announce("heavy", "more", string(make([]byte, 2<<10)))
	l, _ := w.next(alice)
	item := back(l).with("1")
	require.Equal(t, "b", verdicts(w.requeue(alice, item)))
	require.Equal(t, "1", w.checkpoint("heavy"))
	item.DeadLetterByReference(errors.New("too large"))
	out := w.requeue(alice, item)
	require.Equal(t, "r", verdicts(out))
	require.Equal(t, Saved, out[0].Checkpoint)

	// Somebody deletes and acknowledges by hand what alice owns.
	gone, acked := w.own(alice, "gone"), w.own(alice, "acked")
	w.Do("XDEL", w.keys.Input, gone.Entry())
	require.Equal(t, "g", verdicts(w.requeue(alice, back(gone).with("1"))))
	require.Equal(t, "1", w.checkpoint("gone"))
	w.Do("XACK", w.keys.Input, w.layout.Group(), acked.Entry())
	require.Equal(t, "n", verdicts(w.requeue(alice, back(acked).with("1"))))
	acked = w.own(alice, "acked too")
	w.Do("XACK", w.keys.Input, w.layout.Group(), acked.Entry())
	outcomes, err := w.store.Restore(w.ctx, 0, alice, []Restorable{{Disposition: back(acked).with("1"), Memory: acked.Memory()}})
	require.NoError(t, err)
	require.Equal(t, "m", verdicts(outcomes))
	require.Equal(t, Saved, outcomes[0].Checkpoint)
	require.Equal(t, acked.tokenText()+" r 1", w.stored("acked too"))
}

// Trace: an owner stores two checkpoints with one key each, while the slot migrates, the first of which gets no answer. It dies, its
// session is ended and its number removed. The first call runs late, before anybody acquires the stream: its next owner must find the
// second.
func TestLateCallWithOneKeyOfAnEndedSessionStoresNothing(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	require.Equal(t, "m", verdicts(w.requeue(alice, back(w.own(alice, "s")).with("1"))))
	l, take := w.next(bob)
	require.Equal(t, "1", take.Checkpoint)
	require.Equal(t, "0", w.number(bob), "so that it need not store anything before the slot migrates")
	alone := func(number uint64, value string) string {
		return string(w.store.SaveCheckpointsAlone(w.ctx, 0, bob, number, []Saving{{l, value}})[0])
	}
	require.Equal(t, "s", alone(2, "3"))
	require.Equal(t, "o", alone(1, "2"))
	w.Do("HDEL", w.keys.Checkpoints, "!"+bob) // as the scan does after the session
	require.Equal(t, l.tokenText()+" v 3", w.stored("s"))
	require.Equal(t, "t", alone(1, "2"))
	require.Equal(t, l.tokenText()+" v 3", w.stored("s"))
}

// Trace: the last checkpoint before a hand back was sent with one key, while the slot migrated, and got no answer. It runs when the stream
// has been handed back, or is done; whoever is next must find what the ending left.
func TestLateCallWithOneKeyUndoesNoEnding(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	for name, end := range map[string]func(Disposition){
		"moved": func(d Disposition) { require.Equal(t, "m", verdicts(w.requeue(alice, d))) },
		"done":  func(d Disposition) { require.Equal(t, "d", verdicts(w.done(alice, d))) },
	} {
		l := w.own(alice, name)
		alone := func(value string) string {
			return string(w.store.SaveCheckpointsAlone(w.ctx, 0, alice, 7, []Saving{{l, value}})[0])
		}
		require.Equal(t, "t", alone("0"), "the first one must wait")
		require.Equal(t, "s", w.save(alice, 7, Saving{l, "1"}))
		require.Equal(t, "s", alone("2"))
		end(back(l).with("3"))
		require.Equal(t, "l", alone("2"))
		require.Equal(t, "3", w.checkpoint(name))
		if name == "done" {
			w.announce(name)
		}
		w.open(bob)
		next, take := w.next(bob)
		require.Equal(t, "3", take.Checkpoint)
		require.Equal(t, "l", alone("2"), "the token is another one")
		require.Equal(t, next.tokenText()+" v 3", w.stored(name))
	}
}
