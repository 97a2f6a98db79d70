package engine

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// slowServer renews so many leases per second and no more, one call after the other.
type slowServer struct {
	mu   sync.Mutex
	rate float64
	free time.Time
}

func (s *slowServer) set(rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate = rate
}

func (s *slowServer) fault(c *fakeCall) fakeFault {
	if c.op != "renew" {
		return fakeFault{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(time.Duration(float64(c.n) / s.rate * 1e9))
	return fakeFault{before: s.free.Sub(now)}
}

// A server becomes too slow to keep up with what is held and what comes. Intake is slowed, then stops and reports it, long
// before anything is lost, and resumes when the server is fast again.
//
// Trace: a process with 1,000,000 streams kept acquiring what it had lost until it held nothing.
func TestIntakeStopsBeforeAnythingIsLost(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(4000)...)
		e := h.start(nil)
		advance(15 * time.Second)
		require.Equal(t, IntakeOpen, e.Stats().Intake)
		server := &slowServer{rate: 250} // of the 420 per second that are needed
		e.fake.setFault(server.fault)
		h.server.announce(streams(12_000)[4000:]...)
		var seen []Intake
		for range 60 {
			advance(time.Second / 2)
			s := e.Stats()
			if len(seen) == 0 || seen[len(seen)-1] != s.Intake {
				seen = append(seen, s.Intake)
			}
			if s.Intake == IntakeStopped {
				break
			}
		}
		require.Equal(t, []Intake{IntakeOpen, IntakeSlowed, IntakeStopped}, seen)
		require.Contains(t, e.events(), api.EventIntakeStopped)
		require.Zero(t, len(e.notified(api.Disowned)))
	})
}

// Renewals that were late for a while stop nothing once they are on time.
func TestIntakeResumesWhenRenewalsAreOnTime(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 4000
		h.server.announce(streams(n)...)
		e := h.start(nil, ungated)
		advance(15 * time.Second)
		server := &slowServer{rate: 200}
		e.fake.setFault(server.fault)
		for e.Stats().Intake != IntakeStopped {
			advance(100 * time.Millisecond)
			require.Zero(t, len(e.notified(api.Disowned)))
		}
		require.NoError(t, e.Ready(context.Background()), "not at once")
		require.Greater(t, e.Stats().Late, e.pressure.stop)
		h.server.announce(streams(2 * n)[n:]...)
		advance(5 * time.Second)
		require.LessOrEqual(t, e.Stats().Held, n+e.cfg.readBatch, "only what a read had been promised")
		server.set(10_000)
		advance(10 * time.Second)
		require.Equal(t, IntakeOpen, e.Stats().Intake)
		require.Equal(t, 2*n, e.Stats().Held)
		require.Zero(t, len(e.notified(api.Disowned)))
		require.Equal(t, 1, e.countEvents(api.EventIntakeStopped))
		require.Equal(t, 1, e.countEvents(api.EventIntakeResumed))
	})
}

// With a server that stays too slow, the engine keeps what it can renew, instead of losing everything; the process is not
// ready.
func TestOverloadedEngineKeepsWhatItCanRenew(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 4000
		h.server.announce(streams(n)...)
		e := h.start(nil, ungated)
		advance(15 * time.Second)
		server := &slowServer{rate: 100}
		e.fake.setFault(server.fault)
		unready := 0
		for i := range 300 {
			advance(time.Second)
			if e.Ready(context.Background()) != nil {
				unready++
			}
			if i > 60 {
				// 100 per second are 2,900 leases in the 29 s for which a lease is trusted.
				require.Greater(t, e.Stats().Held, 2000)
			}
		}
		require.Positive(t, unready)
		require.NotContains(t, e.events(), api.EventSessionLost)
		server.set(10_000)
		advance(time.Minute)
		require.Equal(t, n, e.Stats().Held)
		require.NoError(t, e.Ready(context.Background()))
	})
}

