// Package dashboards checks the alert rules in docs/prometheus and the dashboard in docs/grafana against the metrics that exist, which
// docs/metrics.md lists, and writes the dashboard from the table in panels_test.go. The rules run in promtool: each alert has a series that
// fires it.
package dashboards
