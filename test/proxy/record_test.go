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

func TestLogIsBounded(t *testing.T) {
	_, p := start(t)
	w := dial(t, p.Addr())
	const n = 2*logLength + 500
	go func() {
		b := bufio.NewWriter(w)
		for range n {
			_, _ = b.WriteString("PING\r\n")
		}
		_, _ = b.WriteString("script exists x\r\n")
		_ = b.Flush()
	}()
	for range n {
		w.expect("+PONG\r\n")
	}
	w.expect("*1\r\n:0\r\n")
	log := p.Log()
	require.GreaterOrEqual(t, len(log), logLength)
	require.LessOrEqual(t, len(log), 2*logLength)
	require.Equal(t, "SCRIPT EXISTS", log[len(log)-1])
	require.Equal(t, n, p.Seen("PING"))
}
