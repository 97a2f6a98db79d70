package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDrainPlan(t *testing.T) {
	end := time.Now()
	for _, c := range []struct {
		timeout  time.Duration
		streams  int
		handlers time.Duration
		handBack time.Duration
		last     time.Duration
	}{
		{20 * time.Second, 0, 17 * time.Second, 2 * time.Second, time.Second},
		{20 * time.Second, 10_000, 16 * time.Second, 3 * time.Second, time.Second},
		{20 * time.Second, 100_000, 9 * time.Second, 10 * time.Second, time.Second},
		{20 * time.Second, 1_000_000_000, 9 * time.Second, 10 * time.Second, time.Second},
		{time.Hour, 100_000, time.Hour - 13*time.Second, 12 * time.Second, time.Second},
		{4 * time.Second, 1000, 2700 * time.Millisecond, 1100 * time.Millisecond, 200 * time.Millisecond},
		{MinDrainTimeout, 0, 70 * time.Millisecond, 25 * time.Millisecond, 5 * time.Millisecond},
		{MinDrainTimeout, 1000, 45 * time.Millisecond, 50 * time.Millisecond, 5 * time.Millisecond},
	} {
		p := drainPlan{c.timeout, end}
		require.Equal(t, c.handBack, p.reserve(c.streams), c)
		require.Equal(t, c.last, end.Sub(p.handBackUntil()), c)
		require.Equal(t, c.handlers, c.timeout-end.Sub(p.handlersUntil(c.streams)), c)
	}
}
