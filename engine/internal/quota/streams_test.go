package quota

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naive is a quota of streams with a line of partitions: who had room longest ago stands in front.
type naive struct {
	streams  *Streams
	limit    int
	held     int
	reserved int
	line     []int // partitions that had room, longest ago first
	waiting  map[int]bool
	overtook map[[2]int]int // how often the second got room while the first was waiting
	changed  int
}

const partitions = 3

// before reports whether one partition had room longer ago than another one, or had none while the other one had.
func (m *naive) before(a, b int) bool {
	at := func(p int) int {
		for i, q := range m.line {
			if q == p {
				return i
			}
		}
		return -1
	}
	return at(a) < at(b)
}

func (m *naive) room(n int) int {
	if m.limit < math.MaxInt {
		n = min(n, m.limit-m.held-m.reserved, max(1, m.limit/partitions))
	}
	return max(n, 0)
}

func (m *naive) reserveInTurn(t *rapid.T, p, n int) {
	m.waiting[p] = true
	want := m.room(n)
	for q := range partitions {
		if m.limit < math.MaxInt && m.waiting[q] && m.before(q, p) {
			want = 0
		}
	}
	require.Equal(t, want, m.streams.ReserveInTurn(p, n))
	if want == 0 {
		return
	}
	m.granted(t, want)
	m.waiting[p] = false
	for q := range partitions {
		delete(m.overtook, [2]int{p, q})
		if m.waiting[q] && m.limit < math.MaxInt {
			m.overtook[[2]int{q, p}]++
			require.Equal(t, 1, m.overtook[[2]int{q, p}], "nobody who waits is overtaken twice")
		}
	}
	line := m.line[:0:0]
	for _, q := range m.line {
		if q != p {
			line = append(line, q)
		}
	}
	m.line = append(line, p)
}

func (m *naive) granted(t *rapid.T, n int) {
	m.reserved += n
	if n > 0 && m.limit < math.MaxInt { // it may have been lowered since
		require.LessOrEqual(t, m.held+m.reserved, m.limit)
	}
}

func (m *naive) endTurn(t *rapid.T, p int) {
	before := m.changed
	m.streams.EndTurn(p)
	woken := 0
	if m.waiting[p] {
		woken = 1
	}
	require.Equal(t, before+woken, m.changed, "those behind it look again")
	m.waiting[p] = false
	for q := range partitions {
		delete(m.overtook, [2]int{p, q})
	}
}

// Reservations never exceed the limit, and whoever waits for room is not overtaken twice by the same one.
func TestStreamsAgainstModel(t *testing.T) {
	limits := rapid.SampledFrom([]int{3, 1, 2, 10, 0, math.MaxInt})
	parts := rapid.IntRange(0, partitions-1)
	amounts := rapid.IntRange(1, 6)
	rapid.Check(t, func(t *rapid.T) {
		m := &naive{limit: limits.Draw(t, "limit"), waiting: map[int]bool{}, overtook: map[[2]int]int{}}
		m.streams = NewStreams(m.limit, partitions, func() int { return m.held }, func() { m.changed++ })
		inTurn := func(t *rapid.T) { m.reserveInTurn(t, parts.Draw(t, "partition"), amounts.Draw(t, "n")) }
		t.Repeat(map[string]func(*rapid.T){
			"in turn":   inTurn,
			"next turn": inTurn,
			"reserve": func(t *rapid.T) {
				n := amounts.Draw(t, "n")
				want := m.room(n)
				require.Equal(t, want, m.streams.Reserve(n))
				m.granted(t, want)
			},
			"taken": func(t *rapid.T) { // what was reserved is held before it is released
				if m.reserved == 0 {
					return
				}
				n := rapid.IntRange(0, m.reserved).Draw(t, "n")
				m.held += rapid.IntRange(0, n).Draw(t, "of them")
				before := m.changed
				m.streams.Release(n)
				m.reserved -= n
				require.Equal(t, before+1, m.changed)
			},
			"done":     func(t *rapid.T) { m.held -= rapid.IntRange(0, m.held).Draw(t, "n") },
			"end turn": func(t *rapid.T) { m.endTurn(t, parts.Draw(t, "partition")) },
			"limit": func(t *rapid.T) {
				before := m.changed
				m.limit = limits.Draw(t, "limit")
				m.streams.SetLimit(m.limit)
				require.Equal(t, before+1, m.changed)
			},
			"": func(t *rapid.T) {
				require.Equal(t, m.held >= m.limit, m.streams.Full())
				for p := range partitions {
					require.Equal(t, m.waiting[p], m.streams.Waits(p))
				}
				left := m.streams.Left(m.reserved)
				if m.limit == math.MaxInt {
					require.Greater(t, left, 1<<30)
				} else {
					require.Equal(t, max(m.limit-m.held, 0), left)
				}
			},
		})
		// Once the others have given their turns up, whoever is left gets what room there is.
		last := parts.Draw(t, "last")
		for p := range partitions {
			if p != last {
				m.endTurn(t, p)
			}
		}
		require.Equal(t, m.room(1), m.streams.ReserveInTurn(last, 1))
	})
}

// Several that reserve at once never have more than there is.
func TestStreamsAreSafeForConcurrentUse(t *testing.T) {
	const limit = 5
	var held, most atomic.Int64
	s := NewStreams(limit, 4, func() int { return int(held.Load()) }, func() {})
	var group sync.WaitGroup
	for p := range 4 {
		group.Go(func() {
			for i := range 2000 {
				n := s.ReserveInTurn(p, 2)
				if i%3 == 0 {
					n += s.Reserve(1)
				}
				for now := held.Add(int64(n)); ; now = held.Load() {
					seen := most.Load()
					if now <= seen || most.CompareAndSwap(seen, now) {
						break
					}
				}
				s.Release(n)
				held.Add(int64(-n))
				s.EndTurn(p)
			}
		})
	}
	group.Wait()
	require.Positive(t, most.Load())
	require.LessOrEqual(t, most.Load(), int64(limit))
	require.Equal(t, limit, s.Left(0))
}
