package measure

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPollAsksUntilItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, began := 0, time.Now()
		require.NoError(t, Poll(t.Context(), time.Second, func() (bool, error) {
			asked++
			return asked == 3, nil
		}))
		require.Equal(t, 2*pollEvery, time.Since(began), "the first time at once")

		failed := errors.New("failed")
		require.ErrorIs(t, Poll(t.Context(), time.Second, func() (bool, error) { return false, failed }), failed)
		never := func() (bool, error) { return false, nil }
		require.ErrorIs(t, Poll(t.Context(), time.Second, never), context.DeadlineExceeded)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, Poll(ctx, time.Second, never), context.Canceled)
		require.ErrorIs(t, Pause(ctx, time.Second), context.Canceled)
	})
}
