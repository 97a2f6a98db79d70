package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

// compareNow makes all partitions due for a comparison as soon as their readers get to it.
func (e *testEngine) compareNow() {
	for _, p := range e.partitions {
		p.mu.Lock()
		p.mu.read.compareAt = 0
		p.mu.Unlock()
	}
}

// comparedIn is longer than the time until the next comparison without a reason.
func (e *testEngine) comparedIn() time.Duration {
	return compareIntervals*e.cfg.recovery.Interval + time.Minute
}

// A cron job that removes consumers which look idle removes that of a process that has no room to read. Within half a minute
// its entries are pending again, and owned under the same tokens.
//
// Trace: its streams were neither pending nor undelivered from then on, and nobody noticed.
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

// Entries that a call leaves out, since it has read enough, are asked for again at once.
func TestEntriesLeftByAKeepCallAreKeptByTheNext(t *testing.T) {
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
		require.Equal(t, 1, countCalls(calls, "ids"), "all in one comparison")
		require.Empty(t, e.notified(api.Disowned))
	})
}

// Entries that cannot be kept, which may be so every time, do not prevent unknown ones from being adopted.
func TestUnknownEntriesAreAdoptedThoughKeepingFails(t *testing.T) {
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

// A full process is at work: its consumer shows it twice a minute, and it compares as often as any other.
func TestFullProcessIsNeverIdleAndStillCompares(t *testing.T) {
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

// While the pages of a comparison are in flight, streams are acquired, parked, done, released and lost. None of them is
// mistaken for one that somebody moved. Nor is any when a page is not answered in time: that comparison fails, and the next makes
// up for it.
//
// Trace: the pages took as long as the timeout of a call. Which timer came first was chance, so now and then a comparison failed,
// and warned of it, where none should.
func TestComparisonToleratesConcurrentChanges(t *testing.T) {
	for _, way := range []string{"before", "after", "lost"} {
		t.Run(way, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n, batch = 120, 8
				const lost = 3 // in the middle of the first comparison
				h.server.announce(streams(n)...)
				e := h.start(nil, WithPipeline(lease.Pipeline{MaxBatch: batch}))
				advance(5 * time.Second)
				slow := e.cfg.timeout * 9 / 10 // and yet in time
				asked := 0
				e.fake.setFault(func(c *fakeCall) fakeFault {
					if !slices.Contains([]string{"ids", "keep", "pending"}, c.op) {
						return fakeFault{}
					}
					asked++
					switch {
					case way == "before":
						return fakeFault{before: slow}
					case way == "lost" && asked == lost:
						return faultLose
					}
					return fakeFault{after: slow}
				})
				e.fake.takeCalls()
				compared := 0
				for i := 1; compared < 2*n/(idPages*batch/2); i++ {
					advance(100 * time.Millisecond)
					compared += countCalls(e.fake.takeCalls(), "ids")
					e.compareNow()
					h.server.announce(fmt.Sprintf("new%d", i))
					// Parked behind a held one, and acquired when that ends, in the middle of a comparison.
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
				failed := 0
				if way == "lost" {
					failed = 1
				}
				require.Equal(t, failed, strings.Count(e.logged(), "comparing pending entries failed"))
				require.Equal(t, failed, strings.Count(e.logged(), "WARN"))
				_, pending, _, _ := h.server.count()
				require.Equal(t, e.Stats().Held+e.Stats().Parked, pending)
			})
		})
	}
}

// Entries that a read with a lost answer left pending are found, whatever is read meanwhile. There are two kinds of reads: the
// one that waits for an entry, and the script that reads the others.
func TestEntriesOfALostReadAreFound(t *testing.T) {
	for op, lostOnes := range map[string]int{"read": 1, "read on": 49} {
		t.Run(op, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n = 100
				e := h.start(nil)
				advance(10 * time.Second)
				var lost atomic.Bool
				e.fake.failWhen(fakeFault{err: errCut}, func(c *fakeCall) bool { return c.op == op && lost.CompareAndSwap(false, true) })
				advance(e.cfg.block) // the read in flight was sent before
				h.server.announce(streams(n)[:n/2]...)
				advance(2 * time.Second)
				require.True(t, lost.Load())
				require.Equal(t, n/2-lostOnes, e.Stats().Held)
				h.server.announce(streams(n)[n/2:]...)
				advance(time.Second)
				require.Equal(t, n-lostOnes, e.Stats().Held)
				advance(30 * time.Second)
				require.Equal(t, n, e.Stats().Held)
				require.Empty(t, e.notified(api.Disowned))
				require.Len(t, e.notified(api.Added), n)
			})
		})
	}
}
