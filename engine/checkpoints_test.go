package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// saving calls SaveCheckpoint in a goroutine, and returns what it returns.
func saving(l api.Lease, value string) <-chan error {
	result := make(chan error, 1)
	go func() { result <- l.SaveCheckpoint(context.Background(), value) }()
	synctest.Wait()
	return result
}

// setAll sets the checkpoints of all streams that an engine holds.
func (e *testEngine) setAll(value string) {
	for l := range e.Leases() {
		l.SetCheckpoint(value)
	}
}

// However often checkpoints are set, each is stored about once a second, by few calls, and the last one within little more than that.
func TestCheckpointsTravelOnceASecond(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n, seconds = 300, 10
		e := h.start(nil)
		h.server.announce(streams(n)...)
		advance(5 * time.Second)
		e.fake.takeCalls()
		for i := range 10 * seconds {
			e.setAll(fmt.Sprint(i))
			advance(100 * time.Millisecond)
		}
		calls := e.fake.takeCalls()
		advance(1300 * time.Millisecond)
		for _, s := range streams(n) {
			require.Equal(t, "99", h.server.checkpointOf(s))
		}
		h.server.with(0, func(p *fakePartition) {
			require.InDelta(t, n*seconds, p.checkpoints.sets, .4*n*seconds)
			require.Positive(t, p.checkpoints.rides, "some go along with renewals")
			require.Equal(t, p.checkpoints.sets, e.counted("checkpoints_total", "result", "stored"))
		})
		require.LessOrEqual(t, countCalls(calls, "save"), 2*seconds*(n/256+1))
		e.kept(n)
	})
}

// Who uses none pays nothing.
func TestNoCheckpointsNoCalls(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		h.server.announce(streams(100)...)
		advance(time.Minute)
		require.Zero(t, countCalls(e.fake.takeCalls(), "save", "save alone", "checkpoints allowed"))
		for _, l := range e.table.All() {
			require.Empty(t, l.Checkpoint())
		}
		e.kept(100)
	})
}

func TestSaveCheckpointReturnsWhenItIsStored(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		h.server.announce(streams(500)...)
		advance(5 * time.Second)
		e.fake.takeCalls()
		e.fake.failOnly(fakeFault{after: time.Millisecond}, "save")
		var results []<-chan error
		for l := range e.Leases() {
			results = append(results, saving(l, "here"))
		}
		advance(50 * time.Millisecond) // at once, not once a second
		for _, r := range results {
			require.NoError(t, <-r)
		}
		require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "save"), 10, "together")
		require.Equal(t, "here", h.server.checkpointOf("s00000"))
	})
}

// What was set in the last moment goes along with every ending, and the next owner begins there.
func TestCheckpointGoesWithEveryEnding(t *testing.T) {
	endings := map[string]func(e *testEngine, l api.Lease) error{
		"release": func(_ *testEngine, l api.Lease) error { return l.Release(context.Background()) },
		"fail":    func(_ *testEngine, l api.Lease) error { return l.Fail(context.Background(), nil) },
		"done":    func(_ *testEngine, l api.Lease) error { return l.Done(context.Background()) },
		"drain": func(e *testEngine, _ api.Lease) error {
			err, _ := e.shutdownAndWait()
			return err
		},
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				e := h.start(nil)
				h.server.announce("s")
				advance(time.Second)
				l := e.held("s")
				l.SetCheckpoint("1")
				advance(2 * time.Second)
				l.SetCheckpoint("2")
				// Nobody stores it by itself in time.
				waiting := saving(l, "3")
				e.fake.failOnly(faultHang, "save")
				require.NoError(t, end(e, l))
				advance(2 * time.Second)
				require.NoError(t, <-waiting, "it went along")
				require.Equal(t, "3", h.server.checkpointOf("s"))
				if name == "done" {
					h.server.announce("s")
				}
				if name == "drain" {
					e = h.start(nil)
				}
				e.fake.setFault(nil)
				advance(time.Minute)
				require.Equal(t, "3", e.held("s").Checkpoint())
				e.held("s").DropCheckpoint()
				require.NoError(t, e.held("s").Release(context.Background()))
				advance(time.Second)
				require.Empty(t, e.held("s").Checkpoint())
			})
		})
	}
}

