package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// A session that is lost takes the leases of its partition with it and no others; a new one is opened under a new name,
// and all that was pending comes back.
func TestSessionLost(t *testing.T) {
	for name, lose := range map[string]func(e *fakeEngine, p *fakePartition){
		"closed": func(e *fakeEngine, p *fakePartition) { p.sessions[e.consumer(0)] = 0 },
		"past":   func(e *fakeEngine, p *fakePartition) { p.sessions[e.consumer(0)] = nowMilli() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, w *world) {
				const n = 400
				w.server.announce(streams(n)...)
				e := w.start(nil)
				pass(5 * time.Second)
				counts := e.table.Counts(nil)
				kept := map[*lease.Lease]bool{}
				for _, l := range e.table.All() {
					if l.Partition() == 1 {
						kept[l] = true
					}
				}
				old := e.consumer(0)
				w.server.with(0, func(p *fakePartition) { lose(e, p) })
				pass(e.cfg.beat)
				require.Len(t, e.of(api.Disowned), counts[0])
				for _, x := range e.of(api.Disowned) {
					require.ErrorIs(t, x.Err, api.ErrSessionLost)
					require.ErrorIs(t, context.Cause(x.Lease.Context()), api.ErrSessionLost)
					require.Zero(t, w.layout.Of(x.Stream))
				}
				pass(10 * time.Second)
				require.NotEqual(t, old, e.consumer(0))
				require.Equal(t, n, e.Stats().Held)
				require.Len(t, e.of(api.Added), n+counts[0])
				for l := range kept {
					require.Positive(t, l.Remaining(), "partition 1 is not touched")
				}
				for _, x := range e.of(api.Added) {
					require.Zero(t, x.Lease.Attempt(), "no retry is counted")
				}
				w.server.with(0, func(p *fakePartition) {
					require.NotContains(t, p.sessions, old)
					require.NotContains(t, p.consumers, old)
				})
				require.Equal(t, 2, e.Stats().Live)
			})
		})
	}
}

func (e *fakeEngine) consumer(partition int) string {
	s, _ := e.partitions[partition].view()
	if s == nil {
		return ""
	}
	return s.Consumer()
}

// A session that vanished is made again by the next beat, and every lease is looked at: those whose keys are there go on.
func TestSessionVanished(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		const n = 400
		w.server.announce(streams(n)...)
		e := w.start(nil)
		pass(5 * time.Second)
		old := e.consumer(0)
		w.server.with(0, func(p *fakePartition) { clear(p.sessions) })
		e.fake.takeCalls()
		pass(2 * time.Second)
		renewed := 0
		for _, c := range e.fake.takeCalls() {
			if c.op == "renew" {
				renewed += c.n
			}
		}
		require.GreaterOrEqual(t, renewed, n)
		require.Equal(t, n, e.Stats().Held)
		require.Empty(t, e.of(api.Disowned))
		require.Equal(t, old, e.consumer(0))
	})
}

// Everything the service has is deleted: nothing hangs, the group is made again, and what is announced from then on is taken.
func TestFlush(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		const n = 400
		w.server.announce(streams(n)...)
		e := w.start(nil)
		pass(5 * time.Second)
		for p := range 2 {
			w.server.with(p, func(p *fakePartition) { p.clear() })
		}
		pass(30 * time.Second)
		require.Zero(t, e.Stats().Held)
		require.Len(t, e.of(api.Disowned), n, "each is told once")
		w.server.announce(streams(n)...)
		pass(30 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		require.NoError(t, e.Ready(context.Background()))
	})
}

// The group is deleted and cannot be made again for a while: what is held goes on being held.
//
// With the group to be made first, nothing was renewed, so all leases were lost to a key that only reading needs.
func TestRenewalDoesNotWaitForTheGroup(t *testing.T) {
	for _, fault := range []fakeFault{faultError, faultOOM} {
		bubble(t, 1, func(t *testing.T, w *world) {
			const n = 100
			w.server.announce(streams(n)...)
			e := w.start(nil)
			pass(5 * time.Second)
			e.fake.onlyOp(fault, "open")
			w.server.with(0, func(p *fakePartition) { p.group = false })
			e.fake.takeCalls()
			pass(2 * time.Minute)
			require.Equal(t, n, e.Stats().Held)
			require.Empty(t, e.of(api.Disowned))
			require.ErrorIs(t, e.Ready(context.Background()), api.ErrNotReady)
			require.LessOrEqual(t, mostPerSecond(e.fake.takeCalls(), "open"), 25, "no spinning")
			e.fake.setFault(nil)
			pass(10 * time.Second)
			w.server.announce("new")
			pass(5 * time.Second)
			e.held("new")
		})
	}
}

