package breaker_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/cluster/breaker"
)

const wait = int64(breaker.Wait)

func open(t *testing.T, s *breaker.Set, id int, now int64) {
	t.Helper()
	for range breaker.Failures - 1 {
		require.True(t, s.Allow(id, now))
		require.False(t, s.Failed(id, now))
	}
	require.True(t, s.Allow(id, now))
	require.True(t, s.Failed(id, now), "the last one opens it")
}

func TestOpensForOneNodeAlone(t *testing.T) {
	var s breaker.Set
	open(t, &s, 1, 100)
	require.False(t, s.Allow(1, 100))
	require.True(t, s.Allow(2, 100))
	require.False(t, s.Failed(1, 100), "it is open already")
}

func TestHalfOpenLetsOneThroughAtATime(t *testing.T) {
	var s breaker.Set
	open(t, &s, 1, 100)
	require.False(t, s.Allow(1, 100+wait-1))
	require.True(t, s.Allow(1, 100+wait))
	require.False(t, s.Allow(1, 100+wait), "one is in progress")
	require.False(t, s.Failed(1, 100+wait))
	require.False(t, s.Allow(1, 100+2*wait-1), "open again")
	require.True(t, s.Allow(1, 100+2*wait))
	s.Unknown(1)
	require.True(t, s.Allow(1, 100+2*wait), "abandoned, so another one may try")
	require.True(t, s.Worked(1), "closed")
	for range 10 {
		require.True(t, s.Allow(1, 100+2*wait))
	}
}

// A beat that is answered closes it, however long it had to wait.
func TestOtherWorkCloses(t *testing.T) {
	var s breaker.Set
	require.False(t, s.Worked(1))
	open(t, &s, 1, 100)
	require.True(t, s.Worked(1))
	require.False(t, s.Worked(1), "reported once")
	require.True(t, s.Allow(1, 100))
	open(t, &s, 1, 200) // counts from zero
}

// A success in between restarts the count.
func TestFailuresCountInARow(t *testing.T) {
	var s breaker.Set
	for range 10 {
		for range breaker.Failures - 1 {
			require.False(t, s.Failed(1, 0))
		}
		require.True(t, s.Allow(1, 0))
		require.False(t, s.Worked(1))
	}
}

// Compared with a model of its rules: at most one attempt per Wait while open, and a node that works is never blocked.
func TestAtRandom(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var s breaker.Set
		now, failed, last := int64(0), 0, int64(0)
		for range 100 {
			now += rapid.Int64Range(0, wait/2).Draw(r, "later")
			switch rapid.IntRange(0, 3).Draw(r, "what") {
			case 0:
				if allowed := s.Allow(7, now); failed < breaker.Failures {
					require.True(r, allowed)
				} else {
					require.Equal(r, now >= last+wait, allowed)
					if allowed {
						last = now
					}
				}
			case 1, 2:
				if failed++; failed == breaker.Failures {
					last = now
				}
				require.Equal(r, failed == breaker.Failures, s.Failed(7, now))
			case 3:
				require.Equal(r, failed >= breaker.Failures, s.Worked(7))
				failed = 0
			}
		}
	})
}
