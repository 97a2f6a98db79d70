package engine

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Announcements in the wrong partition cannot be copied to their own, since its master is unreachable.
//
// Trace: the reader waited for it, and nothing was taken from its own partition any more.
func TestForwardingToAnUnreachableMasterBlocksNoReader(t *testing.T) {
	bubble(t, 3, func(t *testing.T, h *harness) {
		e := h.start(nil)
		for name, fault := range map[string]fakeFault{"hang": faultHang, "error": faultError} {
			misrouted, own := h.streamIn(1, len(name)), h.streamIn(0, len(name))
			e.fake.failOnly(fault, "copy")
			h.server.add(0, fakeBody(misrouted))
			advance(100 * time.Millisecond)
			h.server.add(0, fakeBody(own))
			advance(5 * time.Second)
			require.NotNil(t, e.held(own), name)
			require.Nil(t, e.table.Get(misrouted), name)
			e.fake.setFault(nil)
			advance(time.Minute)
			require.NotNil(t, e.held(misrouted), name)
		}
	})
}

// All announcements are in one partition, half of them misrouted ones for the partitions of a master that hangs.
//
// Trace: these partitions were tried one after the other, each until a call timed out, and the reader's own entries waited for
// all of them.
func TestForwardingToManyPartitionsOfAHungMasterBlocksNoReader(t *testing.T) {
	const partitions, each = 24, 20
	bubble(t, partitions, func(t *testing.T, h *harness) {
		e := h.start(nil)
		const hung = partitions / 2 // the first of those on the master that hangs
		e.assign(func(p int) int { return p / hung })
		advance(5 * time.Second)
		var mu sync.Mutex
		away := make(map[string]bool) // entries of those partitions
		e.fake.setFault(func(c *fakeCall) fakeFault {
			mu.Lock()
			defer mu.Unlock()
			if c.op == "copy" && away[c.entries[0]] || c.partition >= hung {
				return faultHang
			}
			return fakeFault{}
		})
		mu.Lock()
		for i := range each {
			for p := range partitions {
				away[h.server.add(0, fakeBody(h.streamIn(p, i)))] = p >= hung
			}
		}
		mu.Unlock()
		advance(5 * time.Second)
		for i := range each {
			require.NotNil(t, e.held(h.streamIn(0, i)), i)
		}
		h.server.announce(h.streamIn(0, each))
		advance(5 * time.Second)
		require.NotNil(t, e.held(h.streamIn(0, each)))
		for i := range each {
			require.NotNil(t, e.held(h.streamIn(hung-1, i)), "its master answers")
		}
		e.fake.setFault(nil)
		advance(3 * time.Minute)
		require.Equal(t, partitions*each+1, e.Stats().Held)
	})
}

// An entry that cannot be read whole here says nothing about the master that it belongs to: others are forwarded there. Only a
// copy without an answer does.
func TestForwardingBacksOffOnlyFromAMasterThatDoesNotAnswer(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(time.Second)
		for op, away := range map[string]bool{"whole": false, "copy": true} {
			e.fake.failOnly(faultError, op)
			x, err := lease.ParseEntry(h.layout, 0, "1-1", fakeBody(h.streamIn(1, 0)))
			require.NoError(t, err)
			x.Fields = len(x.Body) + 1
			require.True(t, x.Cut())
			delay := e.reader.intake.forwarder.forwardBatch(t.Context(), e.session(0), e.partitions[1], []*lease.Entry{&x})
			require.Equal(t, away, delay > 0, op)
		}
	})
}

// Trace: a stream whose forwarding was never answered was copied over and over.
func TestCopyWithALostAnswerIsMadeOnce(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.start(nil)
		const n = 300
		for i := range n {
			h.server.add(0, fakeBody(h.streamIn(1, i)))
		}
		lost := 0
		e.fake.setFault(func(c *fakeCall) fakeFault {
			if c.op == "copy" && lost < 2 {
				lost++
				return faultLose
			}
			return fakeFault{}
		})
		advance(time.Minute)
		require.Equal(t, 2, lost)
		require.Equal(t, n, e.Stats().Held)
		require.Zero(t, e.Stats().Parked, "none is announced twice")
		undelivered, pending, later, _ := h.server.count()
		require.Equal(t, []int{0, n, 0}, []int{undelivered, pending, later})
	})
}

// Where no answer ever comes, each attempt leaves a duplicate, so attempts become rarer and rarer.
func TestUnansweredCopiesBackOff(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.start(nil)
		e.fake.failOnly(faultLose, "copy")
		h.server.add(0, fakeBody(h.streamIn(1, 0)))
		advance(time.Hour)
		calls := countCalls(e.fake.takeCalls(), "copy")
		require.Less(t, calls, 30)
		require.Greater(t, calls, 8)
		advance(time.Hour)
		require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "copy"), 13)
	})
}