// The first consumer of a new group has nobody to wait for; whoever comes to a server that has changed waits for a
// session TTL, and asks no more than needed meanwhile.
func TestNothingIsTakenWhileSettling(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		e := w.start(nil)
		pass(5 * time.Second)
		require.Zero(t, e.Stats().Settling)
		w.server.restart(false)
		pass(2 * e.cfg.beat)
		require.Equal(t, 1, e.Stats().Settling)
		w.server.announce(streams(300)...)
		e.fake.takeCalls()
		pass(e.cfg.sessionTTL - 3*e.cfg.beat)
		require.Zero(t, e.Stats().Held)
		require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "acquire"), 5*2*8, "each batch four times a second")
		pass(3 * e.cfg.beat)
		require.Equal(t, 300, e.Stats().Held)
		require.Subset(t, e.events(), []api.EventKind{api.EventSettlingStarted, api.EventSettlingEnded})
		require.NotContains(t, e.events(), api.EventSessionLost)
	})
}

// A restart with everything remembered loses nothing; all leases are renewed at once.
func TestServerChangeRenewsEverythingAtOnce(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		const n = 2000
		w.server.announce(streams(n)...)
		e := w.start(nil)
		pass(15 * time.Second)
		w.server.restart(false)
		e.fake.takeCalls()
		pass(2 * e.cfg.beat)
		renewed := map[string]bool{}
		for _, c := range e.fake.takeCalls() {
			if c.op == "renew" {
				for _, entry := range c.entries {
					renewed[entry] = true
				}
			}
		}
		require.Len(t, renewed, n)
		pass(time.Minute)
		require.Equal(t, n, e.Stats().Held)
		require.Empty(t, e.of(api.Disowned))
	})
}

// A server that has forgotten leases, though not the entries: they are set again under their tokens.
func TestForgottenLeasesAreVerified(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		const n = 600
		w.server.announce(streams(n)...)
		e := w.start(nil)
		pass(15 * time.Second)
		tokens := map[string]uint64{}
		for _, s := range streams(n) {
			tokens[s] = w.server.leaseOf(s).token
		}
		w.server.restart(false)
		w.server.with(0, func(p *fakePartition) { clear(p.leases); p.token = 0 })
		pass(5 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		require.Empty(t, e.of(api.Disowned))
		for _, s := range streams(n) {
			require.Equal(t, tokens[s], w.server.leaseOf(s).token)
		}
	})
}

// A server that has forgotten everything: what was held is disowned, for the entries are gone. The error tells that from a loss
// after which the stream is handed out again.
func TestForgottenEntriesAreDisowned(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		const n = 600
		w.server.announce(streams(n)...)
		e := w.start(nil)
		pass(15 * time.Second)
		w.server.restart(true)
		pass(30 * time.Second)
		require.Zero(t, e.Stats().Held)
		require.Len(t, e.of(api.Disowned), n)
		for _, x := range e.of(api.Disowned) {
			require.ErrorIs(t, x.Err, api.ErrAnnouncementLost)
			require.ErrorIs(t, context.Cause(x.Lease.Context()), api.ErrAnnouncementLost)
			require.ErrorIs(t, x.Lease.Done(context.Background()), api.ErrAnnouncementLost)
		}
		w.server.announce("new")
		pass(5 * time.Second)
		require.Greater(t, e.held("new").Token(), e.of(api.Added)[n-1].Token, "no token comes twice")
	})
}

// After a change of server, a lease lasts no longer than its session would have without it, until a renewal that was
// sent after the change was seen has succeeded.
func TestServerChangeCapsDeadlines(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		const n = 100
		w.server.announce(streams(n)...)
		e := w.start(nil)
		pass(15 * time.Second)
		// Beats succeed, and extend the session; every renewal and verification meets a fault.
		before := time.Now().Add(e.session(0).Remaining())
		var changed atomic.Bool
		e.fake.setFault(func(c *fakeCall) fakeFault {
			if changed.Load() && (c.op == "renew" || c.op == "verify") {
				return faultError
			}
			if !changed.Load() && c.op == "renew" {
				return fakeFault{skip: true, err: errCut}
			}
			return fakeFault{}
		})
		w.server.restart(false)
		changed.Store(true)
		// Renewals carry the beat. Without one that arrives, the session goes on by beats alone.
		pass(time.Until(before) + 2*time.Second)
		require.Len(t, e.of(api.Disowned), n)
		for _, x := range e.of(api.Disowned) {
			require.False(t, x.at.After(before.Add(e.cfg.beat)))
		}
	})
}

