// Package metrics counts what engines do, and shows it to Prometheus.
//
// A new metric is one row in table.go and the call that counts it: Inc, Add or Observe, or for a gauge an Emit. The row has
// everything else: the name, the help text, the labels with their values, and what docs/metrics.md says of it. Metrics has
// methods of its own only where what an engine knows has to be translated into labels.
//
// All series carry the label service. None carries the name of a stream, so their number depends on partitions and scripts
// alone. Counters and histograms exist from the start, at zero.
package metrics
