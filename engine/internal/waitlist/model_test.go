package waitlist

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/lease"
)

// Whatever comes into a list and leaves it, what comes out, when, and what is counted is what the model says.
//
// An entry that was withdrawn from a stream of several was taken off the number and not off the bytes; after enough of them the list
// took nothing any more.
func TestListAgainstModel(t *testing.T) {
	streams := rapid.SampledFrom([]string{"s0", "s1", "s2", "s4"})
	ids := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("%d-1", rapid.IntRange(1, 8).Draw(t, "id")) })
	sizes := rapid.SampledFrom([]int{1, 1, 1, lease.MaxCallWeight / 2, lease.MaxCallWeight, 2 * lease.MaxCallWeight})
	holders := rapid.SampledFrom([]string{"a 1", "b 2"})
	lefts := rapid.SampledFrom([]time.Duration{-1, time.Millisecond, time.Second, time.Hour})
	held := rapid.Custom(func(t *rapid.T) lease.Take {
		return lease.Take{Verdict: lease.HeldByOne, Holder: holders.Draw(t, "holder"), Left: lefts.Draw(t, "left")}
	})
	stays := rapid.OneOf(held, rapid.Just(lease.Take{Verdict: lease.Refused, Reason: "WRONGTYPE"}))
	takes := rapid.OneOf(stays, rapid.Custom(func(t *rapid.T) lease.Take {
		return lease.Take{Verdict: rapid.SampledFrom([]lease.Verdict{lease.Acquired, lease.Early, lease.Gone, lease.NotPending}).Draw(t, "verdict")}
	}))
	seldom := func(t *rapid.T) bool { return rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "seldom") }
	parts := rapid.IntRange(0, partitions-1)
	rapid.Check(t, func(t *rapid.T) {
		m := newNaive()
		session := func(t *rapid.T, p int) *lease.Session {
			s := m.sessions[p]
			return s[max(len(s)-1-rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "before"), 0)]
		}
		park := func(t *rapid.T) {
			x := &lease.Entry{Stream: streams.Draw(t, "stream"), ID: ids.Draw(t, "id"), Size: sizes.Draw(t, "size")}
			x.Info = make([]byte, rapid.SampledFrom([]int{0, 0, 100, 100, 1000, 7000}).Draw(t, "info"))
			if m.list.HasEntry(x.Stream, x.ID) {
				return // the engine looks before it parks
			}
			take := rapid.OneOf(stays, rapid.Just(lease.Take{})).Draw(t, "take")
			m.park(t, session(t, partitionOf(x.Stream)), x, take)
		}
		takeDue := func(t *rapid.T) { m.takeDue(t, parts.Draw(t, "partition")) }
		settle := func(t *rapid.T, p int) {
			if n := len(m.asked[p]); n > 0 {
				m.list.Answered(p)
				m.after[p] = 0
				a := m.asked[p][n-1]
				m.asked[p] = m.asked[p][:n-1]
				m.settle(t, a, takes.Draw(t, "take"))
			}
		}
		moved := func(t *rapid.T, p int) {
			if n := len(m.leaving[p]); n > 0 {
				x := m.leaving[p][n-1]
				m.leaving[p] = m.leaving[p][:n-1]
				m.moved(t, x)
			}
		}
		finish := func(t *rapid.T, p int) {
			for len(m.asked[p])+len(m.leaving[p]) > 0 {
				settle(t, p)
				moved(t, p)
			}
		}
		actions := map[string]func(*rapid.T){
			"park":       park,
			"park some":  func(t *rapid.T) { park(t); park(t); park(t) },
			"take":       takeDue,
			"take later": func(t *rapid.T) { m.now += int64(MaxDelay); takeDue(t) },
			"wait": func(t *rapid.T) {
				m.now += rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "by")
			},
			"settle": func(t *rapid.T) { settle(t, parts.Draw(t, "partition")) },
			"round": func(t *rapid.T) {
				p := parts.Draw(t, "partition")
				finish(t, p)
				m.now += int64(MaxDelay)
				m.takeDue(t, p)
				finish(t, p)
			},
			"no answer": func(t *rapid.T) {
				if p := parts.Draw(t, "partition"); len(m.asked[p]) > 0 {
					m.unanswered(p, 250*time.Millisecond, len(m.asked[p]) == 1 && rapid.Bool().Draw(t, "blame"))
				}
			},
			"moved":    func(t *rapid.T) { moved(t, parts.Draw(t, "partition")) },
			"nudge":    func(t *rapid.T) { m.nudge(t, streams.Draw(t, "stream")) },
			"withdraw": func(t *rapid.T) { m.withdraw(t, streams.Draw(t, "stream"), ids.Draw(t, "id")) },
			"owned":    func(t *rapid.T) { m.held[streams.Draw(t, "stream")] = seldom(t) },
			"busy":     func(t *rapid.T) { m.busy[streams.Draw(t, "stream")] = seldom(t) },
			"freed": func(t *rapid.T) {
				stream := streams.Draw(t, "stream")
				m.held[stream] = false
				m.nudge(t, stream)
			},
			"idle": func(t *rapid.T) {
				stream := streams.Draw(t, "stream")
				m.busy[stream] = false
				m.nudge(t, stream)
			},
			"session ends": func(t *rapid.T) {
				if !seldom(t) {
					return
				}
				p := parts.Draw(t, "partition")
				m.sessions[p][len(m.sessions[p])-1].End()
				m.open(p)
			},
			"drop": func(t *rapid.T) {
				if s := session(t, parts.Draw(t, "partition")); s.Remaining() == 0 {
					m.drop(s)
				}
			},
			"clear": func(t *rapid.T) {
				if !seldom(t) {
					return
				}
				var all []*lease.Entry
				for _, r := range m.streams {
					all = append(all, r.entries()...)
				}
				require.ElementsMatch(t, all, m.list.Clear())
				clear(m.streams)
			},
			"": m.check,
		}
		for range 5 {
			t.Repeat(actions)
		}
		// Whatever happened, nothing is left of sessions that are over.
		for _, sessions := range m.sessions {
			for _, s := range sessions {
				s.End()
				m.drop(s)
			}
		}
		m.check(t)
		require.Equal(t, int64(Never), m.next(0))
		require.Empty(t, m.streams)
	})
}
