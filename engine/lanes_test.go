package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLanesReportWhetherTheyChange(t *testing.T) {
	var l lanes
	require.Zero(t, l.of(0), "the zero value has all partitions in one lane")
	require.Zero(t, l.of(1023))
	require.True(t, l.assign([]int{0, 0, 0}), "the first assignment is a change")
	require.False(t, l.assign([]int{0, 0, 0}))
	require.True(t, l.assign([]int{0, 1, 0}))
	require.Equal(t, []int{0, 1, 0}, []int{l.of(0), l.of(1), l.of(2)})
}
