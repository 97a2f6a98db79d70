package feed

import (
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// events counts what reading does.
type events struct{ metrics *metrics.Metrics }

// Count implements reading.Metrics. The events of both packages have the same order, which a test holds.
func (e events) Count(c reading.Counter, n int) {
	e.metrics.Add(metrics.FeedReading.With(metrics.Reading(c)), n)
}
