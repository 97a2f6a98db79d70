package due

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQueueGivesWhatIsDueInOrder(t *testing.T) {
	var q Queue[string]
	require.Empty(t, q.Take(time.Hour, 0))
	q.Add(1*time.Second, "a")
	q.Add(2*time.Second, "b", "c")
	q.Add(3*time.Second, "d")
	require.Empty(t, q.Take(time.Second-1, 0))
	require.Equal(t, []string{"a"}, q.Take(time.Second, 0))
	require.Equal(t, []string{"b"}, q.Take(time.Hour, 1))
	require.Equal(t, []string{"c"}, q.Take(2*time.Second, 5))
	require.Equal(t, []string{"d"}, q.Take(3*time.Second, 0))
	require.Nil(t, q.mu.items, "an empty queue keeps no memory")
}
