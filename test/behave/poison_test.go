package behave_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// times returns one field n times.
func times(n int, field, value string) (fields []string) {
	for range n {
		fields = append(fields, field, value)
	}
	return fields
}

// loseSessions lets all sessions of a member expire, as if it had been stopped for too long, and waits until it has new ones.
func (m *member) loseSessions() {
	m.h.t.Helper()
	consumers := m.consumers()
	for n, name := range consumers {
		require.NoError(m.h.t, m.h.do("ZADD", m.h.layout.Keys(n).Sessions, "XX", "1", name).Error())
	}
	until(m.h.t, "it has new sessions", func() bool {
		for n, name := range m.consumers() {
			if name == "" || name == consumers[n] {
				return false
			}
		}
		return m.engine.Ready(context.Background()) == nil
	})
}

// consumers returns the names under which a member has open sessions, by partition; empty where it has none.
func (m *member) consumers() []string {
	m.h.t.Helper()
	names := make([]string, m.h.layout.Partitions())
	for n := range names {
		open, err := m.h.do("ZRANGEBYSCORE", m.h.layout.Keys(n).Sessions, "(1", "+inf").AsStrSlice()
		require.NoError(m.h.t, err)
		if len(open) > 0 {
			names[n] = open[len(open)-1]
		}
	}
	return names
}

// TestOneFieldFiveThousandTimesBlocksNothing: after a lost session and in an ordinary drain it becomes a dead letter, and the
// entries around it are owned, done and requeued.
//
// The dead letter used to get all 5,000 fields, which Lua cannot unpack. Redis ran 160 scripts a second because of that, forever;
// Done of other streams did not return, and a drain requeued nothing.
func TestOneFieldFiveThousandTimesBlocksNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	poison := func(stream string) { h.add(times(5000, "lbs-input", announcementOf(stream, 1))...) }
	h.announce(names("before", 20)...)
	h.add(append([]string{"lbs-input", "malformed"}, times(5000, "lbs-input", announcementOf("x", 1))...)...)
	poison("lost")
	h.announce(names("after", 20)...)
	m := h.start("a", nil)
	m.holds(40)
	h.stateIs(state{Input: 40, Pending: 40, Leases: 40, Sessions: 1, Consumers: 1, Dead: 2})

	m.loseSessions()
	m.holds(40)
	h.stateIs(state{Input: 40, Pending: 40, Leases: 40, Sessions: 1, Consumers: 1, Dead: 2})
	for i := range 20 {
		require.NoError(t, m.lease(fmt.Sprintf("after-%d", i), 2).Done(ctx))
	}

	poison("drained")
	require.NoError(t, m.shutdown())
	h.start("b", nil) // reads it if the other has not
	h.stateIs(state{Input: 20, Pending: 20, Leases: 20, Sessions: 1, Consumers: 1, Dead: 3})
	var kept []string
	for _, l := range h.deadLetters() {
		require.LessOrEqual(t, len(l), 7)
		kept = append(kept, l["lbs-input"])
	}
	require.ElementsMatch(t, []string{"malformed", announcementOf("lost", 1), announcementOf("drained", 1)}, kept)
}

// TestEntriesWithOurFieldsOnlyBlockNoLostSession: such an entry cannot be copied back to the input, and the recovery of its lost
// session used to start over from the first page forever. Valid announcements of a second lost session were never reached: they
// stayed pending without a live consumer, and the engine reported that it was ready.
func TestEntriesWithOurFieldsOnlyBlockNoLostSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for n := range h.layout.Partitions() {
		require.NoError(t, h.do("SET", h.layout.Keys(n).DeadLetters, "of another type").Error())
	}
	for range 3 {
		h.add("_reason", "x")
		h.add(times(5000, "_reason", "x")...)
	}
	h.announce(names("good", 20)...)
	m := h.start("a", nil)
	m.holds(20)
	for n := 2; n < 4; n++ {
		m.loseSessions()
		for i := range 20 {
			m.lease(fmt.Sprintf("good-%d", i), n)
		}
		m.holds(20)
	}
	pending := 0
	for n := range h.layout.Partitions() {
		pending += h.pending(n)
	}
	require.Equal(t, 26, pending, "nothing is lost")
	require.Positive(t, m.metric("entries_refused_total", "cause", "server"))

	for n := range h.layout.Partitions() {
		require.NoError(t, h.do("DEL", h.layout.Keys(n).DeadLetters).Error())
	}
	h.stateIs(state{Input: 20, Pending: 20, Leases: 20, Sessions: 1, Consumers: 1, Dead: 6})
	for _, l := range h.deadLetters() {
		require.Contains(t, l["_reason"], "malformed: no field lbs-input")
	}
	require.NoError(t, m.shutdown())
	h.stateIs(state{Input: 20, Dead: 6})
}

// TestAnnouncementTooLargeToBeCopiedIsReferredTo: a copy would cost the server too much, so a dead letter refers to the entry, and
// the entries around it are owned.
func TestAnnouncementTooLargeToBeCopiedIsReferredTo(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.announce(names("s", 10)...)
	id, err := h.do("XADD", h.keysOf("heavy").Input, "*", "lbs-input", announcementOf("heavy", 1), "f", strings.Repeat("x", 17<<20)).ToString()
	require.NoError(t, err)
	m := h.start("a", nil)
	m.holds(10)
	h.stateIs(state{Input: 11, Pending: 10, Leases: 10, Sessions: 1, Consumers: 1, Dead: 1})
	letter := h.deadLetters()[0]
	require.Contains(t, letter["_reason"], "too_large: ")
	require.Equal(t, announcementOf("heavy", 1), letter["lbs-input"])
	require.Equal(t, id, letter["_reference"])
	require.NoError(t, m.shutdown())
	h.stateIs(state{Input: 11, Dead: 1})
}
