package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/notices"
)

var (
	errOtherNumber    = fmt.Errorf("%w: 3, not 2", api.ErrPartitionMismatch)
	errRepartitioning = fmt.Errorf("%w: repartitioning", api.ErrServiceStopped)
)

// The service was deleted by hand and recreated with another number of partitions while an engine ran. Within the interval,
// the engine disowns everything, is not ready, and takes nothing more; everything that was pending for it is requeued.
//
// Trace: it ran on for good, and 195 streams had two owners.
func TestEngineGivesUpEverythingWhenTheServiceChanges(t *testing.T) {
	for _, why := range []error{errOtherNumber, fmt.Errorf("%w: 2", api.ErrFormat), errRepartitioning} {
		bubble(t, 2, func(t *testing.T, h *harness) {
			const n = 100
			h.server.announce(streams(n)...)
			e := h.start(nil)
			advance(5 * time.Second)
			require.Equal(t, n, e.Stats().Held)
			h.server.setAgreement(why)
			advance(agreeEvery + time.Second)
			require.Zero(t, e.Stats().Held)
			require.Zero(t, e.Stats().Live)
			require.Len(t, e.notified(api.Disowned), n, "each owner is notified once")
			for _, x := range e.notified(api.Disowned) {
				require.ErrorIs(t, x.Err, api.ErrLeaseLost)
				require.ErrorIs(t, x.Err, why)
			}
			err := e.Ready(context.Background())
			require.ErrorIs(t, err, api.ErrNotReady)
			require.ErrorIs(t, err, why)
			require.Contains(t, e.events(), api.EventDisagreed)
			require.Contains(t, e.logged(), "level=ERROR")
			for p := range 2 {
				h.server.with(p, func(p *fakePartition) {
					require.Empty(t, p.pending)
					require.Empty(t, p.leases)
					require.Empty(t, p.sessions, "the sessions are closed")
				})
			}
			e.fake.takeCalls()
			h.server.announce("more")
			advance(5 * time.Minute)
			calls := e.fake.takeCalls()
			require.Zero(t, countCalls(calls, "open", "read", "acquire", "beat", "renew"), "nothing is taken")
			require.InDelta(t, 10, countCalls(calls, "confirm"), 2)

			h.server.setAgreement(nil)
			advance(agreeEvery + 15*time.Second)
			require.Equal(t, n+1, e.Stats().Held, "it continues by itself once the service is what it was")
			require.NoError(t, e.Ready(context.Background()))
			require.Contains(t, e.events(), api.EventAgreed)
		})
	}
}

// Nobody answers the agreement check: the record lives on another master, which may be unreachable. Nothing is lost, and
// neither renewals nor reads wait for it.
func TestNoAnswerIsNotADisagreement(t *testing.T) {
	for name, fault := range map[string]fakeFault{"hangs": faultHang, "refuses": faultOOM} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, h *harness) {
				h.server.announce(streams(100)...)
				e := h.start(nil)
				advance(5 * time.Second)
				e.fake.failOnly(fault, "confirm")
				e.fake.takeCalls()
				advance(3 * time.Minute)
				require.Equal(t, 100, e.Stats().Held)
				require.Empty(t, e.notified(api.Disowned))
				require.NoError(t, e.Ready(context.Background()))
				require.LessOrEqual(t, mostPerSecond(e.fake.takeCalls(), "confirm"), 1)
				// A session that is lost meanwhile is replaced, and the new one reads.
				h.server.with(1, func(p *fakePartition) { p.sessions[e.consumer(1)] = 0 })
				advance(15 * time.Second)
				require.Equal(t, 100, e.Stats().Held)
			})
		})
	}
}

// The agreement is checked at an interval, with jitter, by one call per process.
func TestAgreementIsCheckedAtAnInterval(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(5 * time.Second)
		e.fake.takeCalls()
		advance(20 * time.Minute)
		var last time.Time
		n := 0
		for _, c := range e.fake.takeCalls() {
			if c.op != "confirm" {
				continue
			}
			if gap := c.at.Sub(last); n > 0 {
				require.LessOrEqual(t, gap, agreeEvery)
				require.GreaterOrEqual(t, gap, agreeEvery*8/10)
			}
			last = c.at
			n++
		}
		require.InDelta(t, 20*time.Minute/agreeEvery, n, 5)
	})
}

