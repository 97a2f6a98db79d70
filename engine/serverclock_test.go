package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// setAhead has the server's clock be ahead of the bubble's.
func (s *fakeServer) setAhead(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = d
}

// serverAhead is by how much the engine takes the server's clock to be ahead.
func (e *testEngine) serverAhead(partition int) time.Duration {
	now, known := e.ServerTime(partition)
	require.True(e.h.t, known)
	return time.Until(now).Round(10 * time.Microsecond) // servers tell microseconds
}

// The server's time is known from the first session on, of no partition that has none, and goes on by itself between two answers.
func TestServerTimeIsKnownOnceThereWasASession(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.server.setAhead(-time.Hour)
		e := h.newEngine()
		for p := range 2 {
			now, known := e.ServerTime(p)
			require.False(t, known)
			require.Zero(t, now)
		}
		e.fake.failWhen(faultError, func(c *fakeCall) bool { return c.partition == 1 })
		e.startRun()
		advance(time.Second)
		require.Equal(t, -time.Hour, e.serverAhead(0))
		for _, p := range []int{-1, 1, 2} {
			_, known := e.ServerTime(p)
			require.False(t, known, "partition %d", p)
		}
		e.fake.setFault(nil)
		advance(10 * time.Second)
		require.Equal(t, -time.Hour, e.serverAhead(1))

		e.fake.takeCalls()
		last, _ := e.ServerTime(0)
		for range 99 {
			time.Sleep(time.Millisecond)
			now, _ := e.ServerTime(0)
			require.Equal(t, last.Add(time.Millisecond), now)
			last = now
		}

		// Nobody answers any more, the session is lost, and time goes on.
		e.fake.failAll(faultHang)
		advance(time.Hour)
		_, known := e.ServerTime(0)
		require.True(t, known)
		require.Equal(t, -time.Hour, e.serverAhead(0))
	})
}

// Renewals tell the time as beats do, in whatever number of batches.
func TestRenewalsTellTheServersTime(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil, WithPipeline(lease.Pipeline{MaxBatch: 16}))
		h.server.announce(streams(1000)...)
		advance(5 * time.Second)
		e.kept(1000)
		h.server.setAhead(time.Minute)
		e.fake.takeCalls()
		advance(1500 * time.Millisecond)
		calls := e.fake.takeCalls()
		require.Positive(t, countCalls(calls, "renew"))
		require.Zero(t, countCalls(calls, "beat"))
		require.Equal(t, time.Minute, e.serverAhead(0))
		require.LessOrEqual(t, len(e.partitions[0].serverClock.mu.samples), countCalls(calls, "renew"), "one a pipeline")
	})
}

// A clock that runs fast or slow is followed.
func TestServerTimeFollowsADrift(t *testing.T) {
	for _, drift := range []time.Duration{time.Millisecond, -time.Millisecond} { // a second: ten times what clocks do
		bubble(t, 1, func(t *testing.T, h *harness) {
			e := h.start(nil)
			delayed(e, "beat", 3*time.Millisecond)
			for i := range 300 {
				h.server.setAhead(time.Duration(i) * drift)
				advance(time.Second)
				require.InDelta(t, time.Duration(i)*drift, e.serverAhead(0), float64((clockSamples+1)*time.Millisecond+3*time.Millisecond/2))
			}
		})
	}
}

// A clock that is set, forward or back, is followed with the next answer; by little, within eight.
func TestServerTimeFollowsAStep(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 110 * time.Millisecond, -110 * time.Millisecond} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			e := h.start(nil)
			advance(20 * time.Second)
			h.server.setAhead(step)
			advance(1100 * time.Millisecond)
			require.Equal(t, step, e.serverAhead(0))
			h.server.setAhead(step - 50*time.Millisecond)
			advance((clockSamples + 1) * 1100 * time.Millisecond)
			require.Equal(t, step-50*time.Millisecond, e.serverAhead(0))
			h.server.setAhead(0)
			advance((clockSamples + 1) * 1100 * time.Millisecond)
			require.Zero(t, e.serverAhead(0))
		})
	}
}

