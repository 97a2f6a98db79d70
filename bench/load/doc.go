// Package load adds messages to data streams at exact rates, from a process of its own, so that what the producer costs can be told from what
// readers cost. Each message carries the time at which it was sent, and its number.
package load
