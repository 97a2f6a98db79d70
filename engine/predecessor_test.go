package engine

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/lockfile"
)

// kill ends an engine as SIGKILL ends a process: nothing more arrives of it, it believes in nothing, its reads end with their
// connection, and its lock is released.
func (h *harness) kill(e *testEngine) {
	e.fake.failAll(faultError)
	h.mu.Lock()
	h.engines = slices.DeleteFunc(h.engines, func(x *testEngine) bool { return x == e })
	h.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = e.Shutdown(ctx)
	e.stop()
	<-e.ended
}

func lockPath(t *testing.T) string { return filepath.Join(t.TempDir(), "svc.lock") }

// heldAgain waits until an engine holds n streams and returns how long that took.
func (e *testEngine) heldAgain(n int) time.Duration {
	e.h.t.Helper()
	for since := time.Now(); time.Since(since) < time.Minute; advance(10 * time.Millisecond) {
		if e.Stats().Held == n {
			return time.Since(since)
		}
	}
	require.FailNow(e.h.t, "not held")
	return 0
}

// TestKilledRunIsReplacedAtOnce: with the lock of the file, the next run takes the streams in about a second; without it, they wait
// for the session TTL.
func TestKilledRunIsReplacedAtOnce(t *testing.T) {
	for name, locked := range map[string]bool{"with a lock file": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			path := lockPath(t)
			bubble(t, 3, func(t *testing.T, h *harness) {
				const n = 50
				var opts []Option
				if locked {
					opts = append(opts, WithLockFile(path))
				}
				h.server.announce(streams(n)...)
				a := h.start(nil, opts...)
				a.heldAgain(n)
				h.kill(a)
				b := h.start(nil, opts...)
				took := b.heldAgain(n)
				if !locked {
					require.Greater(t, took, DefaultSessionTTL-2*maxBeat)
					return
				}
				require.Less(t, took, time.Second)
				require.Equal(t, 3, b.countEvents(api.EventPredecessorEnded))
				require.Equal(t, 3, b.counted("predecessors_ended_total"))
				require.Contains(t, b.logged(), "earlier runs are proven to have ended")
				require.Contains(t, b.logged(), a.ID())
			})
		})
	}
}

// TestNamesOfOneRunBeginAlike: also those that follow lost sessions, so the name that was written at the start tells all of them.
func TestNamesOfOneRunBeginAlike(t *testing.T) {
	path := lockPath(t)
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.server.announce(streams(20)...)
		a := h.start(nil, WithLockFile(path))
		a.heldAgain(20)
		names := []string{a.consumer(0)}
		for range 3 {
			a.endSession(0)
			advance(5 * time.Second)
			names = append(names, a.consumer(0))
		}
		require.Equal(t, []string{a.ID(), a.ID() + "-1", a.ID() + "-2", a.ID() + "-3"}, names)
		require.Equal(t, a.ID(), a.consumer(1))
		a.heldAgain(20)
		h.kill(a)
		require.Less(t, h.start(nil, WithLockFile(path)).heldAgain(20), time.Second)
	})
}

// TestLivingRunIsWaitedFor: the lock of a run that does not end is held, whatever its sessions have come to; nothing is opened.
func TestLivingRunIsWaitedFor(t *testing.T) {
	path := lockPath(t)
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		a := h.start(nil, WithLockFile(path))
		a.heldAgain(1)
		b := h.newEngine(WithLockFile(path), WithDrainTimeout(7*time.Second))
		began := time.Now()
		b.startRun()
		<-b.ended
		require.ErrorIs(t, b.err, api.ErrLockHeld)
		require.ErrorContains(t, b.err, "another engine of this process")
		require.ErrorContains(t, b.err, "give each a file of its own")
		require.InDelta(t, 7*time.Second, time.Since(began), float64(time.Second))
		require.Contains(t, b.logged(), "waiting for its end")
		require.Empty(t, b.fake.takeCalls(), "Redis was not called")
		require.Equal(t, 1, a.Stats().Held)

		// One that ends in an orderly way is followed at once, and left nothing.
		c := h.start(nil, WithLockFile(path))
		advance(3 * time.Second)
		require.Zero(t, c.Stats().Held)
		shutdown, run := a.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.Less(t, c.heldAgain(1), time.Second)
		require.Zero(t, c.countEvents(api.EventPredecessorEnded))
	})
}

func TestStartThatWaitsForTheLockCanBeStopped(t *testing.T) {
	path := lockPath(t)
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.start(nil, WithLockFile(path))
		b := h.start(nil, WithLockFile(path))
		advance(time.Second)
		b.stop()
		<-b.ended
		require.NoError(t, b.err)
	})
}

