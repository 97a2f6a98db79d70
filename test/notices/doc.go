// Package notices provides a node that announces maintenance, as Redis Software and Redis Cloud do. It speaks as much RESP3 as
// a side connection needs, and pushes what a test gives it, byte for byte.
package notices
