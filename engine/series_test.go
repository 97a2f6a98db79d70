package engine

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
)

// documentedSeries are the numbers that docs/metrics.md has: counters and histograms of a service, what Prometheus stores of these,
// gauges of a service, and gauges of a partition.
func documentedSeries(t *testing.T) (n [5]int) {
	t.Helper()
	text, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	found := regexp.MustCompile(`has (\d+) counters and (\d+) histograms, which Prometheus stores as (\d+) series; at most (\d+) gauges, and ` +
		`at most (\d+) for each`).FindStringSubmatch(string(text))
	require.Len(t, found, 1+len(n))
	for i := range n {
		n[i], err = strconv.Atoi(found[1+i])
		require.NoError(t, err)
	}
	return n
}

// A running engine has as many series as the documentation says, however many streams it holds, and none when it has ended.
func TestSeriesAreAsManyAsDocumented(t *testing.T) {
	want := documentedSeries(t)
	for _, partitions := range []int{1, 3} {
		l := startLive(t, servers.New(t), nil, WithPartitions(partitions), WithMaxStreams(20),
			WithRecovery(scan.Config{Interval: 100 * time.Millisecond}))
		for _, s := range streams(50) {
			l.announce(s)
		}
		l.until("all gauges are shown", func() bool {
			n := l.countSeries()
			return n.once == want[3] && n.each == want[4]*partitions
		})
		got := l.countSeries()
		require.Equal(t, want[:3], []int{got.counters, got.histograms, got.stored})
		require.NoError(t, l.Shutdown(context.Background()))
		require.Zero(t, telemetry.Series(t, l.registry))
	}
}

type seriesCount struct{ counters, histograms, stored, once, each int }

func (l *live) countSeries() (n seriesCount) {
	l.t.Helper()
	families, err := l.registry.Gather()
	require.NoError(l.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			parted := false
			for _, label := range m.GetLabel() {
				parted = parted || label.GetName() == "partition"
			}
			switch {
			case m.GetCounter() != nil:
				n.counters++
			case m.GetHistogram() != nil:
				n.histograms++
				n.stored += len(m.GetHistogram().GetBucket()) + 3 // +Inf, sum, count
			case parted:
				n.each++
			default:
				n.once++
			}
		}
	}
	return n
}
