package migrating

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/telemetry"
)

// What a process of redis-stream-client-go leaves behind when it is killed goes to an engine: what it owned, what it had finished before,
// and what nobody had read. While its locks last, the engine refuses to start. Then the service moves back.
func TestRedisStreamClientGoMovesAndMovesBack(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const input, group, old = "chat-input", "chat-group", "redis-consumer-pod-1"
	h.Do("XGROUP", "CREATE", input, group, "$", "MKSTREAM") // as its Init does
	for n := range 6 {
		h.Do("XADD", input, "*", "lbs-input", fmt.Sprintf(`{"DataStreamName":"s-%d","Info":{"n":%d}}`, n, n))
	}
	ids := h.consume(input, group, old, "4")
	for n, id := range ids {
		h.Do("SET", fmt.Sprintf("s-%d<MUTEX_KEY_SEP>%s", n, id), old, "PX", "600000")
	}
	h.Do("DEL", "s-1<MUTEX_KEY_SEP>"+ids[1]) // its DoneStream
	h.Do("XACK", input, group, ids[1])
	h.Do("XDEL", input, ids[1])

	var log telemetry.Log
	err := h.engine(&log).Run(t.Context(), api.HandlerFunc(func(context.Context, api.Notification) error { return nil }))
	require.ErrorIs(t, err, api.ErrForeignConsumers)
	require.ErrorContains(t, err, old)

	for n, id := range ids { // it was killed two seconds ago
		h.Do("DEL", fmt.Sprintf("s-%d<MUTEX_KEY_SEP>%s", n, id))
	}
	var mu sync.Mutex
	var owned []string
	e := h.engine(&log)
	stop := h.background(&log, func(ctx context.Context) error {
		return e.Run(ctx, api.HandlerFunc(func(_ context.Context, n api.Notification) error {
			if n.Kind != api.Added {
				return nil
			}
			info, err := api.DecodeInfo[struct{ N int }](n.Lease)
			mu.Lock()
			defer mu.Unlock()
			owned = append(owned, fmt.Sprintf("s-%d", info.N))
			if owned[len(owned)-1] != n.Stream {
				return fmt.Errorf("%s has the Info of %s", n.Stream, owned[len(owned)-1])
			}
			return err
		}))
	})
	want := []string{"s-0", "s-2", "s-3", "s-4", "s-5"}
	h.until("it owns all that was not finished", func() bool { return e.Stats().Held == len(want) })
	require.Equal(t, []string{e.ID()}, h.Consumers(input, group), "what the old consumer left was recovered, and its name is gone")
	require.NoError(t, stop())
	slices.Sort(owned)
	require.Equal(t, want, owned, "each once")

	// Back: what was handed back is undelivered, as any announcement.
	back := h.consume(input, group, old, "100")
	require.Len(t, back, len(want))
	streams := make([]string, 0, len(want))
	for _, entry := range h.Stream(input) {
		var a struct{ DataStreamName string }
		require.NoError(t, json.Unmarshal([]byte(entry.FieldValues["lbs-input"]), &a))
		streams = append(streams, a.DataStreamName)
	}
	slices.Sort(streams)
	require.Equal(t, want, streams)
	require.Zero(t, h.Num("ZCARD", "{chat-input}:later"))
	require.Zero(t, h.Num("XLEN", "{chat-input}-dlq"))
}
