package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// Trace: the server refused one member of later. The others waited for the next beat, page by page.
func TestPromotionContinuesPastARefusedMember(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(time.Second)
		e.fake.failOnly(fakeFault{err: fmt.Errorf("%w: 1, the first: %w", lease.ErrSetAside, errorReply(tooMany))}, "promote")
		h.server.with(0, func(p *fakePartition) {
			for _, s := range streams(1000) {
				p.later = append(p.later, &fakeLater{due: nowMilli(), body: fakeBody(s)})
			}
		})
		advance(2 * time.Second)
		require.Equal(t, 1000, e.Stats().Held)
		require.Contains(t, e.logged(), "promoting fails")
		require.Less(t, countCalls(e.fake.takeCalls(), "promote"), 10)
	})
}

// prompt is how late what is delayed may be in these tests: what beats say is exact to 40 ms, and a lone process waits for another
// 40 at most.
const prompt = 100 * time.Millisecond

// A stream that was snoozed for a second came back after two: only beats reported what was due, and one beat was too early.
func TestSnoozedStreamsComeBackOnTime(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		waits := []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, time.Second, 1500 * time.Millisecond, 2700 * time.Millisecond, 9999 * time.Millisecond}
		names := streams(len(waits))
		e := h.start(func(_ context.Context, n api.Notification) error {
			if i, _ := strconv.Atoi(n.Stream[1:]); n.Kind == api.Added {
				return api.Snooze(waits[i])
			}
			return nil
		})
		advance(time.Second)
		h.server.announce(names...)
		advance(time.Minute)
		for i, s := range names {
			var at []time.Time
			for _, x := range e.notified(api.Added) {
				if x.Stream == s {
					at = append(at, x.at)
				}
			}
			require.Greater(t, len(at), 5, s)
			for k := 1; k < len(at); k++ {
				late := at[k].Sub(at[k-1]) - waits[i]
				require.GreaterOrEqual(t, late, time.Duration(0))
				require.LessOrEqual(t, late, prompt+promotionPause, "%s, waiting for %v", s, waits[i])
			}
		}
	})
}

// delay has entries become due at these times from now, without any process knowing.
func (h *harness) delay(partition int, in ...time.Duration) {
	h.server.with(partition, func(p *fakePartition) {
		for _, d := range in {
			at := nowMilli() + d.Milliseconds()
			p.later = append(p.later, &fakeLater{due: at, body: fakeBody(fmt.Sprint("due", at))})
		}
	})
}

// lateness is how late each stream of delay was first added, anywhere, in the order in which they were due.
func (h *harness) lateness(engines ...*testEngine) (late []time.Duration) {
	first := make(map[int64]int64) // when it was added, by when it was due
	for _, e := range engines {
		for _, x := range e.notified(api.Added) {
			var due int64
			if _, err := fmt.Sscanf(x.Stream, "due%d", &due); err != nil {
				continue
			}
			if at, ok := first[due]; !ok || x.at.UnixMilli() < at {
				first[due] = x.at.UnixMilli()
			}
		}
	}
	for _, due := range slices.Sorted(maps.Keys(first)) {
		late = append(late, time.Duration(first[due]-due)*time.Millisecond)
	}
	return late
}

// What others have delayed is known from beats. Nothing is asked for while nothing is due soon, and one timer serves a partition.
func TestBeatsTellWhenTheNextIsDue(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(time.Minute)
		h.delay(0, time.Hour)
		e.fake.takeCalls()
		advance(time.Minute)
		require.Zero(t, countCalls(e.fake.takeCalls(), "promote"))

		var in []time.Duration
		for i := range 40 {
			in = append(in, time.Duration(i)*777*time.Millisecond)
		}
		h.delay(1, in...)
		advance(time.Minute)
		late := h.lateness(e)
		require.Len(t, late, len(in))
		for _, d := range late[2:] { // no beat knew of the first two
			require.LessOrEqual(t, d, prompt)
		}
		calls := countCalls(e.fake.takeCalls(), "promote")
		require.LessOrEqual(t, calls, len(in)+5)
	})
}

// Many that are due one after the other are promoted together, at most ten times a second.
func TestPromotionsPauseInBetween(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(time.Second)
		var in []time.Duration
		for i := range 2000 {
			in = append(in, time.Duration(i)*5*time.Millisecond)
		}
		h.delay(0, in...)
		e.fake.takeCalls()
		advance(10 * time.Second)
		require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "promote"), 110)
		advance(time.Second)
		late := h.lateness(e)
		require.Len(t, late, len(in))
		for _, d := range late[250:] {
			require.LessOrEqual(t, d, prompt+promotionPause)
		}
	})
}

// In a fleet one process or two attend to the time, and not all at once. When that one dies, or stands still, the beats of others
// find what is due, and somebody attends to the time again.
func TestFleetSharesTheTimingOfPromotions(t *testing.T) {
	for name, end := range map[string]func(e *testEngine){
		"dead":        func(e *testEngine) { e.halt() },
		"no answer":   func(e *testEngine) { e.fake.failOnly(faultHang, "promote") },
		"answer lost": func(e *testEngine) { e.fake.failOnly(faultLose, "promote") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n, each = 12, 900 * time.Millisecond
				var engines []*testEngine
				for range n {
					engines = append(engines, h.start(nil, ungated))
					advance(37 * time.Millisecond)
				}
				round := func(entries int) (late []time.Duration, calls []int) {
					before := len(h.lateness(engines...))
					for _, e := range engines {
						e.fake.takeCalls()
					}
					for i := range entries {
						h.delay(0, time.Duration(i+1)*each)
					}
					advance(time.Duration(entries+5) * each)
					for _, e := range engines {
						calls = append(calls, countCalls(e.fake.takeCalls(), "promote"))
					}
					return h.lateness(engines...)[before+2:], calls // the first two may be due before the next beat
				}
				sum := func(calls []int) (n int) {
					for _, c := range calls {
						n += c
					}
					return n
				}
				requirePrompt := func(late []time.Duration, calls []int) {
					t.Helper()
					require.Len(t, late, 38)
					require.LessOrEqual(t, slices.Max(late), 400*time.Millisecond)
					slices.Sort(late)
					require.LessOrEqual(t, late[len(late)/2], prompt)
					require.Less(t, sum(calls), 40*n/4, "%v", calls)
				}
				round(40) // they learn
				late, calls := round(40)
				requirePrompt(late, calls)

				first := engines[slices.Index(calls, slices.Max(calls))]
				end(first)
				late, _ = round(40)
				require.Len(t, late, 38)
				require.LessOrEqual(t, slices.Max(late), first.cfg.beat+prompt)
				requirePrompt(round(40))
			})
		})
	}
}

// A process without a session writes nothing, whatever its timer says: the service may have been stopped to be repartitioned.
func TestNothingIsPromotedWithoutASession(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(10 * time.Second)
		h.delay(0, 1250*time.Millisecond)
		advance(e.cfg.beat + 50*time.Millisecond) // a beat has told
		e.fake.failOnly(faultError, "open")
		e.sessions.lose(e.partitions[0], e.session(0), errSessionPast)
		e.fake.takeCalls()
		advance(2 * time.Second)
		require.Zero(t, countCalls(e.fake.takeCalls(), "promote"))
		require.Empty(t, h.lateness(e))
		e.fake.setFault(nil)
		advance(2 * time.Second)
		require.Len(t, h.lateness(e), 1)
	})
}
