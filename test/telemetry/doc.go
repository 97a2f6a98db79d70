// Package telemetry collects the log, the events and the metrics of an engine for tests to look at.
package telemetry
