package lease

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A checkpoint goes from owner to owner, whichever way it is stored.
func TestCheckpointIsWhatTheLastOwnerStored(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			w.open(bob)
			l, take := w.again(alice, "s")
			require.Empty(t, take.Checkpoint)
			require.NoError(t, take.CheckpointErr)
			require.EqualValues(t, 0, w.Num("EXISTS", w.keys.Checkpoints), "nothing is written where there is nothing")
			require.Equal(t, "s", way(w, alice, 1, Saving{l, "one"}))
			require.Equal(t, "s", way(w, alice, 2, Saving{l, "two words\nand a line"}))
			require.Equal(t, l.tokenText()+" v two words\nand a line", w.stored("s"))
			require.Equal(t, "m", verdicts(w.requeue(alice, back(l))))

			next, take := w.next(bob)
			require.Equal(t, "two words\nand a line", take.Checkpoint)
			require.Equal(t, next.tokenText()+" v two words\nand a line", w.stored("s"), "acquire stamps its token")
			out := w.requeue(bob, back(next).with("three"))
			require.Equal(t, "m", verdicts(out))
			require.Equal(t, Saved, out[0].Checkpoint)
			require.Equal(t, next.tokenText()+" r three", w.stored("s"))
			last, take := w.next(alice)
			require.Equal(t, "three", take.Checkpoint)
			require.Equal(t, last.tokenText()+" v three", w.stored("s"))
		})
	}
}

// Done keeps the checkpoint, and notes when it was; the next owner takes the note off. DropCheckpoint deletes it with any ending.
func TestCheckpointAfterDone(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l, _ := w.again(alice, "s")
	out := w.done(alice, back(l).with("one"))
	require.Equal(t, "d", verdicts(out))
	require.Equal(t, Saved, out[0].Checkpoint)
	require.Regexp(t, "^"+l.tokenText()+` d\d{13} one$`, w.stored("s"))

	l, take := w.again(alice, "s")
	require.Equal(t, "one", take.Checkpoint)
	require.Equal(t, l.tokenText()+" v one", w.stored("s"))
	known := back(l)
	known.Checkpointed = true
	require.Equal(t, "d", verdicts(w.done(alice, known)))
	require.Regexp(t, "^"+l.tokenText()+` d\d{13} one$`, w.stored("s"), "what is stored is stamped")

	l, _ = w.again(alice, "s")
	drop := back(l)
	drop.DropCheckpoint = true
	out = w.requeue(alice, drop)
	require.Equal(t, Saved, out[0].Checkpoint)
	require.Empty(t, w.stored("s"))
	l, take = w.next(alice)
	require.Empty(t, take.Checkpoint)
	drop = back(l)
	drop.DropCheckpoint = true
	require.Equal(t, Saved, w.done(alice, drop)[0].Checkpoint, "nothing was there")
	require.Empty(t, w.stored("s"))
}

// An empty checkpoint is none: whoever sets it starts the stream over. What is stored of it goes with the ending or, after a crash, with
// the next acquisition, so none is kept for good.
func TestEmptyCheckpointIsNone(t *testing.T) {
	for name, end := range map[string]func(w *harness, d Disposition){
		"done":  func(w *harness, d Disposition) { require.Equal(w.t, Saved, w.done(alice, d)[0].Checkpoint) },
		"moved": func(w *harness, d Disposition) { require.Equal(w.t, Saved, w.requeue(alice, d)[0].Checkpoint) },
		"crash": func(w *harness, d Disposition) { d.Checkpoint = nil; w.requeue(alice, d) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			w.open(bob)
			l := w.own(alice, "s")
			require.Equal(t, "s", w.save(alice, 1, Saving{l, "1"}))
			require.Equal(t, "s", w.save(alice, 2, Saving{l, ""}))
			require.Equal(t, l.tokenText()+" v ", w.stored("s"), "in the place of the last one at once")
			end(w, back(l).with(""))
			if name != "crash" {
				require.Empty(t, w.stored("s"))
			}
			if name == "done" {
				w.announce("s")
			}
			next, take := w.next(bob)
			require.Empty(t, take.Checkpoint)
			require.NoError(t, take.CheckpointErr)
			require.Empty(t, w.stored("s"))
			require.Equal(t, "d", verdicts(w.done(bob, back(next))))
			require.EqualValues(t, 0, w.Num("HEXISTS", w.keys.Checkpoints, "ss"))
		})
	}
}

// Trace: alice does not notice that bob has got one of her streams, that another one is free, and that she owns a third one under
// another token. She stores checkpoints of all four.
func TestOnlyTheOwnerStoresCheckpoints(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			w.open(bob)
			kept, taken, free, later := w.own(alice, "kept"), w.own(alice, "taken"), w.own(alice, "free"), w.own(alice, "later")
			require.Equal(t, "ssss", way(w, alice, 1, Saving{kept, "1"}, Saving{taken, "1"}, Saving{free, "1"}, Saving{later, "1"}))
			for _, l := range []*Lease{taken, free, later} {
				w.Do("DEL", l.Key())
			}
			bobs, take := w.again(bob, "taken")
			require.Equal(t, "1", take.Checkpoint)
			require.Equal(t, "s", way(w, bob, 1, Saving{bobs, "9"}))
			second, _ := w.again(alice, "later")

			require.Equal(t, "sl"+absent(name)+"l", way(w, alice, 2, Saving{kept, "2"}, Saving{taken, "2"}, Saving{free, "2"}, Saving{later, "2"}))
			require.Equal(t, kept.tokenText()+" v 2", w.stored("kept"))
			require.Equal(t, bobs.tokenText()+" v 9", w.stored("taken"))
			require.Equal(t, free.tokenText()+" v 1", w.stored("free"))
			require.Equal(t, second.tokenText()+" v 1", w.stored("later"))
			require.Equal(t, "2", w.number(alice))

			w.announce("kept")
			w.acquire(bob, w.read(bob, 1)[0])
			require.Equal(t, "s", way(w, alice, 3, Saving{kept, "3"}), "that another announcement waits refuses nothing")
		})
	}
}

// Trace: a call that stores a checkpoint gets no answer, and its sender sends a newer one. Then the first one runs, after a while in some
// queue. Or it runs after the stream was handed over, to the same consumer even.
func TestLateCallStoresNoOldCheckpoint(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			l, other := w.own(alice, "s"), w.own(alice, "other")
			require.Equal(t, "s", way(w, alice, 8, Saving{l, "new"}))
			require.Equal(t, "oo", way(w, alice, 7, Saving{l, "old"}, Saving{other, "old"}))
			require.Equal(t, l.tokenText()+" v new", w.stored("s"))
			require.Empty(t, w.stored("other"), "nothing of that call is stored, so its sender need not know which is which")
			require.Equal(t, "s", way(w, alice, 8, Saving{l, "new"}), "the same call again")
			require.Equal(t, "8", w.number(alice))

			require.Equal(t, "m", verdicts(w.requeue(alice, back(l).with("left"))))
			require.Equal(t, absent(name), way(w, alice, 9, Saving{l, "late"}))
			require.Equal(t, l.tokenText()+" r left", w.stored("s"))
			next, _ := w.next(alice)
			require.Equal(t, "l", way(w, alice, 9, Saving{l, "late"}))
			require.Equal(t, next.tokenText()+" v left", w.stored("s"))
			require.Equal(t, "8", w.number(alice), "a call that stores nothing leaves nothing")
		})
	}
}
