package lease

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/servers"
)

// Trace: the answer to an acquisition is lost, and it is repeated: the stream is owned under another token. Were the checkpoint left with
// the first one, its owner could store nothing while the slot migrates.
func TestAcquireAgainWritesTheNewTokenIntoTheCheckpoint(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	require.Equal(t, "d", verdicts(w.done(alice, back(l).with("1"))))
	w.announce("s")
	e := w.read(alice, 1)[0]
	first := w.take(alice, e)
	second := w.take(alice, e)
	require.Greater(t, second.Token(), first.Token())
	require.Equal(t, second.tokenText()+" v 1", w.stored("s"))
	require.Equal(t, []Verdict{Lost}, w.store.SaveCheckpointsAlone(w.ctx, 0, alice, 1, []Saving{{first, "2"}}))
	require.Equal(t, []Verdict{Saved}, w.store.SaveCheckpointsAlone(w.ctx, 0, alice, 2, []Saving{{second, "2"}}))
	require.Equal(t, "2", w.checkpoint("s"))
}

// Trace: a failover forgets the lease and the last checkpoint. The owner restores both: nothing is skipped, nor is more repeated than
// need be. A verification that comes late puts nothing old in the place of something newer, nor in that of a later owner's.
func TestVerifyRestoresTheCheckpoint(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	l, other, free := w.own(alice, "s"), w.own(alice, "other"), w.own(alice, "free")
	require.Equal(t, "sss", w.save(alice, 1, Saving{l, "1"}, Saving{other, "1"}, Saving{free, "1"}))
	w.forget()
	w.beat(alice)
	w.Do("DEL", l.Key(), other.Key())
	w.Do("HDEL", w.keys.Checkpoints, "s"+other.Stream())
	leases := []*Lease{l, other, free}
	verify := func(number uint64, items ...Saving) Verified {
		t.Helper()
		answer, err := w.store.Verify(w.ctx, 0, alice, leases, Savings{number, items})
		require.NoError(t, err)
		require.NoError(t, answer.SaveErr)
		return answer
	}
	require.Equal(t, Verified{Verdicts: "kkk", Saved: "ss"}, verify(2, Saving{other, "2"}, Saving{l, "2"}))
	require.Equal(t, []string{l.tokenText() + " v 2", other.tokenText() + " v 2", free.tokenText() + " v 1"},
		[]string{w.stored("s"), w.stored("other"), w.stored("free")})
	require.Equal(t, Verified{Verdicts: "kkk", Saved: "o"}, verify(1, Saving{l, "late"}))

	// One is lost to bob, and one has a checkpoint of an owner that this server knows nothing of otherwise.
	w.Do("SET", other.Key(), bob+" 9 9-9")
	w.Do("HSET", w.keys.Checkpoints, "sfree", (free.Token()+1).String()+" r 9")
	require.Equal(t, Verified{Verdicts: "klk", Saved: "lls"}, verify(3, Saving{other, "3"}, Saving{free, "3"}, Saving{l, "3"}))
	require.Equal(t, []string{"3", "2", "9"}, []string{w.checkpoint("s"), w.checkpoint("other"), w.checkpoint("free")})
	w.Do("HSET", w.keys.Checkpoints, "sfree", "1 new "+"9")
	require.Equal(t, Verified{Verdicts: "klk", Saved: "x"}, verify(4, Saving{free, "4"}))
}

// Trace: while settling, a lease is missing, and its owner stores checkpoints. That is no verdict on the lease: verify decides.
func TestCheckpointOfAMissingLeaseWaits(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	w.forget()
	w.beat(alice)
	w.Do("DEL", l.Key())
	r := w.renewWith(alice, 1, []*Lease{l}, Saving{l, "1"})
	require.Equal(t, []string{"m", "m"}, []string{r.Verdicts, r.Saved})
	require.Equal(t, "m", w.save(alice, 2, Saving{l, "1"}))
	require.Empty(t, w.stored("s"))
}

