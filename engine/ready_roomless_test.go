package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// The last read failed, and then there is no room for another one: the process is paused, full, or holds more than its share. It used to be
// not ready for as long as that lasted, though nothing was wrong any more.
func TestProcessWithoutRoomIsReadyAfterItsLastReadFailed(t *testing.T) {
	for name, fill := range map[string]func(h *harness, e *testEngine){
		"paused":              func(_ *harness, e *testEngine) { e.Pause() },
		"full":                func(_ *harness, e *testEngine) { e.SetMaxStreams(10) },
		"more than its share": func(h *harness, _ *testEngine) { h.start(nil, WithConsumerID("other")) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				e := h.start(nil, WithConsumerID("first"))
				h.server.announce(streams(10)...)
				advance(3 * time.Second)
				require.Equal(t, 10, e.table.Len())
				e.fake.failOnly(fakeFault{skip: true, err: errCut}, "read")
				advance(10 * time.Second)
				require.ErrorIs(t, e.Ready(context.Background()), api.ErrNotReady, "it reads, and that fails")
				fill(h, e)
				advance(6 * time.Second) // a read may be under way
				require.NoError(t, e.Ready(context.Background()))
				require.Equal(t, 10, e.table.Len())
			})
		})
	}
}
