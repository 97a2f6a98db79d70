// Package producer announces many data streams at once, as a producer does that does not use this library: by plain
// XADD. It also fills the data streams.
package producer