// The stream was given to another consumer unnoticed: nothing of the old owner is stored, and it learns of that at once.
func TestCheckpointOfAnOldOwnerIsRefused(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		h.server.announce("s")
		advance(time.Second)
		l := e.held("s")
		require.NoError(t, l.SaveCheckpoint(t.Context(), "old"))
		token := uint64(l.Token()) + 1
		h.server.with(0, func(p *fakePartition) {
			p.leases[l.Key()] = &fakeLease{consumer: "other", entry: "1-1", token: token, until: nowMilli() + 60_000}
		})
		h.server.putCheckpoint("s", fakeCheckpoint{token, "v", "new"})
		result := saving(l, "late")
		advance(100 * time.Millisecond)
		require.ErrorIs(t, <-result, api.ErrLeaseLost)
		require.Zero(t, l.Remaining(), "its renewal was made at once")
		l.SetCheckpoint("later")
		advance(5 * time.Second)
		require.Equal(t, "new", h.server.checkpointOf("s"))
		require.Positive(t, e.counted("checkpoints_total", "result", "refused"))
	})
}

// Renewal never waits for checkpoints, whatever is wrong with them.
func TestRenewalDoesNotWaitForCheckpoints(t *testing.T) {
	faults := map[string]fakeFault{
		"hang":          {hang: true, skip: true},
		"lose":          {hang: true},
		"seconds":       {before: 900 * time.Millisecond},
		"late answers":  {after: 900 * time.Millisecond},
		"refused":       {skip: true, err: errOOM},
		"cut":           {skip: true, err: errCut},
		"another type":  {skip: true, err: errWrongType},
		"deaf":          {},
		"type in waves": {},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, h *harness) {
				const n = 40
				e := h.start(nil)
				h.server.announce(streams(n)...)
				advance(2 * time.Second)
				e.setAll("begin")
				advance(3 * time.Second)
				open := make(chan struct{})
				switch name {
				case "deaf": // a call that does not return even when its time is over
					fault.deaf = open
				case "type in waves":
					h.server.refuseCheckpoints(errWrongType) // the renewals that carry some find out
				}
				e.fake.failOnly(fault, "save", "save alone", "checkpoints allowed")
				e.fake.takeCalls()
				for range 40 {
					e.setAll(time.Now().String())
					advance(time.Second)
				}
				e.kept(n)
				for _, c := range e.fake.takeCalls() {
					if c.op == "renew" || c.op == "beat" {
						require.NoError(t, c.err)
						require.Less(t, c.ended.Sub(c.at), 10*time.Millisecond)
					}
				}
				require.Positive(t, e.Stats().Held)
				h.server.refuseCheckpoints(nil)
				e.fake.setFault(nil)
				close(open)
				e.setAll("end")
				advance(40 * time.Second)
				for _, s := range streams(n) {
					require.Equal(t, "end", h.server.checkpointOf(s), "it heals by itself")
				}
			})
		})
	}
}

// A call that is answered too late to count is not the last word: what was stored after it stays.
func TestCheckpointCallThatComesLateChangesNothing(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		h.server.announce("s")
		advance(time.Second)
		l := e.held("s")
		require.NoError(t, l.SaveCheckpoint(t.Context(), "1"))
		consumer := e.consumer(0)
		late := lease.Savings{Number: l.Session().NextSaving(), Items: []lease.Saving{{Lease: l, Value: "2"}}}
		require.NoError(t, l.SaveCheckpoint(t.Context(), "3"))
		h.server.with(0, func(p *fakePartition) {
			require.Equal(t, string(rune(lease.Stale)), h.server.save(p, consumer, late))
		})
		require.Equal(t, "3", h.server.checkpointOf("s"))
		// The engine's own: stale ones are sent again.
		h.server.with(0, func(p *fakePartition) { p.checkpoints.numbers[consumer] += 3 })
		l.SetCheckpoint("4")
		advance(10 * time.Second)
		require.Equal(t, "4", h.server.checkpointOf("s"))
		require.Positive(t, e.counted("checkpoints_total", "result", "stale"))
	})
}

