package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/test/notices"
)

const unknownSubcommand = "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP."

// noticesFrom is the option that connects an engine to a node that sends notices.
func noticesFrom(n *notices.Node) Option {
	return WithDial(rueidis.ClientOption{
		InitAddress: []string{"node:1"},
		DialCtxFn: func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
			ours, its := net.Pipe()
			go n.Serve(its)
			return ours, nil
		},
	})
}

// noticeNode makes a node that sends notices. It is closed at the end of the bubble's test.
func (h *harness) noticeNode(o notices.Options) *notices.Node {
	n := notices.New(o)
	h.t.Cleanup(n.Close)
	return n
}

// push makes a node send a notice, and returns when everything that follows from it has happened.
func push(t *testing.T, n *notices.Node, raw string) {
	t.Helper()
	require.Positive(t, n.Push(raw))
	synctest.Wait()
}

const (
	failingOver = ">4\r\n+FAILING_OVER\r\n:10\r\n:30\r\n+1\r\n"
	failedOver  = ">3\r\n+FAILED_OVER\r\n:11\r\n+1\r\n"
)

// A server that has announced an outage of 30 s is down for 25 s, more than twice the session TTL. A process that listens
// keeps everything, and renews it at once when the server is back; one that does not loses everything.
func TestAnnouncedOutageLosesNothing(t *testing.T) {
	for _, mode := range []notice.Mode{notice.Auto, notice.Off} {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, h *harness) {
				node := h.noticeNode(notices.Options{})
				h.server.announce(streams(300)...)
				e := h.start(nil, noticesFrom(node), WithMaintenance(notice.Config{Mode: mode}))
				advance(time.Minute)
				e.kept(300)
				if mode == notice.Auto {
					push(t, node, failingOver)
				}
				advance(2 * time.Second)
				e.fake.failAll(faultHang)
				advance(25 * time.Second)
				if mode == notice.Off {
					require.Len(t, e.notified(api.Disowned), 300)
					return
				}
				e.kept(300)
				e.fake.setFault(nil)
				advance(time.Second)
				e.fake.takeCalls()
				push(t, node, failedOver)
				advance(revalidationSpread + e.cfg.wheel.Tick)
				renewed := sumCalls(e.fake.takeCalls(), "renew")
				require.Equal(t, 300, renewed, "every lease, once")
				e.kept(300)
				advance(5 * time.Minute)
				e.kept(300)
			})
		})
	}
}

// The TTLs that are sent are never shorter than those that are trusted: whatever windows open and close, and whatever becomes
// of answers, sessions and leases last longer on the server than in the process.
func TestNoLeaseIsTrustedLongerThanTheServerHoldsIt(t *testing.T) {
	for seed := range uint64(3) {
		bubble(t, 2, func(t *testing.T, h *harness) {
			node := h.noticeNode(notices.Options{})
			h.server.announce(streams(60)...)
			draw := rand.New(rand.NewPCG(7, seed))
			e := h.start(nil, noticesFrom(node), WithLeaseTTL(12*time.Second))
			advance(time.Minute)
			longest := time.Duration(0)
			for step := range 240 {
				switch draw.IntN(12) {
				case 0:
					push(t, node, fmt.Sprintf(">4\r\n+FAILING_OVER\r\n:%d\r\n:%d\r\n+1\r\n", 2*step, draw.IntN(40)))
				case 1:
					push(t, node, fmt.Sprintf(">3\r\n+FAILED_OVER\r\n:%d\r\n+1\r\n", 2*step+1))
				case 2:
					h.server.announce(fmt.Sprint("more", step))
				case 3, 4:
					fault := []fakeFault{faultHang, faultLose, faultError, {before: 800 * time.Millisecond}, {after: 800 * time.Millisecond}}[draw.IntN(5)]
					// A random source of its own: calls come from all goroutines, draws of this loop from one.
					var struck sync.Mutex
					strikes := rand.New(rand.NewPCG(seed, uint64(step)))
					e.fake.setFault(func(*fakeCall) fakeFault {
						struck.Lock()
						defer struck.Unlock()
						if strikes.IntN(2) == 0 {
							return fault
						}
						return fakeFault{}
					})
				case 5, 6, 7:
					e.fake.setFault(nil)
				}
				advance(time.Duration(draw.IntN(1500)) * time.Millisecond)
				longest = max(longest, h.trusted(e))
			}
			require.Greater(t, longest, 12*time.Second, "some leases were longer than they ever are without a window")
		})
	}
}

