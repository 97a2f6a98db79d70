package feed_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/servers"
)

// What is handed back in order is handled once: each process goes on where the one before stopped, in the middle of a backlog, state included.
func TestHandBacksRepeatNothing(t *testing.T) {
	server := servers.New(t)
	count := func(_ context.Context, b *feed.Batch) error {
		n := 0
		fmt.Sscan(b.State(), &n)
		return b.SaveState(fmt.Sprint(n + len(b.Messages)))
	}
	const streams, messages = 20, 300
	all := make(map[string]int)
	l := startLive(t, server.ClientOption(), feed.Config{MaxBatch: 10}, count)
	for s := range streams {
		name := fmt.Sprint("s", s)
		l.announce(name)
		for i := range messages {
			l.call("XADD %s %d-0 n %d", name, i+1, i+1)
			if s == streams/2 && i == messages/2 {
				l = restarted(t, l, server, count, all)
			}
		}
	}
	l = restarted(t, l, server, count, all)
	until(t, "all is handled", func() bool {
		n := 0
		for s := range streams {
			n += all[fmt.Sprint("s", s)] + len(l.ids(fmt.Sprint("s", s)))
		}
		return n >= streams*messages
	})
	require.NoError(t, l.stop())
	for s := range streams {
		name := fmt.Sprint("s", s)
		require.Equal(t, messages, all[name]+len(l.ids(name)), name)
		stored := l.call("HGET {%s-input}:checkpoints s%s", service, name)
		text, err := stored.ToString()
		require.NoError(t, err)
		require.Regexp(t, fmt.Sprintf(`^\d+ [vr] f1 %d-0 0 %d$`, messages, messages), text)
	}
}

// restarted ends a feed, adds up what it has handled, and starts the next one.
func restarted(t *testing.T, l *live, server *servers.Server, do feed.Handler, all map[string]int) *live {
	t.Helper()
	require.NoError(t, l.stop())
	for stream, ids := range l.seen {
		all[stream] += len(ids)
	}
	return startLive(t, server.ClientOption(), feed.Config{MaxBatch: 10}, do)
}

// Latest: where a stream begins is in Redis before anything is read.
func TestLatestIsStoredOnServers(t *testing.T) {
	l := startLive(t, servers.New(t).ClientOption(), feed.Config{Start: feed.Latest}, nil)
	l.call("XADD a 5-0 n 1")
	l.announce("a", "absent")
	for stream, want := range map[string]string{"a": " f1 5-0", "absent": " f1 0-0"} {
		until(t, "the beginning of "+stream+" is stored", func() bool {
			text, _ := l.call("HGET {%s-input}:checkpoints s%s", service, stream).ToString()
			return len(text) > len(want) && text[len(text)-len(want):] == want
		})
		l.call("XADD %s 6-0 n 1", stream)
		l.sees(stream, "6-0")
	}
}

// A stream that is finished is done, and its position stays; announced again, it goes on there.
func TestFinishOnServers(t *testing.T) {
	l := startLive(t, servers.New(t).ClientOption(), feed.Config{}, func(_ context.Context, b *feed.Batch) error {
		if _, last := b.Messages[len(b.Messages)-1].Get("last"); last {
			return feed.Finish
		}
		return nil
	})
	l.announce("a")
	l.call("XADD a 1-0 n 1")
	l.sees("a", "1-0")
	l.call("XADD a 2-0 last 1")
	until(t, "the stream is done", func() bool {
		n, _ := l.call("EXISTS {%s-input}:lease:a", service).AsInt64()
		return n == 0 && l.Stats().Streams == 0
	})
	n, err := l.call("XLEN %s-input", service).AsInt64()
	require.NoError(t, err)
	require.Zero(t, n, "the announcement is gone")
	l.call("XADD a 3-0 n 1")
	l.announce("a")
	until(t, "the next message", func() bool { return len(l.ids("a")) > 0 })
	require.Equal(t, "3-0", l.ids("a")[len(l.ids("a"))-1])
	require.NotContains(t, l.ids("a"), "1-0")
}

// TrimHandled deletes what precedes the position, keeps the message at it, and lags a session TTL.
func TestTrimHandledOnServers(t *testing.T) {
	l := startLive(t, servers.New(t).ClientOption(), feed.Config{Trim: feed.TrimHandled}, nil, engine.WithSessionTTL(time.Second))
	l.announce("a")
	l.call("XADD a 1-0 n 1")
	l.call("XADD a 2-0 n 2")
	l.call("XADD a 3-0 n 3")
	until(t, "the rest is trimmed", func() bool {
		n, _ := l.call("XLEN a").AsInt64()
		return n == 1
	})
	l.sees("a", "1-0", "2-0", "3-0")
	first := l.call("XRANGE a - +")
	require.Contains(t, first.String(), "3-0")
	l.call("XADD a 4-0 n 4")
	l.sees("a", "4-0")
}

// Failures are in the checkpoint, so the next owner goes on counting.
func TestFailuresAreStoredForTheNextOwner(t *testing.T) {
	server := servers.New(t)
	fail := func(context.Context, *feed.Batch) error { return errNo }
	l := startLive(t, server.ClientOption(), feed.Config{RetryDelay: time.Hour}, fail)
	l.call("XADD a 1-0 n 1")
	l.announce("a")
	until(t, "the stream waits for a retry", func() bool { return l.Stats().Retrying == 1 })
	require.NoError(t, l.stop())
	text, err := l.client.Do(t.Context(), l.client.B().Hget().Key("{"+service+"-input}:checkpoints").Field("sa").Build()).ToString()
	require.NoError(t, err)
	require.Regexp(t, `^\d+ [vr] f1 0-0 1$`, text)
	l = startLive(t, server.ClientOption(), feed.Config{MaxRetries: 1}, fail)
	until(t, "the stream has failed", func() bool {
		n, _ := l.call("ZCARD {%s-input}:later", service).AsInt64()
		return n == 1
	})
}
