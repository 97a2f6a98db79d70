package quota

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/lease"
)

const mebibyte = 1 << 20

// What each partition has by itself it has whatever the others hold; what is left is shared between masters.
func TestMemoryOfOneMasterIsNotThatOfOthers(t *testing.T) {
	m := NewMemory(32*mebibyte, 8, func(p int) int { return p / 4 })
	for range 100 {
		for p := range 4 {
			if !m.Full(p) {
				m.Add(p, 3*mebibyte)
			}
		}
	}
	for p := range 4 {
		require.True(t, m.Full(p))
	}
	left := 32 * mebibyte
	for p := range 8 {
		_, held := m.Waiting(p)
		left -= held
	}
	require.Positive(t, left)
	var got [8]int
	sum := 0
	for p := 4; p < 8; p++ {
		got[p] = m.Reserve(p, lease.MaxCallWeight)
		require.GreaterOrEqual(t, got[p], 2*mebibyte)
		sum += got[p]
	}
	require.LessOrEqual(t, sum, left)
	m.Add(0, 100*mebibyte) // a single announcement
	for p := 4; p < 8; p++ {
		m.Release(p, got[p])
		require.Equal(t, 2*mebibyte, m.Reserve(p, lease.MaxCallWeight))
	}
}

// What was read counts until it is released, and a reader waits since it began to.
func TestMemoryCounts(t *testing.T) {
	m := NewMemory(32*mebibyte, 2, func(int) int { return 0 })
	entries := []lease.Entry{{Info: make([]byte, 1000)}, {Key: "key"}}
	n := m.Hold(1, entries)
	require.Equal(t, entries[0].Held()+entries[1].Held(), n)
	m.StartWaiting(1, 7)
	m.StartWaiting(1, 9)
	since, held := m.Waiting(1)
	require.EqualValues(t, 7, since)
	require.Equal(t, n, held)
	m.StopWaiting(1)
	m.Release(1, n)
	since, held = m.Waiting(1)
	require.Zero(t, since)
	require.Zero(t, held)
}

// Whoever holds whatever, each partition has its own share, and those of one master take no more of the rest than they leave.
func TestMemoryIsShared(t *testing.T) {
	const limit, partitions, keep = 32 * mebibyte, 6, 16 * mebibyte / 6
	parts := rapid.IntRange(0, partitions-1)
	rapid.Check(t, func(t *rapid.T) {
		masters := rapid.IntRange(1, 3).Draw(t, "masters")
		lane := func(p int) int { return p % masters }
		m := NewMemory(limit, partitions, lane)
		var held [partitions]int
		over := func(p int) int { return max(held[p]-keep, 0) }
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				p, n := parts.Draw(t, "partition"), rapid.SampledFrom([]int{1000, mebibyte, 8 * mebibyte}).Draw(t, "n")
				full, before := m.Full(p), over(p)
				got := m.Reserve(p, n)
				held[p] += got
				require.LessOrEqual(t, got, n)
				require.Equal(t, full, got == 0)
				if own := keep - held[p]; own >= minRead {
					require.Equal(t, n, got, "a share of its own")
				}
				if masters == 1 || over(p) == before {
					return
				}
				mine, left := 0, limit-keep*partitions
				for q := range partitions {
					left -= over(q)
					if lane(q) == lane(p) {
						mine += over(q)
					}
				}
				require.LessOrEqual(t, mine, left)
			},
			"read": func(t *rapid.T) { // brings more than was foreseen
				p, n := parts.Draw(t, "partition"), rapid.IntRange(0, 4*mebibyte).Draw(t, "n")
				m.Add(p, n)
				held[p] += n
			},
			"release": func(t *rapid.T) {
				p := parts.Draw(t, "partition")
				n := rapid.IntRange(0, held[p]).Draw(t, "n")
				m.Release(p, n)
				held[p] -= n
			},
			"": func(t *rapid.T) {
				for p := range partitions {
					_, got := m.Waiting(p)
					require.Equal(t, held[p], got)
				}
			},
		})
	})
}
