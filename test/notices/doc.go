// Package notices is a node that announces maintenance, as Redis Software and Redis Cloud do: it speaks as much RESP3 as
// a side connection asks for, and pushes what a test gives it, byte for byte.
package notices
