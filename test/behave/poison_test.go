package behave_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// times are fields with one name.
func times(n int, field, value string) (fields []string) {
	for range n {
		fields = append(fields, field, value)
	}
	return fields
}

// loseSessions makes all sessions of a party past, as if it had stood still for too long, and waits until it has others.
func (p *party) loseSessions() {
	p.w.t.Helper()
	consumers := p.consumers()
	for n, name := range consumers {
		require.NoError(p.w.t, p.w.do("ZADD", p.w.layout.Keys(n).Sessions, "XX", "1", name).Error())
	}
	until(p.w.t, "it has other sessions", func() bool {
		for n, name := range p.consumers() {
			if name == "" || name == consumers[n] {
				return false
			}
		}
		return p.engine.Ready(context.Background()) == nil
	})
}

// consumers are the names under which a party has open sessions, by partition; empty where it has none.
func (p *party) consumers() []string {
	p.w.t.Helper()
	names := make([]string, p.w.layout.Partitions())
	for n := range names {
		open, err := p.w.do("ZRANGEBYSCORE", p.w.layout.Keys(n).Sessions, "(1", "+inf").AsStrSlice()
		require.NoError(p.w.t, err)
		if len(open) > 0 {
			names[n] = open[len(open)-1]
		}
	}
	return names
}

// TestOneFieldFiveThousandTimesHoldsUpNothing: after a lost session and in an ordinary drain it becomes a dead letter, and
// what is around it is owned, done and handed back.
//
// The dead letter had all 5,000 fields, which Lua cannot unpack. Redis ran 160 scripts a second for that, for ever; Done of
// other streams did not return, and a drain handed back nothing.
func TestOneFieldFiveThousandTimesHoldsUpNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	poison := func(stream string) { w.add(times(5000, "lbs-input", announcementOf(stream, 1))...) }
	w.announce(names("before", 20)...)
	w.add(append([]string{"lbs-input", "malformed"}, times(5000, "lbs-input", announcementOf("x", 1))...)...)
	poison("lost")
	w.announce(names("after", 20)...)
	p := w.start("a", nil)
	p.holds(40)
	w.stateIs(state{Input: 40, Pending: 40, Leases: 40, Sessions: 1, Consumers: 1, Dead: 2})

	p.loseSessions()
	p.holds(40)
	w.stateIs(state{Input: 40, Pending: 40, Leases: 40, Sessions: 1, Consumers: 1, Dead: 2})
	for i := range 20 {
		require.NoError(t, p.lease(fmt.Sprintf("after-%d", i), 2).Done(ctx))
	}

	poison("drained")
	require.NoError(t, p.shutdown())
	w.start("b", nil) // reads it, if the other has not
	w.stateIs(state{Input: 20, Pending: 20, Leases: 20, Sessions: 1, Consumers: 1, Dead: 3})
	var kept []string
	for _, l := range w.deadLetters() {
		require.LessOrEqual(t, len(l), 7)
		kept = append(kept, l["lbs-input"])
	}
	require.ElementsMatch(t, []string{"malformed", announcementOf("lost", 1), announcementOf("drained", 1)}, kept)
}

// TestEntriesWithOurFieldsOnlyHoldUpNoLostSession: such an entry cannot be copied back to the input, and what was lost with
// its session was begun from its first page again and again. Good announcements of a second lost session were never reached:
// they stayed pending for nobody, and the engine said that it was ready.
func TestEntriesWithOurFieldsOnlyHoldUpNoLostSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range w.layout.Partitions() {
		require.NoError(t, w.do("SET", w.layout.Keys(n).DeadLetters, "of another type").Error())
	}
	for range 3 {
		w.add("_reason", "x")
		w.add(times(5000, "_reason", "x")...)
	}
	w.announce(names("good", 20)...)
	p := w.start("a", nil)
	p.holds(20)
	for n := 2; n < 4; n++ {
		p.loseSessions()
		for i := range 20 {
			p.lease(fmt.Sprintf("good-%d", i), n)
		}
		p.holds(20)
	}
	pending := 0
	for n := range w.layout.Partitions() {
		pending += w.pending(n)
	}
	require.Equal(t, 26, pending, "nothing of it is lost")
	require.Positive(t, p.metric("entries_refused_total", "cause", "server"))

	for n := range w.layout.Partitions() {
		require.NoError(t, w.do("DEL", w.layout.Keys(n).DeadLetters).Error())
	}
	w.stateIs(state{Input: 20, Pending: 20, Leases: 20, Sessions: 1, Consumers: 1, Dead: 6})
	for _, l := range w.deadLetters() {
		require.Contains(t, l["_reason"], "malformed: no field lbs-input")
	}
	require.NoError(t, p.shutdown())
	w.stateIs(state{Input: 20, Dead: 6})
}

// TestAnnouncementTooLargeToBeCopiedIsReferredTo: a copy costs the server too much, so a dead letter refers to it, and what is
// around it is owned.
func TestAnnouncementTooLargeToBeCopiedIsReferredTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.announce(names("s", 10)...)
	id, err := w.do("XADD", w.keysOf("heavy").Input, "*", "lbs-input", announcementOf("heavy", 1), "f", strings.Repeat("x", 17<<20)).ToString()
	require.NoError(t, err)
	p := w.start("a", nil)
	p.holds(10)
	w.stateIs(state{Input: 11, Pending: 10, Leases: 10, Sessions: 1, Consumers: 1, Dead: 1})
	letter := w.deadLetters()[0]
	require.Contains(t, letter["_reason"], "too_large: ")
	require.Equal(t, announcementOf("heavy", 1), letter["lbs-input"])
	require.Equal(t, id, letter["_reference"])
	require.NoError(t, p.shutdown())
	w.stateIs(state{Input: 11, Dead: 1})
}
