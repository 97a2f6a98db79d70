package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

// untampered checks that the engine has noticed nothing, and kept what it had.
func (e *testEngine) untampered(held int) {
	e.h.t.Helper()
	require.Equal(e.h.t, held, e.Stats().Held)
	require.Empty(e.h.t, e.notified(api.Disowned))
	require.NotContains(e.h.t, e.logged(), "WARN")
}

// removeConsumers is XGROUP DELCONSUMER of all.
func (s *fakeServer) removeConsumers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		clear(p.pending)
		clear(p.consumers)
	}
}

// compareNow has all partitions compared as soon as their readers come to it.
func (e *testEngine) compareNow() {
	for _, p := range e.partitions {
		p.mu.Lock()
		p.mu.read.compare = 0
		p.mu.Unlock()
	}
}

// comparedIn is longer than it takes until the next comparison without a reason.
func (e *testEngine) comparedIn() time.Duration {
	return compareIntervals*e.cfg.recovery.Interval + time.Minute
}

// A cron job that removes consumers which look idle takes those of a process that has no room to read: its streams were
// neither pending nor undelivered from then on, and nobody noticed. Within half a minute they are pending again, and owned
// under the same tokens.
func TestFullProcessWhoseConsumerIsRemoved(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		const most = 20
		h.server.announce(streams(3 * most)...)
		e := h.start(nil, WithMaxStreams(most))
		advance(time.Minute)
		tokens := map[string]api.Token{}
		for _, x := range e.notified(api.Added) {
			tokens[x.Stream] = x.Token
		}
		require.Len(t, tokens, most)
		h.server.removeConsumers()
		advance(attendEvery + 2*e.cfg.block)
		_, pending, _, _ := h.server.count()
		require.Equal(t, most, pending)
		require.Empty(t, e.notified(api.Disowned))
		for stream, token := range tokens {
			require.Equal(t, token, e.held(stream).Token())
		}
		require.Contains(t, e.logged(), "their consumer was removed")
		require.Contains(t, e.logged(), "count=")
		for stream := range tokens {
			require.NoError(t, e.held(stream).Done(context.Background()))
		}
		advance(time.Minute)
		require.Len(t, e.notified(api.Added), 2*most)
		_, err := e.shutdownAndWait()
		require.NoError(t, err)
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, []int{2 * most, 0}, []int{undelivered, pending})
	})
}

// What a call does not come to, since it has read enough, is asked for again at once.
func TestEntriesThatACallDoesNotComeToAreKept(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n, some = 20, 3
		h.server.announce(streams(n)...)
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(5 * time.Second)
		require.Equal(t, n, e.Stats().Parked)
		h.server.keeps = some
		h.server.removeConsumers()
		e.fake.takeCalls()
		e.compareNow()
		advance(2 * e.cfg.block)
		_, pending, _, _ := h.server.count()
		require.Equal(t, 2*n, pending)
		calls := e.fake.takeCalls()
		require.Equal(t, (2*n+some-1)/some, countCalls(calls, "keep"))
		require.Equal(t, 1, countCalls(calls, "ids"), "in one comparison")
		require.Empty(t, e.notified(api.Disowned))
	})
}

// What cannot be kept, which may be so every time, does not keep what is unknown from being taken in.
func TestAdoptsThoughKeepingFails(t *testing.T) {
	for name, fault := range map[string]fakeFault{"error": faultError, "no answer": faultHang} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				e := h.start(nil)
				advance(5 * time.Second)
				h.server.acknowledge(e.held("s").Entry())
				e.fake.failOnly(fault, "keep")
				me := e.session(0).Consumer()
				h.server.with(0, func(p *fakePartition) {
					id := h.server.addLocked(p, fakeBody("unknown"))
					x := p.input[len(p.input)-1]
					p.delivered = x.seq
					p.pending[id] = &fakePending{entry: x, consumer: me, since: nowMilli(), deliveries: 1}
				})
				e.compareNow()
				advance(2*e.cfg.block + 2*e.cfg.timeout)
				e.held("unknown")
				_, pending, _, _ := h.server.count()
				require.Equal(t, 1, pending)
				e.fake.setFault(nil)
				advance(2 * e.cfg.block)
				_, pending, _, _ = h.server.count()
				require.Equal(t, 2, pending)
				require.Empty(t, e.notified(api.Disowned))
			})
		})
	}
}