func TestCheckpointsAreOffWhereRedisRefusesThem(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.refuseCheckpoints(errWrongType)
		e := h.start(nil)
		h.server.announce("s")
		advance(2 * time.Second)
		blind := e.held("s")
		require.Empty(t, blind.Checkpoint())
		require.ErrorIs(t, blind.SaveCheckpoint(t.Context(), "1"), api.ErrNoCheckpoints)
		require.ErrorIs(t, e.checkpoints.store.CheckpointsAllowed(t.Context(), 0), errWrongType)
		require.Contains(t, e.logged(), "checkpoints are off: Redis refuses them")
		require.Equal(t, 1, e.counted("checkpoints_off"))

		h.server.refuseCheckpoints(nil)
		h.server.putCheckpoint("s", fakeCheckpoint{1, "v", "7"})
		h.server.announce("t")
		advance(40 * time.Second)
		require.Contains(t, e.logged(), "checkpoints are stored again")
		require.Zero(t, e.counted("checkpoints_off"))
		require.NoError(t, e.held("t").SaveCheckpoint(t.Context(), "1"))
		// Where it began is not known to this owner, so it writes nothing over it, not even with its end.
		require.ErrorIs(t, blind.SaveCheckpoint(t.Context(), "1"), api.ErrNoCheckpoints)
		require.NoError(t, blind.Release(t.Context()))
		advance(time.Second)
		require.Equal(t, "7", e.held("s").Checkpoint())

		// Refused while they are in use: the ending goes through, and says so.
		l := e.held("t")
		h.server.refuseCheckpoints(errWrongType)
		l.SetCheckpoint("2")
		require.NoError(t, l.Release(t.Context()))
		advance(time.Millisecond) // for the log
		require.Contains(t, e.logged(), "a stream was given back without its last checkpoint")
		e.kept(2)
	})
}

// A checkpoint of a kind that is not known is not "none": its stream is given back until somebody has looked.
func TestStreamWithAnUnreadableCheckpointIsNotHandedOut(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.putCheckpoint("s", fakeCheckpoint{1, "?", "7"})
		e := h.start(nil)
		h.server.announce("s", "t")
		advance(time.Minute)
		require.Empty(t, e.kinds("s"))
		e.held("t")
		require.Nil(t, h.server.leaseOf("s"))
		require.Contains(t, e.logged(), "a stream is not handed out, since its checkpoint cannot be read")
		require.Positive(t, e.counted("checkpoints_unreadable_total"))
		h.server.putCheckpoint("s", fakeCheckpoint{1, "v", "7"})
		advance(time.Minute)
		require.Equal(t, "7", e.held("s").Checkpoint())
		require.Zero(t, e.held("s").Attempt())
	})
}

// Trace: a server refuses for a moment to say what the checkpoint of a stream is. The stream is handed out as soon as it does, not half a
// minute later.
func TestStreamWhoseCheckpointIsRefusedForAMomentIsHandedOutSoon(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.putCheckpoint("s", fakeCheckpoint{1, "v", "7"})
		h.server.refuseCheckpoints(errorReply("READONLY You can't write against a read only replica."))
		e := h.start(nil)
		h.server.announce("s")
		advance(time.Minute)
		require.Empty(t, e.kinds("s"))
		require.Contains(t, e.logged(), "a stream is handed out later, since Redis does not give its checkpoint")
		require.Zero(t, e.counted("checkpoints_unreadable_total"), "nobody has to do anything")
		h.server.refuseCheckpoints(nil)
		advance(6 * time.Second)
		require.Equal(t, "7", e.held("s").Checkpoint())
		require.Zero(t, e.held("s").Attempt())
	})
}

