package migrating

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/telemetry"
)

// A stream whose readers were a consumer group of their own, some of whose messages are pending, some handled out of order, and some not
// read by anybody, is moved to a feed: it handles what is left, once each and in order. Then the stream moves back to the group.
func TestConsumerGroupMovesToAFeedAndBack(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const stream, group = "events:1", "workers"
	sent := 0
	add := func() string {
		sent++
		return h.Text("XADD", stream, "*", "n", fmt.Sprint(sent))
	}
	var ids []string
	for range 10 {
		ids = append(ids, add())
	}
	h.Do("XADD", "events:2", "*", "n", "1")
	for _, s := range []string{stream, "events:2"} {
		h.Do("XGROUP", "CREATE", s, group, "0")
	}
	require.Equal(t, ids[:6], append(h.consume(stream, group, "old-1", "3"), h.consume(stream, group, "old-2", "3")...))
	h.Do("XACK", stream, group, ids[0], ids[1], ids[3]) // 3, 5 and 6 are pending; 7 to 10 were given to nobody

	// The old readers have ended. The new ones own nothing until a stream is announced.
	var log telemetry.Log
	var mu sync.Mutex
	var handled []string
	e := h.engine(&log)
	f, err := feed.New(e, handleLeft(h.Client, group, func(_ context.Context, _ string, m feed.Message) error {
		mu.Lock()
		defer mu.Unlock()
		handled = append(handled, m.ID)
		return nil
	}), feed.Config{MaxBatch: 4})
	require.NoError(t, err)
	stop := h.background(&log, f.Run)
	h.until("the engine is ready", func() bool { return e.Ready(context.Background()) == nil })
	publisher, err := engine.NewPublisher(h.Client, "chat")
	require.NoError(t, err)
	_, err = publisher.Publish(t.Context(), stream, nil)
	require.NoError(t, err)
	want := []string{ids[2], ids[4], ids[5], ids[6], ids[7], ids[8], ids[9]}
	for range 3 { // producers go on
		want = append(want, add())
	}
	h.until("all is handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) >= len(want)
	})
	pending, err := h.Try("XPENDING", stream, group).ToArray()
	require.NoError(t, err)
	n, err := pending[0].AsInt64()
	require.NoError(t, err)
	require.Zero(t, n, "the group has nothing left that is pending")
	require.NoError(t, stop())
	require.Equal(t, want, handled)
	require.Len(t, h.consume("events:2", group, "old-1", "10"), 1, "a stream that was not announced is still the group's")

	// Back: the group goes on where the feed has stopped.
	inspector, err := scan.NewInspector(h.Client, "chat", scan.InspectorConfig{})
	require.NoError(t, err)
	story, err := inspector.Story(t.Context(), stream)
	require.NoError(t, err)
	upto, ok := feed.HandledUpTo(story.Checkpoint.Value)
	require.True(t, ok)
	require.Equal(t, want[len(want)-1], upto)
	later := add()
	h.Do("XGROUP", "SETID", stream, group, upto)
	require.Equal(t, []string{later}, h.consume(stream, group, "old-1", "10"))
}

// The code on the page is the code that was tested.
func TestThePageHasWhatIsTested(t *testing.T) {
	source, err := os.ReadFile("left_test.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(source), "a test compares them.\n\n")
	require.True(t, found)
	page, err := os.ReadFile("../../docs/migrating-consumer-groups.md")
	require.NoError(t, err)
	require.Contains(t, string(page), "```go\n"+code+"```\n")
}