// A process that is full is at work: its consumer shows it twice a minute, and it compares as often as any other.
func TestFullProcessIsNeverIdleAndCompares(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.server.announce(streams(50)...)
		e := h.start(nil, WithMaxStreams(10))
		advance(time.Minute)
		e.fake.takeCalls()
		const while = 20 * time.Minute
		advance(while)
		calls := e.fake.takeCalls()
		require.Zero(t, countCalls(calls, "read", "keep"))
		for n := range 2 {
			last := calls[0].at
			compared := 0
			for _, c := range calls {
				switch {
				case c.partition != n:
				case c.op == "attend":
					require.LessOrEqual(t, c.at.Sub(last), time.Minute)
					last = c.at
				case c.op == "ids":
					compared++
				}
			}
			require.InDelta(t, int(while/(compareIntervals*e.cfg.recovery.Interval)), compared, 2)
		}
		e.untampered(10)
	})
}

// One acknowledged by hand, beside many that are not, and while others are done, come and are parked.
func TestAcknowledgedByHandWhileHeld(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 300
		h.server.announce(streams(n)...)
		h.server.announce(streams(20)...)
		e := h.start(nil)
		advance(5 * time.Second)
		require.Equal(t, 20, e.Stats().Parked)
		l := e.held("s00150")
		h.server.acknowledge(l.Entry(), e.held("s00003").Entry())
		var parked string
		for _, x := range e.parked.list.Of(e.session(0)) {
			if x.Stream == "s00003" {
				parked = x.ID
			}
		}
		h.server.acknowledge(parked)
		advance(e.comparedIn())
		_, pending, _, _ := h.server.count()
		require.Equal(t, n+20, pending)
		require.Same(t, l, e.held("s00150"))
		require.Empty(t, e.notified(api.Disowned))
		require.NoError(t, e.held("s00003").Done(context.Background()))
		advance(time.Second)
		require.Equal(t, parked, e.held("s00003").Entry(), "what was parked behind it has its turn")
	})
}

// All that is held is trimmed: each ownership ends with an error that says so, the stream is announced again from memory, and
// owned again under a greater token. Of nothing it is said that it was handed out again before it was.
func TestTrimmedWhileHeld(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		const n = 600
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(5 * time.Second)
		h.server.trim()
		advance(e.comparedIn())
		require.Equal(t, n, e.Stats().Held)
		require.Len(t, e.notified(api.Disowned), n)
		for _, x := range e.notified(api.Disowned) {
			require.ErrorIs(t, x.Err, api.ErrReannounced)
			require.ErrorIs(t, x.Err, api.ErrLeaseLost)
			require.ErrorIs(t, context.Cause(x.Lease.Context()), api.ErrReannounced)
			require.NotErrorIs(t, x.Err, api.ErrAnnouncementLost)
			require.Greater(t, e.held(x.Stream).Token(), x.Token)
		}
		require.Contains(t, e.logged(), "were deleted or trimmed")
		require.NotContains(t, e.logged(), "handed out again")
		_, err := e.shutdownAndWait()
		require.NoError(t, err)
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, []int{n, 0}, []int{undelivered, pending})
	})
}

