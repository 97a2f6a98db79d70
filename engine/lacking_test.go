package engine

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
)

// However many calls are refused, one asks at a time, the others do not wait for it, and what it found is remembered for 30 s.
func TestOneCallAsksWhichRightsAreMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lacking
		clock := lease.NewClock()
		found := []preflight.Lack{{User: "chat", Rules: []string{"+xadd"}}}
		asked := 0
		ask := func(context.Context) []preflight.Lack {
			asked++
			time.Sleep(time.Second)
			return found
		}
		find := func() []preflight.Lack { return l.find(t.Context(), clock, ask) }

		var group sync.WaitGroup
		group.Go(func() { require.Equal(t, found, find()) })
		synctest.Wait()
		began := time.Now()
		for range 99 {
			require.Empty(t, find())
		}
		require.Zero(t, time.Since(began))
		group.Wait()
		require.Equal(t, found, find())
		time.Sleep(lackingFor - 1)
		require.Equal(t, found, find())
		require.Equal(t, 1, asked)
		time.Sleep(time.Nanosecond)
		require.Equal(t, found, find())
		require.Equal(t, 2, asked)
	})
}

// An answer that the end of a caller's context cut short says nothing to other calls.
func TestRightsThatWereNotAllAskedForAreNotRemembered(t *testing.T) {
	var l lacking
	clock := lease.NewClock()
	asked := 0
	ask := func(context.Context) []preflight.Lack { asked++; return nil }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{ended, ended, t.Context(), t.Context()} {
		l.find(ctx, clock, ask)
	}
	require.Equal(t, 3, asked)
}
