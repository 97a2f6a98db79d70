package notes

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAProcessThatDidNotRunForAPartOfItsSession(t *testing.T) {
	s := Stalls{Session: 4 * time.Second}
	for _, step := range []struct {
		now   time.Duration
		stood bool
	}{{time.Hour, false}, {time.Hour + StallStep, false}, {time.Hour + StallStep + time.Second, true}, {time.Hour + 2*StallStep + time.Second, false}} {
		last := s.looked
		since, stood := s.at(step.now)
		require.Equal(t, step.stood, stood, step.now)
		require.Equal(t, last, since)
	}
	forever := Stalls{looked: 1}
	_, stood := forever.at(time.Hour)
	require.False(t, stood, "it has no session")
}
