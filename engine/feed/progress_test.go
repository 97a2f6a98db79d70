package feed

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/feed/internal/position"
)

// Checkpoints of feeds are read; those of schedules, which begin with "t1", of programs, and of later versions are not.
func TestWhatCheckpointsSay(t *testing.T) {
	for checkpoint, want := range map[string]string{
		"f1 0-0":                          "0-0",
		"f1 1700000000000-3":              "1700000000000-3",
		"f1 5-0 2":                        "5-0",
		"f1 5-0 0 t1 1700000000000 7 7 0": "5-0",
		position.Mark{At: position.ID{MS: 7, Seq: 1}, Failures: 3, State: "s"}.Encode(): "7-1",
	} {
		id, ok := HandledUpTo(checkpoint)
		require.True(t, ok, checkpoint)
		require.Equal(t, want, id)
		state, ok := SavedState(checkpoint)
		require.True(t, ok, checkpoint)
		require.Equal(t, want == "7-1", state == "s", state)
	}
	for _, checkpoint := range []string{"", "t1 1700000000000 1700000000000 7 0 0", "t1 5 5 7 0 0\nf1 5-0", "f2 5-0", "5-0", "f1", "f1 5", "\xff\x00",
		"f1 " + strings.Repeat("9", 1<<16)} {
		id, ok := HandledUpTo(checkpoint)
		require.False(t, ok, "%.40q", checkpoint)
		require.Empty(t, id)
		state, ok := SavedState(checkpoint)
		require.False(t, ok, "%.40q", checkpoint)
		require.Empty(t, state)
	}
}