// A new session reads nothing before the agreement was checked after the session was opened. Whoever changes the service
// writes that down first and then looks for sessions, so one of the two sees the other.
func TestNewSessionReadsNothingBeforeTheNextAgreementCheck(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.newEngine()
		e.fake.setFault(func(c *fakeCall) fakeFault {
			if c.op == "open" {
				h.server.setAgreement(errRepartitioning) // between the check of the start and the session
			}
			return fakeFault{}
		})
		e.startRun()
		advance(20 * time.Second)
		calls := e.fake.takeCalls()
		require.NotZero(t, countCalls(calls, "open"))
		require.Zero(t, countCalls(calls, "read", "acquire"))
		require.Empty(t, e.notified(api.Added))
		// Depending on who comes first, the start fails, or the engine runs and is not ready.
		err := e.Ready(context.Background())
		select {
		case <-e.ended:
			err = e.err
		default:
		}
		require.ErrorIs(t, err, api.ErrServiceStopped)
		h.server.with(0, func(p *fakePartition) { require.Empty(t, p.sessions) })
	})
}

// The record is missing while others are alive: the start waits for them to write it again.
func TestStartWaitsForOthersToRewriteTheRecord(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		h.server.setAgreement(fmt.Errorf("%w: 1 alive", api.ErrNoAgreement))
		e := h.start(nil)
		advance(time.Minute)
		require.Zero(t, countCalls(e.fake.takeCalls(), "open"))
		require.Contains(t, e.logged(), "level=ERROR")
		h.server.setAgreement(nil)
		advance(5 * time.Second)
		e.held("s")
	})
}

// A server announces maintenance before the start has its answer, which triggers an immediate beat of a partition.
//
// Trace: that beat opened a session. A start that did not get its answer on the first try could not tell it from that of a
// member who knows the record, and waited for it forever. And where the answer was only slow, nothing was read before the
// interval had passed.
func TestNoSessionIsOpenedBeforeTheStartHasAgreed(t *testing.T) {
	for name, first := range map[string]fakeFault{"slow": {before: 200 * time.Millisecond}, "lost": faultError} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				e := h.newEngine(noticesFrom(h.noticeNode(notices.Options{})))
				asks := 0
				e.fake.setFault(func(c *fakeCall) fakeFault {
					if c.op != "agree" {
						return fakeFault{}
					}
					if asks++; asks == 1 {
						return first
					}
					living := 0
					h.server.with(0, func(p *fakePartition) { living = len(p.sessions) })
					if living > 0 {
						return fakeFault{skip: true, err: fmt.Errorf("%w: %d living", api.ErrNoAgreement, living)}
					}
					return fakeFault{}
				})
				e.startRun()
				advance(5 * time.Second)
				e.held("s")
				calls := e.fake.takeCalls()
				require.Less(t, firstCall(calls, "legacy"), firstCall(calls, "open"))
			})
		})
	}
}

// Each change is reported once, an attempt without an answer changes nothing, and before begin nothing is asked.
func TestAgreementReportsEachChangeOnce(t *testing.T) {
	var answer error
	var reports []string
	report := func(what string) { reports = append(reports, what) }
	a := newAgreement(agreementConfig{
		ask:      func(context.Context) error { report("ask"); return answer },
		refused:  func(error) { report("refused") },
		restored: func() { report("restored") },
		failed:   func(error) { report("failed") },
		random:   func() float64 { return 0 },
	})
	require.Equal(t, agreeEvery, a.attempt(t.Context()))
	require.Empty(t, reports, "the start asks by itself")
	a.begin()
	for _, x := range []struct {
		answer    error
		reports   []string
		next      time.Duration
		disagrees bool
	}{
		{nil, []string{"ask"}, agreeEvery, false},
		{errOtherNumber, []string{"ask", "refused"}, agreeEvery, true},
		{errRepartitioning, []string{"ask"}, agreeEvery, true},
		{errCut, []string{"ask", "failed"}, agreeRetry, true},
		{nil, []string{"ask", "restored"}, agreeEvery, false},
		{errCut, []string{"ask", "failed"}, agreeRetry, false},
	} {
		answer, reports = x.answer, nil
		require.Equal(t, x.next, a.attempt(t.Context()))
		require.Equal(t, x.reports, reports)
		require.Equal(t, x.disagrees, a.disagrees() != nil)
	}
}

// A ticket is for the first attempt that begins after it was taken, not for one that is in flight.
func TestAgreementTicketIsForALaterAttempt(t *testing.T) {
	var a *agreement
	var during []uint64 // tickets taken while an attempt is in flight
	a = newAgreement(agreementConfig{
		ask:    func(context.Context) error { during = append(during, a.ticket()); return nil },
		random: func() float64 { return 0 },
	})
	a.begin()
	before := a.ticket()
	a.attempt(t.Context())
	a.await(t.Context(), before)
	require.Equal(t, before+1, during[0])
	require.Less(t, a.mu.ended, during[0], "its attempt has not ended")
	a.attempt(t.Context())
	a.await(t.Context(), during[0])
}

// firstCall is the index of the first call of a kind, or the number of calls if there is none.
func firstCall(calls []fakeCall, op string) int {
	for i, c := range calls {
		if c.op == op {
			return i
		}
	}
	return len(calls)
}
