package lease

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/virtual"
)

// A lease that was lost while an attempt to end it had no answer is off the table, and its entry on its way back, before its owner learns of it.
func TestOwnersLearnLastOfALeaseThatWasLostMeanwhile(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, n := held(t)
		left := make(chan error, 1)
		go func() { left <- l.DoneIf(t.Context(), "shut=1@x") }()
		synctest.Wait()
		require.Equal(t, 1, n.count())
		time.Sleep(11 * time.Second)
		told := 0
		require.False(t, l.Undo(func() {
			synctest.Wait()
			require.Empty(t, left)
			told++
		}))
		require.ErrorIs(t, <-left, api.ErrLeaseLost)
		require.Equal(t, 1, told)
	})
}

// An attempt that is undone in time calls nobody.
func TestLeaseIsHeldAgainAfterAnAttempt(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, _ := held(t)
		left := make(chan error, 1)
		go func() { left <- l.DoneIf(t.Context(), "shut=1@x") }()
		synctest.Wait()
		require.Zero(t, l.Remaining())
		require.True(t, l.Undo(func() { t.Error("it is held") }))
		require.ErrorIs(t, <-left, api.ErrNotShut)
		require.Positive(t, l.Remaining())
	})
}
