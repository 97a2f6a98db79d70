// Package producer announces many data streams at once, in the way of a producer that knows nothing of this library: by
// plain XADD. It also fills the data streams.
package producer
