// Package otelmetrics hands the metrics of engines, which are those of a Prometheus registry, to OpenTelemetry: for programs that push
// metrics, by OTLP for instance, and are not scraped.
//
//	registry := prometheus.NewRegistry()
//	e, err := engine.Open(option, "chat", engine.WithRegisterer(registry))
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(otelmetrics.New(registry)))
//	provider := metric.NewMeterProvider(metric.WithReader(reader))
//
// Names and labels are the same as for who scrapes: no label has the name of a stream.
package otelmetrics