// A stream is renewed for the first time an interval after it was acquired: until then its cost is not known. So streams are
// acquired in steps.
func TestIntakeWaitsForFirstRenewals(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		const n = 8000
		h.server.announce(streams(n)...)
		e := h.newEngine(WithReadBatch(100), ungated)
		e.pressure.minTrial = 500
		e.startRun()
		held := 0
		for range 1000 {
			advance(100 * time.Millisecond)
			now := e.table.Len()
			// Each reader acquires what one read brought while the next is in flight.
			require.LessOrEqual(t, e.table.Young(), max(500, now/trialShare)+2*2*100)
			if held = now; held == n {
				break
			}
			require.Equal(t, IntakeSlowed, e.Stats().Intake)
		}
		require.Equal(t, n, held)
		advance(15 * time.Second)
		require.Zero(t, e.table.Young())
		require.Equal(t, IntakeOpen, e.Stats().Intake)
	})
}

// The longer leases last without a renewal, the more may be new: it is the rate of renewals that is limited.
func TestNewStreamsAreLimitedByTheRateOfRenewals(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		require.Equal(t, 100_000, h.newEngine().pressure.minTrial)
		require.Equal(t, 100_000, h.newEngine(WithLeaseTTL(15*time.Second)).pressure.minTrial)
		require.Equal(t, 1_000_000, h.newEngine(WithLeaseTTL(5*time.Minute)).pressure.minTrial)
	})
}

// An outage that is no danger to any lease does not stop intake, and leaves nothing behind.
func TestShortOutageDoesNotStopIntake(t *testing.T) {
	for name, fault := range map[string]fakeFault{"hangs": faultHang, "fails": faultError, "loses answers": faultLose} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce(streams(1000)...)
				e := h.start(nil)
				advance(20 * time.Second)
				e.fake.failAll(fault)
				advance(4 * time.Second)
				e.fake.setFault(nil)
				h.server.announce(streams(1100)[1000:]...)
				advance(30 * time.Second)
				require.Equal(t, 1100, e.Stats().Held)
				require.Equal(t, IntakeOpen, e.Stats().Intake)
				require.Less(t, e.Stats().Late, time.Second)
				require.NotContains(t, e.events(), api.EventIntakeStopped)
			})
		})
	}
}

// Leases whose renewals fail until they are lost, while beats succeed, leave no lateness behind that nothing would ever end.
func TestLatenessEndsWithTheLeases(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(100)...)
		e := h.start(nil)
		advance(10 * time.Second)
		e.fake.failOnly(fakeFault{skip: true, err: errorReply("BUSY")}, "renew", "acquire")
		for e.Stats().Held > 0 {
			advance(time.Second)
		}
		advance(3 * time.Second)
		require.Zero(t, e.Stats().Late)
		require.Equal(t, IntakeOpen, e.Stats().Intake)
		e.fake.setFault(nil)
		advance(time.Minute)
		require.Equal(t, 100, e.Stats().Held)
	})
}

func TestIntakeReportsWhyNothingIsTaken(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		block := make(chan struct{})
		h.server.announce(streams(20)...)
		e := h.start(func(ctx context.Context, n api.Notification) error {
			if n.Kind == api.Added {
				<-block
			}
			return nil
		}, WithMaxStreams(10), WithReadBatch(2), WithWorkers(1))
		advance(time.Second)
		require.Equal(t, IntakeBehind, e.Stats().Intake)
		close(block)
		advance(time.Second)
		require.Equal(t, IntakeFull, e.Stats().Intake)
		require.Equal(t, "full", e.Stats().Intake.String())
		e.SetMaxStreams(0)
		advance(time.Second)
		require.Equal(t, IntakeOpen, e.Stats().Intake)
		require.NoError(t, e.Ready(context.Background()))
		require.Equal(t, "Intake(9)", Intake(9).String())
	})
}