// The server changes between the sending of an acquisition and its answer: what it gave lasts no longer than the session
// that was alive then, and is renewed at once.
func TestServerChangeDuringAnAcquisition(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		e := w.start(nil)
		pass(15 * time.Second)
		e.fake.onlyOp(fakeFault{after: 900 * time.Millisecond}, "acquire")
		sent := time.Now()
		w.server.announce("s")
		pass(100 * time.Millisecond)
		w.server.restart(false)
		w.server.with(0, func(p *fakePartition) { clear(p.leases) }) // and has forgotten it
		e.renewer.beatNow(0)
		pass(100 * time.Millisecond)
		require.Equal(t, 1, e.Stats().Settling)
		e.fake.setFault(func(c *fakeCall) fakeFault {
			switch c.op {
			case "renew", "verify":
				return faultHang
			}
			return fakeFault{}
		})
		pass(700*time.Millisecond + 2*time.Millisecond)
		l := e.held("s")
		require.LessOrEqual(t, time.Now().Add(l.Remaining()), sent.Add(e.cfg.sessionTTL-e.cfg.sessionMargin))
		e.fake.setFault(nil)
		pass(3 * time.Second)
		require.Equal(t, "Added", e.kinds("s"))
		require.NotNil(t, w.server.leaseOf("s"), "verified")
		require.Positive(t, l.Remaining())
	})
}

// A reader that gets its room after its session has ended does not read under the old name.
//
// It went on with the session that it had waited with; the read could be fed for a consumer that was closed, and whose
// host would not hear of it.
func TestNoReadUnderASessionThatHasEnded(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		a, b := w.streamIn(0, 0), w.streamIn(1, 0)
		w.server.announce(a)
		e := w.start(nil, WithMaxStreams(1))
		pass(30 * time.Second)
		require.Equal(t, 1, e.Stats().Held)
		old := e.consumer(1)
		w.server.with(1, func(p *fakePartition) { p.sessions[old] = 0 })
		pass(10 * time.Second)
		require.NotEqual(t, old, e.consumer(1))
		w.server.announce(b)
		e.fake.takeCalls()
		require.NoError(t, e.held(a).Done(context.Background()))
		pass(30 * time.Second)
		for _, c := range e.fake.takeCalls() {
			require.False(t, c.op == "read" && c.partition == 1 && c.consumer == old)
		}
		e.held(b)
	})
}

// Entries that a read with a lost answer left pending are found, whatever is read meanwhile: the read that waits for one, or
// the script that reads the others.
func TestALostReadIsFound(t *testing.T) {
	for op, lostOnes := range map[string]int{"read": 1, "read on": 49} {
		t.Run(op, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, w *world) {
				const n = 100
				e := w.start(nil)
				pass(10 * time.Second)
				var lost atomic.Bool
				e.fake.setFault(func(c *fakeCall) fakeFault {
					if c.op == op && lost.CompareAndSwap(false, true) {
						return fakeFault{err: errCut}
					}
					return fakeFault{}
				})
				pass(e.cfg.block) // the read that is under way was sent before
				w.server.announce(streams(n)[:n/2]...)
				pass(2 * time.Second)
				require.True(t, lost.Load())
				require.Equal(t, n/2-lostOnes, e.Stats().Held)
				w.server.announce(streams(n)[n/2:]...)
				pass(time.Second)
				require.Equal(t, n-lostOnes, e.Stats().Held)
				pass(30 * time.Second)
				require.Equal(t, n, e.Stats().Held)
				require.Empty(t, e.of(api.Disowned))
				require.Len(t, e.of(api.Added), n)
			})
		})
	}
}

// An acquisition whose answer is lost is asked again and its lease taken once.
func TestALostAcquisitionIsAskedAgain(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		e := w.start(nil)
		var times atomic.Int32
		e.fake.setFault(func(c *fakeCall) fakeFault {
			if c.op == "acquire" && times.Add(1) <= 3 {
				return faultLose
			}
			return fakeFault{}
		})
		w.server.announce(streams(300)...)
		pass(20 * time.Second)
		require.Equal(t, 300, e.Stats().Held)
		require.Len(t, e.of(api.Added), 300)
		pass(time.Minute)
		require.Empty(t, e.of(api.Disowned))
	})
}