// Trace: the server is full. What its owners have come to is stored all the same, whichever way.
func TestCheckpointsAreStoredAtMaxmemory(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l, done, moved, verified := w.own(alice, "s"), w.own(alice, "done"), w.own(alice, "moved"), w.own(alice, "verified")
	w.Do("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	require.ErrorContains(t, w.Try("SET", "x", "y").Error(), "OOM")
	n := uint64(0)
	for name, way := range ways {
		n++
		require.Equal(t, "s", way(w, alice, n, Saving{l, name}), name)
		require.Equal(t, name, w.checkpoint("s"))
	}
	require.Equal(t, []Verdict{Saved}, w.store.SaveCheckpointsAlone(w.ctx, 0, alice, n, []Saving{{l, "alone"}}))
	answer, err := w.store.Verify(w.ctx, 0, alice, []*Lease{verified}, Savings{n, []Saving{{verified, "verified"}}})
	require.NoError(t, err)
	require.Equal(t, Verified{Verdicts: "k", Saved: "s"}, answer)
	require.Equal(t, Saved, w.done(alice, back(done).with("done"))[0].Checkpoint)
	require.Equal(t, Saved, w.requeue(alice, back(moved).with("moved"))[0].Checkpoint)
	for _, s := range []string{"done", "moved", "verified"} {
		require.Equal(t, s, w.checkpoint(s))
	}
}

// Somebody stores a key of another type, or the user lacks the rights. No lease is lost for it, nothing is acquired less, and every ending
// goes through, with a word about it.
func TestCheckpointsThatCannotBeStoredCostNoLease(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(w *harness) *harness
		says   string
		first  bool // whether the first acquisition shows it
	}{
		"a key of another type": {func(w *harness) *harness {
			w.Do("DEL", w.keys.Checkpoints)
			w.Do("SET", w.keys.Checkpoints, "x")
			return w
		},
			"WRONGTYPE", true},
		"no HMGET": {func(w *harness) *harness { return w.as(w.user("-hmget")) }, "hmget", true},
		"no HSET":  {func(w *harness) *harness { return w.as(w.user("-hset")) }, "hset", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			known := w.own(alice, "known")
			require.Equal(t, "d", verdicts(w.done(alice, back(known).with("1"))))
			l, done, moved := w.own(alice, "s"), w.own(alice, "done"), w.own(alice, "moved")
			w = c.break_(w)
			w.t = t
			says := func(err error) {
				t.Helper()
				require.Error(t, err)
				require.Contains(t, strings.ToLower(err.Error()+" "+api.ErrNoCheckpoints.Error()), strings.ToLower(c.says))
				require.False(t, Retryable(err), err)
			}
			_, take := w.again(alice, "new")
			if c.first {
				says(take.CheckpointErr)
			} else {
				require.NoError(t, take.CheckpointErr, "nothing is there to be written")
			}
			_, take = w.again(alice, "known")
			says(take.CheckpointErr)
			require.Empty(t, take.Checkpoint)

			r := w.renewWith(alice, 1, []*Lease{l}, Saving{l, "1"})
			require.Equal(t, "k", r.Verdicts)
			says(r.SaveErr)
			require.Empty(t, strings.Trim(r.Saved, "\x00"))
			verdicts_, err := w.store.SaveCheckpoints(w.ctx, 0, alice, 2, []Saving{{l, "1"}})
			says(err)
			require.Equal(t, "\x00", verdicts_)
			answer, err := w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{3, []Saving{{l, "1"}}})
			require.NoError(t, err)
			require.Equal(t, "k", answer.Verdicts)
			says(answer.SaveErr)

			out := w.done(alice, back(done).with("2"))
			require.Equal(t, "d", verdicts(out))
			require.Equal(t, Refused, out[0].Checkpoint)
			says(out[0].CheckpointErr)
			out = w.requeue(alice, back(moved).with("2"))
			require.Equal(t, "m", verdicts(out))
			require.Equal(t, Refused, out[0].Checkpoint)
			says(out[0].CheckpointErr)
		})
	}
}

