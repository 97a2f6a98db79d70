package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// ofTTLs are the options of a process with these TTLs.
func ofTTLs(id string, session, leases time.Duration) []Option {
	return []Option{WithConsumerID(id), WithSessionTTL(session), WithLeaseTTL(leases), ungated}
}

// A process has a session TTL of 2 s. Another one starts with 30 s and acquires streams, the server dies, and the replica that
// is promoted knows none of that: it settles for 2 s and gives the streams away. The second process must have disowned them by
// then, though it never reached a server again. (The harness checks that whenever a lease is granted.)
func TestNewSessionTTLIsNotReliedOnBeforeASuccessorKnowsIt(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		old := h.start(nil, ofTTLs("old", 2*time.Second, 30*time.Second)...)
		advance(10 * time.Second)
		old.fake.failOnly(faultError, "read")
		advance(time.Second)
		before := h.server.snapshot()
		h.server.announce(streams(5)...)
		late := h.start(nil, ofTTLs("late", 30*time.Second, 30*time.Second)...)
		advance(time.Second)
		late.kept(5)
		late.fake.failAll(faultHang)
		old.fake.setFault(nil)
		h.server.failover(before)
		advance(5 * time.Second)
		require.Len(t, late.notified(api.Disowned), 5)
		require.Equal(t, 5, old.Stats().Held)
	})
}

// While its TTL is not firm, a process sends beats as often as one with the shorter TTL, and loses nothing. After that, it
// sends them as usual.
func TestBeatsFollowTheShorterTTLUntilTheLongerIsFirm(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.start(nil, ofTTLs("old", 2*time.Second, 30*time.Second)...)
		advance(time.Second)
		h.server.announce(streams(300)...)
		late := h.start(nil, ofTTLs("late", 30*time.Second, 30*time.Second)...)
		// Every second answer is late, by more than half of what the short TTL leaves, but by less than the timeout of an attempt.
		late.fake.failWhen(fakeFault{after: 600 * time.Millisecond}, func(c *fakeCall) bool { return c.at.UnixMilli()/400%2 == 0 })
		advance(1500 * time.Millisecond)
		for n := range 2 {
			require.LessOrEqual(t, late.session(n).Remaining(), 2*time.Second)
		}
		late.fake.setFault(nil)
		advance(5 * time.Second)
		late.fake.takeCalls()
		for n := range 2 {
			require.Greater(t, late.session(n).Remaining(), 25*time.Second)
		}
		advance(10 * time.Second)
		require.LessOrEqual(t, countCalls(late.fake.takeCalls(), "beat"), 2*11, "the usual pace")
		require.Empty(t, late.notified(api.Disowned))
		require.Zero(t, late.countEvents(api.EventSessionLost))
	})
}

// A server is so far away that no answer comes within what the short TTL leaves: sessions are lost until the longer TTL is
// firm, and not after that.
func TestServerTooSlowForTheShorterTTLIsReachedInTheEnd(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.start(nil, ofTTLs("old", 2*time.Second, 30*time.Second)...)
		advance(time.Second)
		late := h.newEngine(ofTTLs("late", 30*time.Second, 30*time.Second)...)
		late.fake.failAll(fakeFault{after: 700 * time.Millisecond})
		late.startRun()
		advance(10 * time.Second)
		lost := late.countEvents(api.EventSessionLost)
		require.Positive(t, lost)
		require.Greater(t, late.session(0).Remaining(), 25*time.Second)
		advance(time.Minute)
		require.Equal(t, lost, late.countEvents(api.EventSessionLost))
	})
}

// A rolling change of either TTL, in both directions. Each step has a failover to a server that misses the last writes, while
// one process is cut off.
func TestRollingChangeOfTTLsWithAFailoverAtEachStep(t *testing.T) {
	type ttls struct{ session, lease time.Duration }
	for _, c := range []struct{ from, to ttls }{
		{ttls{2 * time.Second, 30 * time.Second}, ttls{30 * time.Second, 30 * time.Second}},
		{ttls{30 * time.Second, 30 * time.Second}, ttls{2 * time.Second, 30 * time.Second}},
		{ttls{2 * time.Second, 2 * time.Second}, ttls{2 * time.Second, time.Minute}},
		{ttls{2 * time.Second, time.Minute}, ttls{2 * time.Second, 2 * time.Second}},
		{ttls{3 * time.Second, 5 * time.Second}, ttls{10 * time.Second, 40 * time.Second}},
		{ttls{10 * time.Second, 40 * time.Second}, ttls{3 * time.Second, 5 * time.Second}},
	} {
		t.Run(fmt.Sprintf("%v to %v", c.from, c.to), func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				draw := rand.New(rand.NewPCG(3, uint64(c.from.session+c.to.lease)))
				shorter := min(c.from.session, c.to.session)
				started := 0
				begin := func(x ttls) *testEngine {
					started++
					return h.start(nil, ofTTLs(fmt.Sprint("p", started), x.session, x.lease)...)
				}
				fleet := []*testEngine{begin(c.from), begin(c.from), begin(c.from)}
				h.server.announce(streams(30)...)
				advance(30 * time.Second)
				taken, announced := 0, 30
				for step := range 7 {
					n := step % len(fleet)
					fleet[n].halt()
					for _, e := range fleet {
						e.fake.failOnly(faultError, "read") // so that what is announced goes to the one that starts
					}
					advance(5 * time.Second)
					// What is written from here on is lost; this lasts for less than the shorter session TTL.
					before := h.server.snapshot()
					x := c.to
					if step >= 3 && draw.IntN(2) == 0 {
						x = c.from // back and forth
					}
					fleet[n] = begin(x)
					for i := range 10 {
						h.server.announce(fmt.Sprintf("new%d-%d", step, i))
					}
					announced += 10
					advance(shorter/4 + time.Duration(draw.Int64N(int64(shorter/2))))
					cut := fleet[n]
					if draw.IntN(3) == 0 {
						cut = fleet[draw.IntN(len(fleet))]
					}
					taken += cut.Stats().Held
					for _, e := range fleet {
						e.fake.setFault(nil)
					}
					cut.fake.failAll(faultHang)
					h.server.failover(before)
					advance(time.Duration(draw.Int64N(int64(c.from.session + c.to.session))))
					cut.fake.setFault(nil)
					advance(time.Duration(draw.Int64N(int64(30 * time.Second))))
				}
				require.Positive(t, taken, "engines that were cut off held streams")
				advance(2 * time.Minute)
				held := 0
				for _, e := range fleet {
					held += e.Stats().Held
				}
				require.Equal(t, announced, held)
			})
		})
	}
}