// Somebody deletes what is held and the process drains, or its owner gives it up, before anything is compared. Nothing is
// lost, and each goes where its owner wanted it.
func TestDeletedAndGivenUp(t *testing.T) {
	for name, tamper := range map[string]func(s *fakeServer, ids ...string){
		"trimmed":                  func(s *fakeServer, _ ...string) { s.trim() },
		"acknowledged":             (*fakeServer).acknowledge,
		"consumer removed":         func(s *fakeServer, _ ...string) { s.removeConsumers() },
		"acknowledged and deleted": func(s *fakeServer, ids ...string) { s.acknowledge(ids...); s.trim() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				ctx := context.Background()
				h.server.announce("done", "release", "fail", "permanent", "held")
				e := h.start(nil, WithMaxStreams(5))
				advance(5 * time.Second)
				ends := map[string]func(l *lease.Lease) error{
					"done":      func(l *lease.Lease) error { return l.Done(ctx) },
					"release":   func(l *lease.Lease) error { return l.Release(ctx) },
					"fail":      func(l *lease.Lease) error { return l.Fail(ctx, errCut) },
					"permanent": func(l *lease.Lease) error { return l.Fail(ctx, api.Permanent(errCut)) },
				}
				var ids []string
				for _, x := range e.notified(api.Added) {
					ids = append(ids, x.Lease.Entry())
				}
				tamper(h.server, ids...)
				var leases []*lease.Lease
				for stream := range ends {
					leases = append(leases, e.held(stream))
				}
				ended := make(chan error, len(ends))
				e.fake.failOnly(fakeFault{before: 500 * time.Millisecond}, "ids") // what one finds has the rest compared
				for _, l := range leases {
					go func() { ended <- ends[l.Stream()](l) }()
				}
				for range ends {
					require.NoError(t, <-ended)
				}
				_, err := e.shutdownAndWait()
				require.NoError(t, err)
				undelivered, pending, later, dead := h.server.count()
				require.Equal(t, []int{2, 0, 1, 1}, []int{undelivered, pending, later, dead})
				h.server.with(0, func(p *fakePartition) { require.Len(t, p.input, 2, "nothing is stranded") })
			})
		})
	}
}

// Another consumer was given the entry by hand while the process drains: it has it, and the end of Run says so.
func TestDrainThatHandsNothingBack(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(3)...)
		e := h.start(nil)
		advance(5 * time.Second)
		id := e.held("s00001").Entry()
		h.server.with(0, func(p *fakePartition) { p.pending[id].consumer = "somebody" })
		_, err := e.shutdownAndWait()
		require.ErrorIs(t, err, api.ErrNotHandedBack)
		require.NotErrorIs(t, err, api.ErrDrainTimeout)
		require.ErrorContains(t, err, "1 streams")
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, []int{2, 1}, []int{undelivered, pending})
	})
}

// Endings whose answers were lost find nothing pending: their own success, which must not be announced again.
func TestLostAnswersAreNotTakenForTampering(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 40
		h.server.announce(streams(n)...)
		e := h.start(nil, WithMaxStreams(n))
		advance(5 * time.Second)
		lose := 1
		e.fake.setFault(func(c *fakeCall) fakeFault {
			if c.op == "requeue" && lose > 0 {
				lose--
				return faultLose
			}
			return fakeFault{}
		})
		_, err := e.shutdownAndWait()
		require.NoError(t, err)
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, []int{n, 0}, []int{undelivered, pending})
		require.Zero(t, countCalls(e.fake.takeCalls(), "restore"))
	})
}

// What is announced again has its answer lost: it is asked again, and nothing is lost.
func TestRestoringWithoutAnAnswer(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil, WithMaxStreams(1))
		advance(5 * time.Second)
		h.server.trim()
		faults := []fakeFault{faultError, faultOOM, faultHang}
		e.fake.setFault(func(c *fakeCall) (f fakeFault) {
			if c.op == "restore" && len(faults) > 0 {
				f, faults = faults[0], faults[1:]
			}
			return f
		})
		_, err := e.shutdownAndWait()
		require.NoError(t, err)
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, []int{1, 0}, []int{undelivered, pending})
	})
}

// The same where it was carried out and the answers were lost: what is asked again is announced once.
func TestRestoringWhoseAnswersAreLost(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(20)...)
		e := h.start(nil, WithMaxStreams(20))
		advance(5 * time.Second)
		h.server.trim()
		e.fake.failOnly(faultLose, "restore")
		e.compareNow()
		e.SetMaxStreams(21) // wakes the reader
		advance(10 * time.Second)
		require.Greater(t, countCalls(e.fake.takeCalls(), "restore"), 2)
		e.fake.setFault(nil)
		advance(time.Minute)
		require.Len(t, e.notified(api.Disowned), 20)
		require.Equal(t, 20, e.Stats().Held)
		require.Zero(t, e.Stats().Parked)
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, []int{0, 20}, []int{undelivered, pending})
	})
}

