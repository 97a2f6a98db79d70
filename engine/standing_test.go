package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStandingRemembersWhatWasUsedLast(t *testing.T) {
	var s standing
	require.Empty(t, s.get("s"))
	s.put("s", "1-0")
	s.put("s", "2-0")
	require.Equal(t, "2-0", s.get("s"))
	for i := range mostStanding - 1 {
		s.put(fmt.Sprint("n", i), "3-0")
	}
	require.Equal(t, "2-0", s.get("s"), "used last")
	s.put("one too many", "4-0")
	require.Equal(t, "2-0", s.get("s"))
	require.Empty(t, s.get("n0"))
	require.Equal(t, mostStanding, s.mu.order.Len())
	s.put("s", "")
	require.Empty(t, s.get("s"))
	require.Len(t, s.mu.entries, mostStanding-1)
}

func TestStandingIsBoundedInBytes(t *testing.T) {
	var s standing
	for i := range 100 {
		s.put(fmt.Sprint(i, strings.Repeat("x", 100<<10)), "1-0")
	}
	require.LessOrEqual(t, s.mu.bytes, mostStandingBytes)
	require.Greater(t, s.mu.bytes, mostStandingBytes*9/10)
	s.put(strings.Repeat("y", 2*mostStandingBytes), "1-0")
	require.Len(t, s.mu.entries, 1, "a single one always passes")
	for name := range s.mu.entries {
		s.put(name, "")
	}
	require.Zero(t, s.mu.bytes)
}
