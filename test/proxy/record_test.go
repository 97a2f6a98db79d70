package proxy

import (
	"bufio"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWaitEndsWithItsContext(t *testing.T) {
	_, p := start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	require.ErrorIs(t, p.WaitSeen(ctx, "PING", 1), why)
	require.NoError(t, p.WaitSeen(ctx, "PING", 0))
}

func TestPipelineDeeperThanTheBuffers(t *testing.T) {
	_, p := start(t)
	w := dial(t, p.Addr())
	const n = 2*underWay + 500
	go func() {
		b := bufio.NewWriter(w)
		for range n {
			_, _ = b.WriteString("PING\r\n")
		}
		_ = b.Flush()
	}()
	for range n {
		w.expect("+PONG\r\n")
	}
	require.Equal(t, n, p.Seen("PING"))
}
