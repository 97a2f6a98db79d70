// Package messages measures reading the messages of many streams, for the bench command: the same load on a goroutine, a connection and an
// XREAD BLOCK for each stream, and on engine/feed, paired in one run. Three processes have a part each, so that what they cost can be told
// apart: the server, the producer (package load), and the reader. What the producer alone costs the server is measured under the same load,
// and taken off.
package messages
