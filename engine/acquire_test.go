package engine

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

func TestAcquireBatchesAreBoundedByTheBytesOfTheirKeys(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 200
		for i := range n {
			h.server.announce(fmt.Sprint(i, strings.Repeat("x", cluster.MaxStreamName-10)))
		}
		e := h.start(nil)
		advance(10 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		for _, c := range e.fake.takeCalls() {
			if c.op == "acquire" {
				require.LessOrEqual(t, c.n, lease.MaxCallWeight/cluster.MaxStreamName)
			}
		}
	})
}

// The server changes between the request of an acquisition and its answer. The lease that it granted lasts no longer than the
// session that was alive then, and is renewed at once.
func TestServerChangeDuringAnAcquisition(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(15 * time.Second)
		e.fake.failOnly(fakeFault{after: 900 * time.Millisecond}, "acquire")
		sent := time.Now()
		h.server.announce("s")
		advance(100 * time.Millisecond)
		h.server.restart(false)
		h.server.forgetLeases(0) // and it has forgotten the lease
		e.renewer.beatNow(0)
		advance(100 * time.Millisecond)
		require.Equal(t, 1, e.Stats().Settling)
		e.fake.setFault(func(c *fakeCall) fakeFault {
			switch c.op {
			case "renew", "verify":
				return faultHang
			}
			return fakeFault{}
		})
		advance(700*time.Millisecond + 2*time.Millisecond)
		l := e.held("s")
		require.LessOrEqual(t, time.Now().Add(l.Remaining()), sent.Add(e.cfg.sessionTTL-e.cfg.sessionMargin))
		e.fake.setFault(nil)
		advance(3 * time.Second)
		require.Equal(t, "Added", e.kinds("s"))
		require.NotNil(t, h.server.leaseOf("s"), "verified")
		require.Positive(t, l.Remaining())
	})
}

// An acquisition whose answer is lost is retried, and its lease is taken once.
func TestAcquisitionWithALostAnswerIsRetried(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		var times atomic.Int32
		e.fake.failWhen(faultLose, func(c *fakeCall) bool { return c.op == "acquire" && times.Add(1) <= 3 })
		h.server.announce(streams(300)...)
		advance(20 * time.Second)
		require.Equal(t, 300, e.Stats().Held)
		require.Len(t, e.notified(api.Added), 300)
		advance(time.Minute)
		require.Empty(t, e.notified(api.Disowned))
	})
}