// While the pages of a comparison are on their way, streams are acquired, parked, done, handed back and lost. None of them is
// taken for one that somebody moved.
func TestComparisonMeetsWhatMoves(t *testing.T) {
	for _, way := range []string{"before", "after"} {
		t.Run(way, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n, batch = 120, 8
				h.server.announce(streams(n)...)
				e := h.start(nil, WithPipeline(lease.Pipeline{MaxBatch: batch}))
				advance(5 * time.Second)
				slow := fakeFault{before: time.Second}
				if way == "after" {
					slow = fakeFault{after: time.Second}
				}
				e.fake.failOnly(slow, "ids", "keep", "pending")
				e.fake.takeCalls()
				compared := 0
				for i := 1; compared < 2*n/(idPages*batch/2); i++ {
					advance(100 * time.Millisecond)
					compared += countCalls(e.fake.takeCalls(), "ids")
					e.compareNow()
					h.server.announce(fmt.Sprintf("new%d", i))
					// Parked behind one that is held, and acquired when that ends, in the midst of it.
					stream := streams(n)[i%n]
					h.server.announce(stream)
					if l := e.table.Get(stream); l != nil {
						go func() {
							backoff.Sleep(context.Background(), 50*time.Millisecond)
							_ = l.Done(context.Background())
						}()
					}
					if l := e.table.Get(streams(n)[(i+n/2)%n]); l != nil && i%3 == 0 {
						go l.Release(context.Background())
					}
				}
				e.fake.setFault(nil)
				advance(e.comparedIn())
				require.Empty(t, e.notified(api.Disowned))
				require.NotContains(t, e.logged(), "WARN")
				_, pending, _, _ := h.server.count()
				require.Equal(t, e.Stats().Held+e.Stats().Parked, pending)
			})
		})
	}
}

// The group is made again from the start by hand, and all that is held is delivered once more: to its owners, who have it
// already, though there is no room for it; or to others, who have it wait.
func TestGroupMadeAgainWhileHeld(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 50
		h.server.announce(streams(n)...)
		a := h.start(nil, WithMaxStreams(n))
		advance(5 * time.Second)
		b := h.start(nil)
		h.server.with(0, func(p *fakePartition) {
			clear(p.pending)
			p.delivered = 0
		})
		advance(a.comparedIn())
		a.SetMaxStreams(n + 1)
		advance(a.comparedIn())
		require.Equal(t, n, a.Stats().Held)
		require.Empty(t, a.notified(api.Disowned))
		require.Empty(t, b.notified(api.Added))
		for _, s := range streams(n) {
			require.NoError(t, a.held(s).Done(context.Background()))
		}
		advance(a.comparedIn())
		require.Empty(t, b.notified(api.Added), "done is done")
		undelivered, pending, later, _ := h.server.count()
		require.Equal(t, []int{0, 0, 0}, []int{undelivered, pending, later})
	})
}

// The same where nobody else is there: what is delivered to its owner again is neither parked nor given back, either of which
// would free its lease.
func TestGroupMadeAgainAndDeliveredToItsOwner(t *testing.T) {
	for name, most := range map[string]int{"room": 0, "no room": 51} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n = 50
				h.server.announce(streams(n)...)
				e := h.start(nil, WithMaxStreams(most))
				advance(5 * time.Second)
				h.server.with(0, func(p *fakePartition) {
					clear(p.pending)
					p.delivered = 0
				})
				h.server.announce("wakes the reader")
				advance(e.comparedIn())
				require.Zero(t, e.Stats().Parked)
				require.Empty(t, e.notified(api.Disowned))
				for _, s := range streams(n) {
					require.NotNil(t, h.server.leaseOf(s))
					require.Equal(t, h.server.leaseOf(s).token, uint64(e.held(s).Token()))
				}
				_, err := e.shutdownAndWait()
				require.NoError(t, err)
				undelivered, pending, later, _ := h.server.count()
				require.Equal(t, []int{n + 1, 0, 0}, []int{undelivered, pending, later})
			})
		})
	}
}