// A failover forgets the last checkpoints, and the leases: both are stored again.
func TestCheckpointsThatAFailoverForgotAreStoredAgain(t *testing.T) {
	for _, forgotten := range []string{"checkpoints", "leases, too"} {
		t.Run(forgotten, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n = 50
				h.server.putCheckpoint("s00007", fakeCheckpoint{1, "v", "found"})
				e := h.start(nil)
				before := h.server.snapshot()
				h.server.announce(streams(n)...)
				advance(5 * time.Second)
				found := h.server.snapshot()
				for l := range e.Leases() {
					if l.Checkpoint() == "" {
						l.SetCheckpoint("set")
					}
				}
				advance(3 * time.Second)
				require.Equal(t, "set", h.server.checkpointOf("s00001"))
				if forgotten != "checkpoints" {
					found.leases = before.leases
				}
				found.checkpoints = before.checkpoints
				h.server.failover(found)
				advance(20 * time.Second)
				e.kept(n)
				for _, s := range streams(n) {
					want := "set"
					if s == "s00007" {
						want = "found"
					}
					require.Equal(t, want, h.server.checkpointOf(s))
					h.server.with(0, func(p *fakePartition) {
						require.EqualValues(t, e.held(s).Token(), p.checkpoints.fields[p.keys.Lease(s)].token)
					})
				}
			})
		})
	}
}

// While a slot migrates, a checkpoint is stored by itself in the place of one that bears the lease's token, and before an ending that
// must wait. The first one of a stream waits until the slot has moved.
func TestCheckpointsWhileASlotMigrates(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		h.server.announce("first", "again", "ends")
		advance(2 * time.Second)
		require.NoError(t, e.held("again").SaveCheckpoint(t.Context(), "1"))
		require.NoError(t, e.held("ends").SaveCheckpoint(t.Context(), "1"))
		h.server.with(0, func(p *fakePartition) { p.checkpoints.moving = true })
		require.NoError(t, e.held("again").SaveCheckpoint(t.Context(), "2"))
		first := saving(e.held("first"), "1")
		e.held("ends").SetCheckpoint("2")
		released := make(chan error, 1)
		go func() { released <- e.held("ends").Release(context.Background()) }()
		advance(10 * time.Second)
		require.Equal(t, "2", h.server.checkpointOf("again"))
		require.Equal(t, "2", h.server.checkpointOf("ends"), "ahead of the ending")
		require.Empty(t, first)
		require.Empty(t, released)
		require.Empty(t, h.server.checkpointOf("first"))
		require.Positive(t, e.counted("checkpoints_total", "result", "later"))
		h.server.with(0, func(p *fakePartition) { p.checkpoints.moving = false })
		advance(5 * time.Second)
		require.NoError(t, <-first)
		require.NoError(t, <-released)
		require.Equal(t, "1", h.server.checkpointOf("first"))
		require.Equal(t, "2", e.held("ends").Checkpoint())
		e.kept(3)
	})
}

// A lost session takes what was not stored with it, and nobody who waits is left behind.
func TestCheckpointOfALostSession(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		h.server.announce("s")
		advance(time.Second)
		l := e.held("s")
		require.NoError(t, l.SaveCheckpoint(t.Context(), "1"))
		e.fake.failAll(faultHang)
		waiting := saving(l, "2")
		advance(40 * time.Second)
		require.ErrorIs(t, <-waiting, api.ErrLeaseLost)
		e.fake.setFault(nil)
		advance(20 * time.Second)
		require.Equal(t, "1", e.held("s").Checkpoint(), "repeated, not skipped")
	})
}

// The end waits for no checkpoint beyond the drain.
func TestEndDoesNotWaitForCheckpoints(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		h.server.announce(streams(50)...)
		advance(time.Second)
		waiting := saving(e.held("s00001"), "1")
		deaf := make(chan struct{})
		e.fake.failOnly(fakeFault{deaf: deaf}, "save")
		e.setAll("2")
		advance(2 * time.Second)
		began := time.Now()
		shutdown, run := e.shutdownAndWait()
		close(deaf)
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.Less(t, time.Since(began), 20*time.Second)
		require.NoError(t, <-waiting)
		for _, s := range streams(50) {
			require.Equal(t, "2", h.server.checkpointOf(s))
		}
	})
}
