package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/notices"
)

// Trace: 100 distinct notices per second cost 85,645 renewals per second and 45 % of Redis. Each one caused everything to be
// renewed at once, and renewals in flight when the next one came to be repeated. Now they cost at most three times the
// ordinary renewals.
func TestFloodOfNoticesCostsFewRenewals(t *testing.T) {
	const n, seconds = 500, 30
	for name, notice := range map[string]func(i int) string{
		"beginnings": func(i int) string {
			return fmt.Sprintf(">4\r\n+FAILING_OVER\r\n:%d\r\n:%d\r\n+%d\r\n", i, 10+i%30, i)
		},
		"beginnings and ends": func(i int) string {
			if i%2 == 0 {
				return fmt.Sprintf(">4\r\n+MIGRATING\r\n:%d\r\n:30\r\n+%d\r\n", i, i)
			}
			return fmt.Sprintf(">3\r\n+MIGRATED\r\n:%d\r\n+%d\r\n", i, i-1)
		},
		"moves": func(i int) string {
			return fmt.Sprintf(">4\r\n+MOVING\r\n:%d\r\n:0\r\n+10.0.0.9:%d\r\n", i, 6000+i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				node := h.noticeNode(notices.Options{})
				h.server.announce(streams(n)...)
				e := h.start(nil, noticesFrom(node))
				advance(time.Minute)
				e.fake.takeCalls()
				perSecond := make([]int, seconds)
				for i := range 100 * seconds {
					node.Push(notice(i))
					advance(10 * time.Millisecond)
					if i%500 == 0 {
						h.trusted(e)
					}
				}
				total, beats := 0, 0
				began := time.Now().Add(-seconds * time.Second)
				for _, c := range e.fake.takeCalls() {
					switch c.op {
					case "renew":
						perSecond[min(int(c.at.Sub(began)/time.Second), seconds-1)] += c.n
						total += c.n
						beats += c.batches
					case "beat":
						beats++
					}
				}
				ordinary := float64(n) / (0.95 * e.cfg.interval.Seconds())
				require.Less(t, float64(total), 3*ordinary*seconds, "%v", perSecond)
				for i, renewed := range perSecond {
					// Renewals for windows that open, for windows that end, and for reconnections may coincide.
					require.Less(t, renewed, 3*n, "in second %d", i)
				}
				require.LessOrEqual(t, beats, 20*seconds)
				require.LessOrEqual(t, e.countEvents(api.EventTopologyChanged), seconds*int(time.Second)/int(redialGap)+1)
				e.kept(n)
				advance(time.Minute)
				e.kept(n)
			})
		})
	}
}

// A window that is longer than the one before asks for more: leases that are not covered are renewed at once.
func TestLongerWindowIsNotCoveredByAShorterOne(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 100
		node := h.noticeNode(notices.Options{})
		h.server.announce(streams(n)...)
		e := h.start(nil, noticesFrom(node))
		advance(time.Minute)
		renewed := func() int { return sumCalls(e.fake.takeCalls(), "renew") }
		renewed()
		push(t, node, ">4\r\n+FAILING_OVER\r\n:1\r\n:10\r\n+1\r\n")
		advance(revalidationSpread + 2*e.cfg.wheel.Tick)
		require.GreaterOrEqual(t, renewed(), n)
		push(t, node, ">4\r\n+FAILING_OVER\r\n:3\r\n:11\r\n+2\r\n")
		advance(revalidationSpread + 2*e.cfg.wheel.Tick)
		require.Less(t, renewed(), n/2, "covered")
		push(t, node, ">4\r\n+FAILING_OVER\r\n:5\r\n:30\r\n+3\r\n")
		advance(revalidationSpread + 2*e.cfg.wheel.Tick)
		require.GreaterOrEqual(t, renewed(), n)
		for l := range e.Leases() {
			left := time.Duration(h.server.leaseOf(l.Stream()).until-nowMilli()) * time.Millisecond
			require.Greater(t, left, DefaultLeaseTTL+28*time.Second-e.cfg.interval)
		}
	})
}
