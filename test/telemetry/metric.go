package telemetry

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// prefix is what all names of an engine's metrics start with.
const prefix = "streamlease_"

// Sum adds up all series of a metric, named without the prefix, whose labels have these values, given as name, value, …; for a
// histogram it adds up the numbers of observations. there reports whether there are any series.
func Sum(t testing.TB, g prometheus.Gatherer, name string, labels ...string) (sum float64, there bool) {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != prefix+name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := make(map[string]string)
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			if !matches(has, labels) {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			there = true
		}
	}
	return sum, there
}

func matches(has map[string]string, want []string) bool {
	for i := 0; i+1 < len(want); i += 2 {
		if has[want[i]] != want[i+1] {
			return false
		}
	}
	return true
}

// Series returns the number of series of all metrics.
func Series(t testing.TB, g prometheus.Gatherer) (n int) {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}
