// Package telemetry keeps what an engine says of itself, its log and its metrics, for tests to look at.
package telemetry
