package console

import (
	"context"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// Console sends commands as they are written. An unexpected error fails the test at once.
type Console struct {
	T      testing.TB
	Client rueidis.Client
}

// Try sends a command that may fail.
func (c Console) Try(args ...string) rueidis.RedisResult {
	return c.Client.Do(context.Background(), c.Client.B().Arbitrary(args...).Build())
}

// Do sends a command that must succeed. A nil reply is not an error.
func (c Console) Do(args ...string) rueidis.RedisMessage {
	c.T.Helper()
	message, err := c.Try(args...).ToMessage()
	if !rueidis.IsRedisNil(err) {
		require.NoError(c.T, err, "%.200q", args)
	}
	return message
}

// Num returns the integer that a command replies with.
func (c Console) Num(args ...string) int {
	c.T.Helper()
	n, err := c.Try(args...).AsInt64()
	require.NoError(c.T, err, "%.200q", args)
	return int(n)
}

// Text returns the string that a command replies with, empty for nil.
func (c Console) Text(args ...string) string {
	c.T.Helper()
	text, err := c.Try(args...).ToString()
	if !rueidis.IsRedisNil(err) {
		require.NoError(c.T, err, "%.200q", args)
	}
	return text
}

// Now returns the server's clock, in ms.
func (c Console) Now() int64 {
	c.T.Helper()
	at, err := c.Try("TIME").AsIntSlice()
	require.NoError(c.T, err)
	return at[0]*1000 + at[1]/1000
}

// Stream returns all entries of a stream.
func (c Console) Stream(key string) []rueidis.XRangeEntry {
	c.T.Helper()
	entries, err := c.Try("XRANGE", key, "-", "+").AsXRange()
	require.NoError(c.T, err)
	return entries
}

// Consumers returns the names of the consumers of a group.
func (c Console) Consumers(key, group string) (names []string) {
	c.T.Helper()
	rows, err := c.Try("XINFO", "CONSUMERS", key, group).ToArray()
	require.NoError(c.T, err)
	for _, row := range rows {
		fields, err := row.AsMap()
		require.NoError(c.T, err)
		name := fields["name"]
		text, err := name.ToString()
		require.NoError(c.T, err)
		names = append(names, text)
	}
	return names
}