// Answers that take long say little, and do not count while there is a better one; where all take long, the time is off by half a round trip at
// most.
func TestServerTimeOfSlowAnswers(t *testing.T) {
	const slow = 800 * time.Millisecond
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(10 * time.Second)
		delayed(e, "beat", slow)
		advance(3 * time.Second)
		require.Zero(t, e.serverAhead(0), "a better answer is remembered")
		advance(time.Minute)
		require.Equal(t, -slow/2, e.serverAhead(0))
		h.server.setAhead(time.Minute)
		advance(3 * time.Second)
		require.InDelta(t, time.Minute, e.serverAhead(0), float64(slow/2))
		delayed(e, "beat", 0)
		advance(3 * time.Second)
		require.Equal(t, time.Minute, e.serverAhead(0))
	})
}

// The server that takes over has a clock of its own, which counts at once, however little it differs.
func TestServerTimeAfterAFailover(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.start(nil)
		h.server.announce(h.streamIn(0, 0))
		advance(20 * time.Second)
		h.server.restart(false)
		h.server.setAhead(40 * time.Millisecond)
		advance(1100 * time.Millisecond)
		for p := range 2 {
			require.Equal(t, 40*time.Millisecond, e.serverAhead(p))
		}
		require.Empty(t, e.notified(api.Disowned))
	})
}

// Trace: the answer to a beat is on its way while the clock is set and a later one is answered. It says what was, and must not count.
func TestAnAnswerThatWasOvertakenDoesNotCount(t *testing.T) {
	c := &serverClock{}
	second := int64(time.Second)
	c.add("a", clockSample{sent: 10 * second, received: 10*second + 1000, server: 110*second + 500})
	c.add("a", clockSample{sent: 12 * second, received: 12*second + 1000, server: 212*second + 500})
	c.add("a", clockSample{sent: 11 * second, received: 13 * second, server: 111 * second})
	ahead, known := c.ahead()
	require.True(t, known)
	require.Equal(t, 200*second, ahead)
	c.answered(lease.Beat{}, 14*second, 14*second)
	again, _ := c.ahead()
	require.Equal(t, ahead, again, "an answer without a time")
}

// Whatever answers come, the estimate is off by no more than half of the shortest round trip since the last step that shows, and steps show
// in the first answer that they are greater than.
func TestServerClockModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &serverClock{}
		now, ahead, server := int64(0), rapid.Int64Range(-1e18, 1e18).Draw(t, "ahead"), "a"
		var trips []int64 // of the answers since the last step
		for range rapid.IntRange(1, 60).Draw(t, "answers") {
			now += rapid.Int64Range(1, 2e9).Draw(t, "pause")
			step := rapid.SampledFrom([]int64{0, 0, 0, 0, 5e9, -5e9, 1e15}).Draw(t, "step")
			if step != 0 {
				ahead, trips = ahead+step, nil
			}
			if rapid.IntRange(0, 9).Draw(t, "failover") == 0 {
				server, trips = server+"'", nil
				ahead += rapid.Int64Range(-1e8, 1e8).Draw(t, "other clock")
			}
			sent := now
			there, back := rapid.Int64Range(0, 1e9).Draw(t, "there"), rapid.Int64Range(0, 1e9).Draw(t, "back")
			now += there + back
			c.add(server, clockSample{sent: sent, received: now, server: sent + there + ahead})
			trips = append(trips, there+back)
			shortest := int64(1 << 62)
			for _, trip := range trips[max(len(trips)-clockSamples, 0):] {
				shortest = min(shortest, trip)
			}
			got, known := c.ahead()
			if !known || max(got-ahead, ahead-got) > shortest/2+1 {
				t.Fatalf("it is %d ahead, and taken for %d (%v) with a round trip of %d", ahead, got, known, shortest)
			}
		}
	})
}

// Reading the time is for loops that look at it often.
func TestServerTimeAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Engine{env: env{clock: lease.NewClock()}, partitions: []*partition{newPartition(0, "c")}}
		e.partitions[0].serverClock.add("", clockSample{sent: 1, received: 2, server: 3})
		require.Zero(t, testing.AllocsPerRun(100, func() { e.ServerTime(0) }))
	})
}
