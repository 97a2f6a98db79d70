package scan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is pending is read page by page, to the end or until it is enough.
func TestTurnoverOfMany(t *testing.T) {
	h := newHarness(t)
	h.Do("EVAL", `for i = 1, 2500 do redis.call('XADD', KEYS[1], '*', 'f', 'v') end
		for _, s in ipairs(redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 2500, 'STREAMS', KEYS[1], '>')[1][2]) do
		redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, s[1], 'RETRYCOUNT', 2, 'JUSTID') end`, "1", h.keys.Input, h.layout.Group(), ann)
	i, err := NewInspector(h.Client, "shop", InspectorConfig{Partitions: 1})
	require.NoError(t, err)
	found, err := i.Turnover(h.ctx, time.Hour)
	require.NoError(t, err)
	require.True(t, found.Whole)
	require.Equal(t, []int{2500, 2500, 2500}, []int{found.Processes[0].Held, found.Processes[0].Taken, found.Steps[29]})
	found, err = i.turnover(h.ctx, h.layout, time.Hour, 1500)
	require.NoError(t, err)
	require.False(t, found.Whole)
	require.Equal(t, 2000, found.Processes[0].Held)
}