// A newer version, or somebody by hand, has stored something that this one does not know. It is not taken for none, nor overwritten by
// what begins or ends an ownership.
func TestUnknownCheckpointIsAnError(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	for i, text := range []string{"7 w 1", "7 d 1", "7 v", "", "v 1", "7 vv 1", "-7 v 1", "7  v 1", "x"} {
		stream := "s" + strings.Repeat("x", i)
		w.Do("HSET", w.keys.Checkpoints, "s"+stream, text)
		l, take := w.again(alice, stream)
		require.ErrorContains(t, take.CheckpointErr, "BADCHECKPOINT", text)
		require.ErrorContains(t, Explain(take.CheckpointErr), "newer version")
		require.False(t, Blames(take.CheckpointErr))
		require.Equal(t, []Verdict{Refused}, w.store.SaveCheckpointsAlone(w.ctx, 0, alice, 1, []Saving{{l, "1"}}))
		out := w.requeue(alice, back(l).with("1"))
		require.Equal(t, "m", verdicts(out))
		require.Equal(t, Refused, out[0].Checkpoint)
		require.ErrorContains(t, out[0].CheckpointErr, "BADCHECKPOINT")
		l, _ = w.next(alice)
		out = w.done(alice, back(l).with("1"))
		require.Equal(t, "d", verdicts(out))
		require.Equal(t, Refused, out[0].Checkpoint)
		require.Equal(t, text, w.stored(stream))
	}
	w.Do("HSET", w.keys.Checkpoints, "sgood", "7 d1 ", "!"+alice, "nonsense")
	l, take := w.again(alice, "good")
	require.NoError(t, take.CheckpointErr)
	require.Empty(t, take.Checkpoint)
	require.Equal(t, "s", w.save(alice, 1, Saving{l, "1"}), "a number that is none counts as none")
}

// Names and checkpoints are bytes, as long as they may be.
func TestHostileNamesAndCheckpoints(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		names := []string{"!" + alice, "-", " ", "\n", "a\nb", "\x00", "s\x00s", "{x}", "%s", "'", "ж\xff", "1 v 2", strings.Repeat("long", 1<<14)}
		values := []string{"", " ", "\n", "a\nb v c", "\x00", "d1 v", "%d", strings.Repeat("\xff", api.MaxCheckpoint)}
		var leases []*Lease
		for _, name := range names {
			e := &Entry{ID: w.announce("x"), Key: w.keys.Lease(name), Stream: name} // JSON cannot hold all of these
			require.Len(t, w.read(alice, 1), 1)
			leases = append(leases, w.take(alice, e))
		}
		n := uint64(0)
		for name, way := range ways {
			for _, value := range values {
				n++
				items := make([]Saving, len(leases))
				for i := range items {
					items[i] = Saving{leases[i], value}
				}
				got := way(w, alice, n, items...)
				for i, s := range names {
					if got[i] == byte(SavedLater) {
						require.Len(t, s, 1<<16, "%s: what is too much for one call waits", name)
						continue
					}
					require.Equal(t, string(rune(Saved)), got[i:i+1], "%s of %.20q, %.20q", name, s, value)
					require.Equal(t, leases[i].tokenText()+" v "+value, w.stored(s))
				}
			}
		}
		require.EqualValues(t, len(names)+1, w.Num("HLEN", w.keys.Checkpoints))
		for i, l := range leases {
			value := values[i%len(values)]
			require.Equal(t, Saved, w.requeue(alice, back(l).with(value))[0].Checkpoint)
			e := &Entry{ID: w.read(alice, 1)[0].ID, Key: l.Key(), Stream: l.Stream()}
			require.Equal(t, value, w.acquire(alice, e)[0].Checkpoint)
		}
	})
}

