package measure

import (
	"time"
)

// Latency is percentiles of durations.
type Latency struct{ P50, P99, Max time.Duration }

// LatencyOf reads percentiles from a histogram.
func LatencyOf(h Histogram) Latency {
	return Latency{P50: h.Quantile(.5), P99: h.Quantile(.99), Max: h.Quantile(1)}
}
