package cluster_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

var update = flag.Bool("update", false, "rewrite the table of docs/partitions.md")

const spreadDocument = "../docs/partitions.md"

// spreadTable returns the table of docs/partitions.md, for 200 services named "service-0" to "service-199".
func spreadTable(t *testing.T) string {
	masters := []int{3, 6, 32}
	var b strings.Builder
	b.WriteString("| partitions | 3 masters | 6 masters | 32 masters |\n|---|---|---|---|\n")
	for _, partitions := range []int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024} {
		fmt.Fprintf(&b, "| %d |", partitions)
		for _, n := range masters {
			var busiest []float64
			var idle []int
			for i := range 200 {
				s, err := cluster.SpreadOf(fmt.Sprintf("service-%d", i), partitions, n, cluster.EvenOwners(n))
				require.NoError(t, err)
				busiest, idle = append(busiest, s.Busiest()), append(idle, s.Idle())
			}
			slices.Sort(busiest)
			slices.Sort(idle)
			middle, last := len(idle)/2, len(idle)-1
			fmt.Fprintf(&b, " %.2f / %.2f", busiest[middle], busiest[last])
			if idle[last] > 0 {
				fmt.Fprintf(&b, ", idle %d / %d", idle[middle], idle[last])
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The table in the document is what the names of partitions produce.
func TestSpreadIsAsDocumented(t *testing.T) {
	text, err := os.ReadFile(spreadDocument)
	require.NoError(t, err)
	begin := strings.Index(string(text), "| partitions | 3 masters |")
	require.Positive(t, begin)
	end := begin + strings.Index(string(text)[begin:], "\n\n") + 1
	table := spreadTable(t)
	if *update {
		require.NoError(t, os.WriteFile(spreadDocument, []byte(string(text)[:begin]+table+string(text)[end:]), 0o644))
		return
	}
	require.Equal(t, table, string(text)[begin:end], "go test ./cluster -run SpreadIsAsDocumented -update")
}

func TestSpreadCounts(t *testing.T) {
	s, err := cluster.SpreadOf("orders", 16, 3, cluster.EvenOwners(3))
	require.NoError(t, err)
	var want [3]int
	layout, err := cluster.NewLayout("orders", 16)
	require.NoError(t, err)
	for p := range 16 {
		want[int(layout.Keys(p).Slot)*3/cluster.Slots]++
	}
	require.Equal(t, cluster.Spread{Partitions: 16, OnMaster: want[:]}, s)
	require.Zero(t, s.Idle())
	require.InDelta(t, float64(slices.Max(want[:]))*3/16, s.Busiest(), 1e-9)

	// One of two masters serves nothing, and half of the slots have no master.
	half, err := cluster.SpreadOf("orders", 16, 2, func(slot uint16) int { return 1 - 2*int(slot)/cluster.Slots*2 })
	require.NoError(t, err)
	require.Equal(t, 1, half.Idle())
	require.Equal(t, 16, half.OnMaster[0]+half.OnMaster[1]+half.Unserved)
	require.Positive(t, half.Unserved)

	_, err = cluster.SpreadOf("or{ders", 16, 3, cluster.EvenOwners(3))
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.Zero(t, cluster.Spread{}.Busiest())
}

func TestEvenOwnersShareAllSlots(t *testing.T) {
	for _, n := range []int{1, 3, 6, 32} {
		owners, counts := cluster.EvenOwners(n), make([]int, n)
		for slot := range cluster.Slots {
			counts[owners(uint16(slot))]++
		}
		require.LessOrEqual(t, slices.Max(counts)-slices.Min(counts), 1)
	}
}

// No smaller number is good enough, and the suggested one is.
func TestSuggestedPartitionsAreTheFewestThatServeWell(t *testing.T) {
	good := func(s cluster.Spread) bool { return s.Idle() == 0 && s.Busiest() <= cluster.GoodSpread }
	for _, service := range []string{"orders", "chat", "org.example:clicks"} {
		for _, n := range []int{1, 3, 6} {
			best, err := cluster.SuggestPartitions(service, cluster.MaxPartitions, n, cluster.EvenOwners(n))
			require.NoError(t, err)
			require.True(t, good(best), "%+v", best)
			again, err := cluster.SpreadOf(service, best.Partitions, n, cluster.EvenOwners(n))
			require.NoError(t, err)
			require.Equal(t, again, best)
			for fewer := 1; fewer < best.Partitions; fewer++ {
				s, err := cluster.SpreadOf(service, fewer, n, cluster.EvenOwners(n))
				require.NoError(t, err)
				require.False(t, good(s), "%d would do", fewer)
			}
		}
	}
	// With fewer partitions than masters, as many as possible have something to do.
	best, err := cluster.SuggestPartitions("orders", 8, 32, cluster.EvenOwners(32))
	require.NoError(t, err)
	require.LessOrEqual(t, best.Partitions, 8)
	all, err := cluster.SpreadOf("orders", 8, 32, cluster.EvenOwners(32))
	require.NoError(t, err)
	require.Equal(t, all.Idle(), best.Idle())
}
