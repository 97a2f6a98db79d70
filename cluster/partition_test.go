package cluster_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
)

// The check values of the documentation, for implementations in other languages.
func TestPartitionVectors(t *testing.T) {
	require.Equal(t, 3, cluster.Partition("orders:1", 16))
	require.Equal(t, 12, cluster.Partition("{user7}:clicks", 16))
	require.Equal(t, 12, cluster.Partition("{user7}:orders", 16))
	require.Equal(t, 0x31C3%1000, cluster.Partition("123456789", 1000))
}

// The dividend is not the slot: with more than 16384 values the two differ.
func TestPartitionDividesTheWholeChecksum(t *testing.T) {
	const name = "Z"
	require.Greater(t, int(cluster.CRC16(name)), cluster.Slots)
	require.Equal(t, int(cluster.CRC16(name))%7, cluster.Partition(name, 7))
	require.NotEqual(t, int(cluster.Slot(name))%7, cluster.Partition(name, 7))
}

func TestPartitionOfFewerThanTwo(t *testing.T) {
	for _, partitions := range []int{-1, 0, 1} {
		require.Zero(t, cluster.Partition("123456789", partitions))
	}
}

// Typical names, 1,000 for each partition: a fair hash stays within 5 standard
// deviations of the mean (32 of 1,000), and so does this one.
func TestStreamsSpreadOverPartitions(t *testing.T) {
	names := map[string]func(int) string{
		"counted":   func(i int) string { return fmt.Sprintf("orders:%d", i) },
		"padded":    func(i int) string { return fmt.Sprintf("tenant-%08d-stream", i) },
		"hex":       func(i int) string { return fmt.Sprintf("%016x", uint64(i)*0x9E3779B97F4A7C15) },
		"hash tags": func(i int) string { return fmt.Sprintf("{user%d}:clicks", i) },
	}
	for scheme, name := range names {
		for _, partitions := range []int{2, 3, 7, 16, 64} {
			const mean, tolerance = 1000, 160
			counts := make([]int, partitions)
			for i := range mean * partitions {
				counts[cluster.Partition(name(i), partitions)]++
			}
			require.InDelta(t, mean, slices.Min(counts), tolerance, "%s, %d partitions", scheme, partitions)
			require.InDelta(t, mean, slices.Max(counts), tolerance, "%s, %d partitions", scheme, partitions)
		}
	}
}

// Partitions spread a service over masters: with slots shared evenly, each of
// three masters gets some of six partitions, whatever the service.
func TestPartitionsSpreadOverMasters(t *testing.T) {
	for _, service := range []string{"orders", "a", "tenant-7", "org.example:clicks"} {
		layout, err := cluster.NewLayout(service, 6)
		require.NoError(t, err)
		var masters [3]int
		for p := range layout.Partitions() {
			masters[int(layout.Keys(p).Slot)*len(masters)/cluster.Slots]++
		}
		require.NotContains(t, masters, 0, "%s: %v", service, masters)
	}
}
