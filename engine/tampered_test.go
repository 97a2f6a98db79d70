package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// untampered requires that the engine has noticed nothing, and kept what it had.
func (e *testEngine) untampered(held int) {
	e.h.t.Helper()
	require.Equal(e.h.t, held, e.Stats().Held)
	require.Empty(e.h.t, e.notified(api.Disowned))
	require.NotContains(e.h.t, e.logged(), "WARN")
}

// Some entries are acknowledged by hand, among many that are not, while others are done, arrive and are parked.
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
		for _, x := range e.parkedEntries(0) {
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
		require.Equal(t, parked, e.held("s00003").Entry(), "it is the turn of the one parked behind it")
	})
}

// Everything that is held is trimmed: each ownership ends with an error that says so, the stream is announced again from
// memory, and owned again under a greater token. No stream is reported as handed out again before it was.
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

// Somebody deletes what is held, and the process drains, or the owner ends its lease, before anything is compared. Nothing is
// lost, and each announcement goes where its owner wanted it.
func TestDeletedWhileHeldAndEndedByItsOwner(t *testing.T) {
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
				e.fake.failOnly(fakeFault{before: 500 * time.Millisecond}, "ids") // a comparison is triggered by what one ending finds
				for _, l := range leases {
					go func() { ended <- ends[l.Stream()](l) }()
				}
				for range ends {
					require.NoError(t, <-ended)
				}
				_, err := e.shutdownAndWait()
				require.NoError(t, err)
				require.Equal(t, []int{2, 0, 1, 1}, h.server.counts())
				h.server.with(0, func(p *fakePartition) { require.Len(t, p.input, 2, "nothing is stranded") })
			})
		})
	}
}

// Another consumer was given the entry by hand while the process drains. It has the entry now, and Run's error says so.
func TestDrainReportsAnEntryMovedByHand(t *testing.T) {
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

// The answer to a restored announcement is lost: the call is retried, and nothing is lost.
func TestRestoreIsRetriedUntilItIsAnswered(t *testing.T) {
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

// The same where the call was carried out and only the answers were lost: the retries announce once.
func TestRestoreWithLostAnswersAnnouncesOnce(t *testing.T) {
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

// The group is recreated from the start by hand, and everything that is held is delivered once more: to its owners, who have
// it already, though there is no room for it; or to others, who park it.
func TestGroupRecreatedWhileHeld(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 50
		h.server.announce(streams(n)...)
		a := h.start(nil, WithMaxStreams(n), ungated)
		advance(5 * time.Second)
		b := h.start(nil, ungated)
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
		require.Empty(t, b.notified(api.Added), "what is done stays done")
		undelivered, pending, later, _ := h.server.count()
		require.Equal(t, []int{0, 0, 0}, []int{undelivered, pending, later})
	})
}

// The same where nobody else is there: what is delivered to its owner again is neither parked nor requeued, either of which
// would free its lease.
func TestRecreatedGroupRedeliversToTheOwner(t *testing.T) {
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
