package telemetry

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// prefix begins the names of all metrics of an engine.
const prefix = "streamlease_"

// Sum is the sum of all series of a metric, without its prefix, whose labels have these values, given as name, value, …; of
// a histogram it is how much was observed. there says whether there are any.
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

// Series is how many there are of all metrics.
func Series(t testing.TB, g prometheus.Gatherer) (n int) {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}
