package breaker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/breaker"
)

const (
	wait     = int64(breaker.DefaultWait)
	failures = breaker.DefaultFailures
)

func open(t *testing.T, s *breaker.Set, id int, now int64) {
	t.Helper()
	for range failures - 1 {
		require.True(t, s.Allow(id, now))
		require.False(t, s.Failed(id, now))
	}
	require.True(t, s.Allow(id, now))
	require.True(t, s.Failed(id, now), "the last one opens it")
}

func TestOpensForOneNodeAlone(t *testing.T) {
	s := breaker.New(breaker.Config{})
	open(t, s, 1, 100)
	require.False(t, s.Allow(1, 100))
	require.True(t, s.Allow(2, 100))
	require.False(t, s.Failed(1, 100), "it is open already")
}

func TestHalfOpenLetsOneThroughAtATime(t *testing.T) {
	s := breaker.New(breaker.Config{})
	open(t, s, 1, 100)
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
	s := breaker.New(breaker.Config{})
	require.False(t, s.Worked(1))
	open(t, s, 1, 100)
	require.True(t, s.Worked(1))
	require.False(t, s.Worked(1), "reported once")
	require.True(t, s.Allow(1, 100))
	open(t, s, 1, 200) // counts from zero
}

// A success in between restarts the count.
func TestFailuresCountInARow(t *testing.T) {
	s := breaker.New(breaker.Config{})
	for range 10 {
		for range failures - 1 {
			require.False(t, s.Failed(1, 0))
		}
		require.True(t, s.Allow(1, 0))
		require.False(t, s.Worked(1))
	}
}

// As many attempts as configured are allowed while it is half open. One that fails ends the others.
func TestConfigIsApplied(t *testing.T) {
	const wait = time.Minute
	s := breaker.New(breaker.Config{Failures: 2, Wait: wait, Trials: 3})
	require.False(t, s.Failed(1, 0))
	require.False(t, s.IsOpen(1))
	require.True(t, s.Failed(1, 0))
	require.True(t, s.IsOpen(1))
	require.False(t, s.IsOpen(2))
	now := int64(wait)
	require.False(t, s.Allow(1, now-1))
	for range 3 {
		require.True(t, s.Allow(1, now))
	}
	require.False(t, s.Allow(1, now))
	s.Unknown(1)
	require.True(t, s.Allow(1, now), "in place of the one that was abandoned")
	require.False(t, s.Allow(1, now))
	now *= 2
	require.True(t, s.Allow(1, now), "none reported anything")
	require.False(t, s.Failed(1, now))
	require.False(t, s.Allow(1, now), "it opens again")
	require.True(t, s.IsOpen(1))
	now += int64(wait)
	require.True(t, s.Allow(1, now))
	require.True(t, s.Worked(1))
	require.False(t, s.IsOpen(1))
}

func TestConfigIsValidated(t *testing.T) {
	require.NoError(t, breaker.Config{}.Validate())
	require.NoError(t, breaker.Config{Failures: 1, Wait: breaker.MinWait, Trials: breaker.MaxTrials}.Validate())
	for field, cs := range map[string][]breaker.Config{
		"Failures": {{Failures: -1}, {Failures: breaker.MaxFailures + 1}},
		"Wait":     {{Wait: -1}, {Wait: time.Millisecond}, {Wait: 2 * time.Hour}},
		"Trials":   {{Trials: -1}, {Trials: breaker.MaxTrials + 1}},
	} {
		for _, c := range cs {
			err := c.Validate()
			require.ErrorIs(t, err, api.ErrInvalidConfig)
			require.ErrorContains(t, err, field)
		}
	}
}

// Compared with a model of its rules: at most one attempt per Wait while open, and a node that works is never blocked.
func TestAtRandom(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := breaker.New(breaker.Config{})
		now, failed, last := int64(0), 0, int64(0)
		for range 100 {
			now += rapid.Int64Range(0, wait/2).Draw(r, "later")
			switch rapid.IntRange(0, 3).Draw(r, "what") {
			case 0:
				if allowed := s.Allow(7, now); failed < failures {
					require.True(r, allowed)
				} else {
					require.Equal(r, now >= last+wait, allowed)
					if allowed {
						last = now
					}
				}
			case 1, 2:
				if failed++; failed == failures {
					last = now
				}
				require.Equal(r, failed == failures, s.Failed(7, now))
			case 3:
				require.Equal(r, failed >= failures, s.Worked(7))
				failed = 0
			}
		}
	})
}