// Trace: calls that the dead process had sent run after its consumer was removed: a beat makes the session again, and a read that
// was blocked is given what was requeued.
func TestWhatLateCallsLeftIsRecoveredAtTheSecondLook(t *testing.T) {
	path := lockPath(t)
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(3)...)
		a := h.start(nil, WithLockFile(path), WithSessionTTL(time.Hour), WithLeaseTTL(time.Hour))
		a.heldAgain(3)
		h.kill(a)
		b := h.start(nil, WithLockFile(path), WithSessionTTL(time.Hour), WithLeaseTTL(time.Hour))
		b.heldAgain(3)
		h.server.with(0, func(p *fakePartition) {
			p.sessions[a.ID()] = nowMilli() + time.Hour.Milliseconds()
			p.consumers[a.ID()] = true
			h.server.addLocked(p, fakeBody("stray"))
			e := p.input[len(p.input)-1]
			p.delivered = e.seq
			p.pending[e.id] = &fakePending{entry: e, consumer: a.ID(), since: nowMilli(), deliveries: 1}
		})
		require.Less(t, b.heldAgain(4), lateCalls+2*time.Second)
		require.Equal(t, 2, b.counted("predecessors_ended_total"))

		// After that, the file names this run alone.
		advance(lateCalls)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(text), a.ID())
		require.Contains(t, string(text), b.ID())
	})
}

// TestProofOutlivesWhoeverDoesNotUseIt: a run that is killed before it has reached Redis leaves its predecessors to the next one.
func TestProofOutlivesWhoeverDoesNotUseIt(t *testing.T) {
	path := lockPath(t)
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.server.announce(streams(10)...)
		a := h.start(nil, WithLockFile(path))
		a.heldAgain(10)
		h.kill(a)
		b := h.newEngine(WithLockFile(path))
		b.fake.failOnly(faultHang, "open")
		b.startRun()
		advance(time.Second)
		h.kill(b)
		c := h.start(nil, WithLockFile(path))
		require.Less(t, c.heldAgain(10), time.Second)
		require.Equal(t, 2, c.counted("predecessors_ended_total"))
	})
}

// TestEndOfPredecessorsIsAskedForUntilThereIsAnAnswer, in each partition by itself, and holds up nothing else.
func TestEndOfPredecessorsIsAskedForUntilThereIsAnAnswer(t *testing.T) {
	for name, fault := range map[string]fakeFault{"no answer": faultHang, "its answer is lost": faultLose, "refused": faultOOM} {
		t.Run(name, func(t *testing.T) {
			path := lockPath(t)
			bubble(t, 2, func(t *testing.T, h *harness) {
				all := h.names(2, 5)
				h.server.announce(slices.Concat(all...)...)
				a := h.start(nil, WithLockFile(path))
				a.heldAgain(10)
				h.kill(a)
				b := h.newEngine(WithLockFile(path))
				b.fake.failWhen(fault, func(c *fakeCall) bool { return c.op == "end runs" && c.partition == 1 })
				b.startRun()
				synctest.Wait()
				reached := 5
				if fault == faultLose {
					reached = 10
				}
				require.Less(t, b.heldAgain(reached), 2*time.Second)
				advance(3 * time.Second)
				require.Equal(t, reached, b.Stats().Held)
				b.fake.setFault(nil)
				require.Less(t, b.heldAgain(10), 5*time.Second)
				advance(2 * lateCalls)
				require.LessOrEqual(t, countCalls(b.fake.takeCalls(), "end runs"), 4+20)
			})
		})
	}
}

func TestRunsOfOtherServicesAreLeftAlone(t *testing.T) {
	path := lockPath(t)
	lock, err := lockfile.Take(path)
	require.NoError(t, err)
	require.NoError(t, lock.Write(lockfile.Run{Service: "other", Name: "host.OTHER"}))
	require.NoError(t, lock.Release())
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil, WithLockFile(path))
		advance(time.Minute)
		require.Zero(t, countCalls(e.fake.takeCalls(), "end runs"))
	})
}

// TestLockFileThatCannotBeUsed: what could never prove anything is an error of the program; what cannot be written, or proves
// nothing this time, is not.
func TestLockFileThatCannotBeUsed(t *testing.T) {
	t.Run("no folder", func(t *testing.T) {
		bubble(t, 1, func(t *testing.T, h *harness) {
			e := h.start(nil, WithLockFile(filepath.Join(os.DevNull, "svc.lock")))
			<-e.ended
			require.ErrorIs(t, e.err, api.ErrInvalidConfig)
			require.ErrorContains(t, e.err, "WithLockFile")
		})
	})
	t.Run("of a file system that is not local", func(t *testing.T) {
		bubble(t, 1, func(t *testing.T, h *harness) {
			e := h.start(nil, WithLockFile("/proc/self/comm"))
			<-e.ended
			require.ErrorIs(t, e.err, api.ErrInvalidConfig)
			require.ErrorContains(t, e.err, "use a folder on a local disk")
		})
	})
	t.Run("a full disk", func(t *testing.T) {
		path := lockPath(t)
		bubble(t, 1, func(t *testing.T, h *harness) {
			e := h.start(nil, WithLockFile(path))
			advance(time.Second)
			require.NoError(t, e.predecessors.mu.lock.Release()) // a file that is closed is written no more than on a full disk
			e.predecessors.write([]string{"x"})
			synctest.Wait()
			require.Contains(t, e.logged(), "the lock file cannot be written")
		})
	})
	t.Run("unreadable", func(t *testing.T) {
		path := lockPath(t)
		require.NoError(t, os.WriteFile(path, []byte("something else"), 0o600))
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce("s")
			e := h.start(nil, WithLockFile(path))
			e.heldAgain(1)
			require.Contains(t, e.logged(), "the lock file proves nothing about the run before")
		})
	})
}