// trusted requires that the server holds every lease longer than an engine trusts it, and returns the longest such time.
func (h *harness) trusted(e *testEngine) (longest time.Duration) {
	h.t.Helper()
	for _, l := range e.table.All() {
		left := l.Remaining()
		if left == 0 {
			continue
		}
		longest = max(longest, left)
		held := h.server.leaseOf(l.Stream())
		require.NotNil(h.t, held, "%s is trusted for %v", l.Stream(), left)
		require.Equal(h.t, uint64(l.Token()), held.token)
		require.Less(h.t, left, time.Duration(held.until-nowMilli())*time.Millisecond)
		h.server.with(l.Partition(), func(p *fakePartition) {
			until := p.sessions[l.Session().Consumer()]
			require.Less(h.t, left, time.Duration(until-nowMilli())*time.Millisecond, "the session")
		})
	}
	return longest
}

// A renewal that was in flight when the window opened had asked for the ordinary TTL: its answer does not postpone the next
// renewal by an interval.
func TestRenewalInFlightWhenAWindowOpensIsRepeated(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{})
		h.server.announce("s")
		e := h.start(nil, noticesFrom(node))
		e.fake.failOnly(fakeFault{after: 900 * time.Millisecond}, "renew")
		for countCalls(e.fake.takeCalls(), "renew") == 0 {
			advance(50 * time.Millisecond)
		}
		push(t, node, failingOver)
		e.fake.setFault(nil)
		advance(2 * time.Second)
		left := time.Duration(h.server.leaseOf("s").until-nowMilli()) * time.Millisecond
		require.Greater(t, left, DefaultLeaseTTL)
	})
}

// The announced failover loses every write since the window opened, and the owner is cut off. The owner trusts its session for
// as long as the window allowed, and the new server knows nothing of that. But how long that may be was on record before, so
// another consumer, which got no notice, takes nothing too early. (The harness checks that whenever a lease is granted.)
func TestNobodyTakesOverBeforeALostExtensionHasPassed(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{})
		h.server.announce(streams(40)...)
		a := h.start(nil, noticesFrom(node), WithConsumerID("a"))
		advance(10 * time.Second)
		a.kept(40)
		b := h.start(nil, WithConsumerID("b"))
		advance(10 * time.Second)

		before := h.server.snapshot()
		push(t, node, failingOver)
		advance(3 * time.Second)
		a.fake.failAll(faultHang)
		b.fake.failAll(faultHang)
		h.server.failover(before)
		b.fake.setFault(nil)
		advance(15 * time.Second)
		a.kept(40)
		require.Zero(t, b.Stats().Held, "without the extension, b would have taken them over by now")
		advance(2 * time.Minute)
		require.Len(t, a.notified(api.Disowned), 40)
		require.Equal(t, 40, b.Stats().Held)
	})
}

// How long a server settles depends on what it has on record: longer only where maintenance is announced.
func TestOnlyServersThatAnnounceSettleLonger(t *testing.T) {
	for refuse, want := range map[string]time.Duration{"": DefaultSessionTTL + notice.DefaultMaxWindow, unknownSubcommand: DefaultSessionTTL} {
		bubble(t, 2, func(t *testing.T, h *harness) {
			node := h.noticeNode(notices.Options{Refuse: refuse})
			e := h.start(nil, noticesFrom(node))
			advance(5 * time.Second)
			greatest := func() {
				t.Helper()
				for n := range 2 {
					h.server.with(n, func(p *fakePartition) {
						require.Equal(t, want.Milliseconds(), p.ttl)
						require.LessOrEqual(t, p.sessions[e.session(n).Consumer()]-nowMilli(), DefaultSessionTTL.Milliseconds(), "its own entry stays short")
					})
				}
			}
			greatest()
			h.server.restart(true)
			advance(3 * time.Second)
			greatest()
		})
	}
}

func TestNobodyIsRecoveredDuringAWindow(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{})
		h.server.announce(streams(20)...)
		dead := h.start(nil, WithConsumerID("dead"))
		advance(time.Second)
		dead.kept(20)
		e := h.start(nil, noticesFrom(node), WithConsumerID("living"))
		advance(time.Second)
		push(t, node, failingOver)
		dead.fake.failAll(faultHang)
		advance(25 * time.Second)
		require.Zero(t, e.Stats().Held)
		e.fake.takeCalls()
		push(t, node, failedOver)
		advance(2 * time.Second)
		require.Equal(t, 20, e.Stats().Held, "soon after it")
	})
}