// More than a call may carry goes out in several, or stays behind where a renewal must not wait for it; too long a one is not sent.
func TestCheckpointsAreCutIntoCalls(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	const n = 2100
	leases := make([]*Lease, 0, n)
	for len(leases) < n {
		w.announceMany(len(leases), 300)
		entries := w.read(alice, 300)
		for i, take := range w.acquire(alice, entries...) {
			leases = append(leases, w.lease(alice, entries[i], take.Token))
		}
	}
	items := make([]Saving, n)
	for i, l := range leases {
		items[i] = Saving{l, strings.Repeat("x", i%40*100)}
	}
	items[7].Value = strings.Repeat("x", api.MaxCheckpoint+1)
	want := []byte(strings.Repeat("s", n))
	want[7] = byte(Refused)
	require.Equal(t, string(want), w.save(alice, 1, items...))
	require.EqualValues(t, n, w.Num("HLEN", w.keys.Checkpoints), "with the number, without the one refused")
	short := make([]Saving, n)
	for i, l := range leases {
		short[i] = Saving{l, ""}
	}
	require.Equal(t, strings.Repeat("s", n), w.save(alice, 2, short...))

	require.Equal(t, []Verdict{Refused}, w.store.SaveCheckpointsAlone(w.ctx, 0, alice, 3, items[7:8]))
	r := w.renewWith(alice, 3, leases[:500], items...)
	require.Equal(t, strings.Repeat("k", 500), r.Verdicts)
	sent := strings.IndexByte(r.Saved, byte(SavedLater))
	require.Equal(t, strings.Repeat("s", 7)+"x"+strings.Repeat("s", sent-8)+strings.Repeat("t", n-sent), r.Saved)
	weight := 0
	for i := range items[:sent] {
		if i != 7 {
			weight += items[i].Weight()
		}
	}
	require.InDelta(t, MaxSaveWeight, weight, api.MaxCheckpoint)
	require.Equal(t, leases[6].tokenText()+" v "+items[6].Value, w.stored(leases[6].Stream()))
	require.Equal(t, leases[sent].tokenText()+" v ", w.stored(leases[sent].Stream()))
}

// Trace: a failover, and a client whose connections still lead to the demoted server.
func TestDemotedServerStoresNoCheckpoint(t *testing.T) {
	master := servers.New(t)
	replica := servers.New(t, servers.ReplicaOf(master))
	w := harnessOn(t, master)
	w.open(alice)
	l := w.own(alice, "s")
	require.Equal(t, "s", w.save(alice, 1, Saving{l, "1"}))
	require.EqualValues(t, 1, w.Num("WAIT", "1", "20000"))
	demoted := w.as(replica.Client(t))
	verdicts, err := demoted.store.SaveCheckpoints(w.ctx, 0, alice, 2, []Saving{{l, "2"}})
	code, _ := Refusal(err)
	require.Equal(t, "READONLY", code, err)
	require.Equal(t, "\x00", verdicts)
	require.Equal(t, []Verdict{0}, demoted.store.SaveCheckpointsAlone(w.ctx, 0, alice, 2, []Saving{{l, "2"}}))
}

// Trace: sessions come and go, each with a number of its own. What ended leaves none behind, however it ended.
func TestNumberGoesWithTheSession(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	require.Equal(t, "s", w.save(alice, 1, Saving{l, "1"}))
	left, err := w.store.Close(w.ctx, 0, alice)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	require.Equal(t, "1", w.number(alice), "its last calls may be on their way")
	require.Equal(t, "m", verdicts(w.requeue(alice, back(l))))
	left, err = w.store.Close(w.ctx, 0, alice)
	require.NoError(t, err)
	require.Zero(t, left)
	require.Empty(t, w.number(alice))
	require.Equal(t, "1", w.checkpoint("s"))
}
