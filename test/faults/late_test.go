package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/proxy"
)

// Trace: names of 60 KiB on a link that needs 3 s for all of them, and a restart of Redis, after which all are renewed at once.
// They used to be sent in one pipeline, together with the beat, which got no reply within the timeout of a second, and were then
// queued again behind themselves, until the session was lost. Now beats go first, and renewals in waves.
func TestLargeNamesOnASlowLinkLoseNoSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	p := h.link()
	// Acquiring and handing out streams is not what this tests, so it happens in small steps.
	a := h.join("a", p.ClientOption(), engine.WithLeaseTTL(time.Minute), engine.WithSessionTTL(30*time.Second),
		engine.WithReadBatch(10), engine.WithPipeline(lease.Pipeline{MaxBatch: 40}))
	var large []string
	for i := range 100 {
		large = append(large, fmt.Sprint(i, strings.Repeat("x", 60<<10)))
	}
	h.announce(large...)
	h.eventually(func() bool { return len(a.held()) == len(large) }, "a to own all")
	leases := a.given()
	p.Bandwidth(2e6)
	require.NoError(t, h.server.Restart(context.Background(), true))
	h.eventually(func() bool { return a.saw(api.EventSettlingStarted) }, "settling")
	h.eventually(func() bool { return a.engine.Stats().Late > 0 }, "all leases to be due")
	h.eventually(func() bool { return a.engine.Stats().Late == 0 }, "all leases to be renewed")
	require.False(t, a.saw(api.EventSessionLost))
	requireHeld(t, a, leases)
	p.Bandwidth(0)
	h.finish(large...)
}

// Trace: renewals fail for a while, and beats succeed. Before any lease is in danger the engine stops taking streams, and Stats and
// an event say why. The first renewals that succeed end this.
func TestLateRenewalsStopIntake(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	p := h.link()
	a := h.join("a", p.ClientOption(), engine.WithLeaseTTL(18*time.Second), engine.WithSessionTTL(longTTL))
	h.announce(names(50)...)
	h.eventually(func() bool { return len(a.held()) == 50 }, "a to own all")
	leases := a.given()
	restore := p.Inject(proxy.Fault{Command: "renew", Action: proxy.ReplyError, Error: "BUSY Redis is busy running a script"})
	h.eventually(func() bool { return a.saw(api.EventIntakeStopped) }, "intake to stop")
	require.Equal(t, engine.IntakeStopped, a.engine.Stats().Intake)
	require.Positive(t, a.engine.Stats().Late)
	restore()
	h.announce(names(60)[50:]...)
	h.eventually(func() bool { return a.saw(api.EventIntakeResumed) }, "intake to resume")
	h.awaitOwned(names(60)...)
	require.Equal(t, engine.IntakeOpen, a.engine.Stats().Intake)
	requireHeld(t, a, leases)
	h.finish(names(60)...)
}