// Only notices about slots say which ones are affected: other partitions are left alone, at the beginning of a window and at its
// end. Trace: at the end, everything was renewed.
func TestMovingSlotsAffectOnlyTheirPartitions(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{})
		h.server.announce(streams(100)...)
		e := h.start(nil, noticesFrom(node))
		advance(time.Minute)
		slot := h.layout.Keys(1).Slot
		held := func(partition int) (n int) {
			for _, l := range e.table.All() {
				if l.Partition() == partition {
					n++
				}
			}
			return n
		}
		renewed := func() (by [2]int) {
			for _, c := range e.fake.takeCalls() {
				if c.op == "renew" {
					by[c.partition] += c.n
				}
			}
			return by
		}
		renewed()
		push(t, node, fmt.Sprintf(">3\r\n+SMIGRATING\r\n:16\r\n+%d\r\n", slot))
		advance(time.Second)
		for n, want := range []time.Duration{DefaultSessionTTL, DefaultSessionTTL + notice.MinWindow} {
			h.server.with(n, func(p *fakePartition) {
				left := time.Duration(p.sessions[e.session(n).Consumer()]-nowMilli()) * time.Millisecond
				require.InDelta(t, want, left, float64(time.Second+time.Millisecond), "partition %d", n)
			})
		}
		by := renewed()
		require.GreaterOrEqual(t, by[1], held(1))
		require.Less(t, by[0], held(0)/2, "renewed on schedule")
		push(t, node, fmt.Sprintf(">3\r\n+SMIGRATED\r\n:17\r\n*1\r\n*3\r\n+a:1\r\n+b:1\r\n+%d-%d\r\n", slot, slot))
		advance(revalidationSpread + e.cfg.wheel.Tick)
		by = renewed()
		require.GreaterOrEqual(t, by[1], held(1))
		require.Less(t, by[0], held(0)/2, "renewed on schedule")
		require.Equal(t, 1, e.countEvents(api.EventMaintenanceStarted))
		require.Equal(t, 1, e.countEvents(api.EventMaintenanceEnded))
	})
}

// A move of slots that is completed in steps has each partition renewed at its step, and is one window.
func TestEachStepOfAMoveRenewsItsPartition(t *testing.T) {
	bubble(t, 3, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{})
		h.server.announce(streams(150)...)
		e := h.start(nil, noticesFrom(node))
		advance(time.Minute)
		slots := func(n int) uint16 { return h.layout.Keys(n).Slot }
		push(t, node, fmt.Sprintf(">3\r\n+SMIGRATING\r\n:16\r\n+%d,%d\r\n", slots(0), slots(1)))
		advance(2 * time.Second)
		for step := range 2 {
			e.fake.takeCalls()
			push(t, node, fmt.Sprintf(">3\r\n+SMIGRATED\r\n:%d\r\n*1\r\n*3\r\n+a:1\r\n+b:1\r\n+%d\r\n", 17+step, slots(step)))
			advance(revalidationSpread + e.cfg.wheel.Tick)
			var by, held [3]int
			for _, c := range e.fake.takeCalls() {
				if c.op == "renew" {
					by[c.partition] += c.n
				}
			}
			for _, l := range e.table.All() {
				held[l.Partition()]++
			}
			for n := range by {
				if n == step {
					require.GreaterOrEqual(t, by[n], held[n], "step %d", step)
				} else {
					require.Less(t, by[n], held[n]/2, "step %d, partition %d", step, n)
				}
			}
			require.Equal(t, step, e.countEvents(api.EventMaintenanceEnded), "the window ends with the last step")
		}
	})
}

// A server that moves is replaced at the same address within half of the announced time. Then clients reconnect and everything
// is renewed, once, however often the notice comes.
func TestClientsReconnectWhenTheirServerMoves(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{})
		h.server.announce(streams(10)...)
		e := h.start(nil, noticesFrom(node))
		advance(time.Minute)
		push(t, node, ">4\r\n+MOVING\r\n:7\r\n:20\r\n_\r\n")
		advance(9 * time.Second)
		push(t, node, ">4\r\n+MOVING\r\n:7\r\n:20\r\n_\r\n")
		require.Zero(t, e.countEvents(api.EventTopologyChanged))
		advance(time.Second + 2*lookGap)
		require.Equal(t, 1, e.countEvents(api.EventTopologyChanged))
		advance(time.Minute)
		require.Equal(t, 1, e.countEvents(api.EventTopologyChanged))
		require.Equal(t, 1, e.countEvents(api.EventMaintenanceEnded))
		e.kept(10)
	})
}

// Leases that were renewed together because of a window do not stay together.
func TestAfterAWindowRenewalsAreSpreadAgain(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{})
		h.server.announce(streams(2_000)...)
		e := h.start(nil, noticesFrom(node))
		advance(time.Minute)
		push(t, node, failingOver)
		advance(5 * time.Second)
		push(t, node, failedOver)
		advance(time.Second)
		e.fake.takeCalls()
		var sizes []int
		for range 20 {
			advance(time.Second)
			n := sumCalls(e.fake.takeCalls(), "renew")
			sizes = append(sizes, n)
		}
		require.Less(t, slices.Max(sizes), 500, "%v", sizes)
	})
}
