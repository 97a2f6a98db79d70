package otelmetrics_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/streamlease/streamlease/engine/otel/otelmetrics"
)

func TestMetricsOfARegistryAreCollected(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "entries_read_total"})
	registry.MustRegister(counter)
	counter.Add(3)
	reader := metric.NewManualReader(metric.WithProducer(otelmetrics.New(registry)))
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer func() { require.NoError(t, provider.Shutdown(t.Context())) }()
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	require.Len(t, got.ScopeMetrics, 1)
	require.Equal(t, "entries_read_total", got.ScopeMetrics[0].Metrics[0].Name)
	require.InDelta(t, 3, got.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[float64]).DataPoints[0].Value, 0)
}
