package cond

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert" // require may not be used outside the goroutine of the test
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/virtual"
)

func TestWaitReturnsAtOnceWhenThereIsNothingToWaitFor(t *testing.T) {
	var c Cond
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.True(t, c.Wait(ctx, func() bool { return true }), "ok is called before ctx is looked at")
	require.Zero(t, c.Waiters())
	c.Broadcast()
}

func TestBroadcastWakesAllWaiters(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var c Cond
		var free atomic.Int32
		take := func() bool {
			for n := free.Load(); n > 0; n = free.Load() {
				if free.CompareAndSwap(n, n-1) {
					return true
				}
			}
			return false
		}
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				assert.True(t, c.Wait(t.Context(), take))
			})
		}
		synctest.Wait()
		require.Equal(t, 5, c.Waiters())
		c.Broadcast() // nothing has changed
		synctest.Wait()
		require.Equal(t, 5, c.Waiters())
		free.Store(3)
		c.Broadcast()
		synctest.Wait()
		require.Equal(t, 2, c.Waiters())
		free.Store(2)
		c.Broadcast()
		group.Wait()
		require.Zero(t, c.Waiters())
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var c Cond
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, c.Wait(ctx, func() bool { return false }))
		require.Equal(t, time.Second, time.Since(began))
		require.Zero(t, c.Waiters())
	})
}

// A change between the call of ok and the wait for the next change is not missed.
func TestNoChangeIsMissed(t *testing.T) {
	var c Cond
	var turn atomic.Int64
	const turns = 5000
	var group sync.WaitGroup
	for me := range int64(2) {
		group.Go(func() {
			for n := me; n < turns; n += 2 {
				if !c.Wait(t.Context(), func() bool { return turn.Load() == n }) {
					return
				}
				turn.Store(n + 1)
				c.Broadcast()
			}
		})
	}
	group.Wait()
	require.EqualValues(t, turns, turn.Load())
}
