package engine

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// link makes calls take the time that their bytes take on a link, one after the other as on one connection: a call that was
// sent and is no longer waited for is still in the way. size is what a lease weighs.
type link struct {
	perSecond float64
	size      int

	mu      sync.Mutex
	free    time.Time
	slowest map[string]time.Duration // by kind of call: the longest wait for others and for its own bytes
}

func (l *link) fault(c *fakeCall) fakeFault {
	if c.op != "renew" && c.op != "beat" && c.op != "open" {
		return fakeFault{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(200+c.n*l.size) / l.perSecond * 1e9))
	wait := l.free.Sub(now)
	if l.slowest == nil {
		l.slowest = make(map[string]time.Duration)
	}
	l.slowest[c.op] = max(l.slowest[c.op], wait)
	return fakeFault{before: wait}
}

const fiftyMegabit, tenMegabit = 6.25e6, 1.25e6

// large are n names of 60 KiB that belong to one partition.
func (h *harness) large(partition, n int) (out []string) {
	tail := "{" + h.streamIn(partition, 0) + "}" + strings.Repeat("x", 60<<10) // the hash tag decides the partition
	for i := range n {
		out = append(out, fmt.Sprint(i, tail))
	}
	return out
}

// After a restart of Redis everything is renewed at once.
//
// Trace: 4,000 names of 64 KiB on a link of 1 Gbit/s were one pipeline of 256 MB with the beat in it. It had no answer within
// the timeout, was sent again behind itself, and in the end everybody was disowned. Here there are fewer names, on a link of a
// twentieth of that.
func TestBeatDoesNotWaitBehindRenewals(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		const n, size = 150, 60 << 10
		h.server.announce(h.large(0, n)...)
		h.server.announce(h.streamIn(1, 0))
		e := h.start(nil)
		advance(5 * time.Second)
		require.Equal(t, n+1, e.Stats().Held)
		l := &link{perSecond: fiftyMegabit, size: size}
		e.fake.setFault(l.fault)
		h.server.restart(false)
		advance(25 * time.Second)
		require.Zero(t, len(e.notified(api.Disowned)))
		require.Equal(t, n+1, e.Stats().Held)
		require.NotContains(t, e.events(), api.EventRedisUnreachable)
		// The formula in inflight.go.
		bytes := float64(laneWeight + e.cfg.pipeline.MaxInFlight*smallWave)
		require.Less(t, l.slowest["beat"], time.Duration(bytes/fiftyMegabit*1e9))
	})
}

// On a link that is too slow for the largest wave, waves shrink until they get through.
func TestWavesShrinkToFitTheLink(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 20
		h.server.announce(h.large(0, n)...)
		e := h.start(nil)
		advance(5 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		l := &link{perSecond: tenMegabit / 3, size: 60 << 10} // one lease per 160 ms
		e.fake.setFault(l.fault)
		h.server.restart(false)
		advance(time.Minute)
		require.Zero(t, len(e.notified(api.Disowned)))
		require.Equal(t, n, e.Stats().Held)
	})
}

// Smaller waves get an answer no sooner where what is slow is not the link but a server, or a process, without a processor.
//
// Trace: 5,000 leases, each call answered after three fifths of the timeout. Each wave was half of the one before, down to eight leases, and
// 4,626 ended within two minutes although every call succeeded.
func TestWavesDoNotShrinkWhereThatIsNoFaster(t *testing.T) {
	const timeout = 2 * time.Second
	w := waveState{maxWeight: waveWeight, beaten: timeout * 3 / 5}
	for range 10 * fits {
		w.latency = timeout * 3 / 5
		w.fit(w.maxWeight, true, timeout)
	}
	require.Equal(t, waveWeight, w.maxWeight)
}

// A wave that has no answer is halved, and grows again although answers stay slow, if they are no slower than that of a beat.
func TestWavesGrowAgainWhereAnswersStaySlow(t *testing.T) {
	const timeout = 2 * time.Second
	w := waveState{maxWeight: waveWeight, beaten: timeout * 3 / 5}
	for range 20 {
		w.latency = timeout
		w.fit(w.maxWeight, false, timeout)
	}
	require.Equal(t, leastWave, w.maxWeight)
	for range 10 * fits {
		w.latency = timeout * 3 / 5
		w.fit(w.maxWeight, true, timeout)
	}
	require.Equal(t, waveWeight, w.maxWeight)
	w.latency = timeout*3/5 + timeout*2/3 // what is more than a beat takes comes from the weight
	w.fit(w.maxWeight, true, timeout)
	require.Equal(t, waveWeight/2, w.maxWeight)
}

// What one partition costs does not disturb others: small renewals and beats continue while another partition of the same
// master has more to renew than the link carries.
func TestPartitionWithLargeNamesDisturbsNoOther(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.server.announce(h.large(0, 100)...)
		var small []string
		for i := range 100 {
			small = append(small, h.streamIn(1, i))
		}
		h.server.announce(small...)
		e := h.start(nil)
		advance(5 * time.Second)
		require.Equal(t, 200, e.Stats().Held)
		e.fake.takeCalls()
		// 6 MB per interval of 10 s, of which the link carries half.
		l := &link{perSecond: tenMegabit / 4, size: 60 << 10}
		e.fake.setFault(func(c *fakeCall) fakeFault {
			if c.partition == 1 {
				size := *c
				size.n = 0
				return l.fault(&size)
			}
			return l.fault(c)
		})
		advance(2 * time.Minute)
		for _, x := range e.notified(api.Disowned) {
			require.NotContains(t, small, x.Stream)
		}
		require.NotContains(t, e.events(), api.EventSessionLost)
		var last time.Time
		for _, c := range e.fake.takeCalls() {
			if c.partition == 1 && (c.op == "beat" || c.op == "renew") {
				require.NoError(t, c.err)
				if !last.IsZero() {
					require.LessOrEqual(t, c.at.Sub(last), e.cfg.beat+time.Second/2)
				}
				last = c.at
			}
		}
	})
}

// With more partitions than may send large renewals at once, none stops beating: a wave that waits for room does not occupy a
// goroutine, and no partition sends a second wave before the others had their turn.
func TestPartitionsWaitingForRoomKeepBeating(t *testing.T) {
	const partitions = 2 * lease.DefaultMaxInFlight
	bubble(t, partitions, func(t *testing.T, h *harness) {
		for n := range partitions {
			h.server.announce(h.large(n, 4)...)
		}
		e := h.start(nil)
		advance(5 * time.Second)
		require.Equal(t, 4*partitions, e.Stats().Held)
		l := &link{perSecond: tenMegabit, size: 60 << 10}
		e.fake.setFault(l.fault)
		h.server.restart(false)
		began := time.Now()
		e.fake.takeCalls()
		advance(20 * time.Second)
		require.Zero(t, len(e.notified(api.Disowned)))
		require.NotContains(t, e.events(), api.EventRedisUnreachable)
		last := make(map[int]time.Time)
		for _, c := range e.fake.takeCalls() {
			if c.op == "beat" || c.op == "renew" {
				if last[c.partition].IsZero() {
					last[c.partition] = began
				}
				require.Less(t, c.ended.Sub(last[c.partition]), 3*e.cfg.beat, "partition %d", c.partition)
				last[c.partition] = c.at
			}
		}
		require.Len(t, last, partitions)
	})
}
