package feed

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/feed/internal/reading"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// The events that reading counts are those that the table of metrics has, in the same order.
func TestReadingEventsAreInTheTable(t *testing.T) {
	for i, name := range metrics.ReadingNames() {
		require.Equal(t, strings.ReplaceAll(reading.Counter(i).String(), " ", "_"), name)
	}
	require.Equal(t, "unknown", reading.Counter(len(metrics.ReadingNames())).String(), "an event that the table lacks")
}
