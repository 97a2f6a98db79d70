package otelmetrics

import (
	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// New returns a producer of the metrics that g gathers, for metric.WithProducer of a reader. They are gathered when the reader collects,
// once a minute by default. Errors of gathering are the reader's. Nil: prometheus.DefaultGatherer.
func New(g prometheus.Gatherer) metric.Producer {
	if g == nil {
		g = prometheus.DefaultGatherer
	}
	return bridge.NewMetricProducer(bridge.WithGatherer(g))
}
