package engine

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

func newLife() *life {
	l := &life{}
	l.init(DefaultDrainTimeout)
	return l
}

// Of several goroutines that start an engine, one does.
func TestLifeBeginsOnce(t *testing.T) {
	l := newLife()
	var begun atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := l.begin(); err == nil {
				begun.Add(1)
			} else if err != api.ErrStarted {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, begun.Load())
}

// An engine that is closed reports that, whether it was started before or not.
func TestLifeDoesNotBeginOnceClosed(t *testing.T) {
	for _, started := range []bool{false, true} {
		l := newLife()
		if started {
			require.NoError(t, l.begin())
		}
		l.mu.Lock()
		l.mu.closed = true
		l.mu.Unlock()
		require.ErrorIs(t, l.begin(), api.ErrClosed)
	}
}

// A drain is not an immediate stop, and neither changes whether the engine runs.
func TestLifeStagesAreIndependent(t *testing.T) {
	l := newLife()
	require.False(t, l.isRunning())
	l.setRunning(true)
	l.beginDrain()
	require.Error(t, l.drain.Err())
	require.NoError(t, l.hurry.Err())
	require.True(t, l.isRunning(), "it runs until the drain has ended")
	l.beginHurry()
	require.Error(t, l.hurry.Err())
	l.setRunning(false)
	require.False(t, l.isRunning())
	select {
	case <-l.ended:
		t.Error("it has not ended yet")
	default:
	}
}
