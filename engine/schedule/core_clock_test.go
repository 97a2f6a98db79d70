package schedule

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Ticks follow the server's clock, not that of this process.
func TestClockOfTheServer(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.step(12*time.Hour + 300*time.Millisecond)
		w.put(aligned("a", time.Second))
		w.own("a")
		w.pass(5 * time.Second)
		fired := w.ticks()
		require.Len(t, fired, 5)
		require.Equal(t, w.now().Truncate(time.Second), fired[4].At.Local())

		w.step(-30 * time.Second)
		w.pass(time.Second) // beats answer the time once a second
		w.ticks()
		w.pass(28 * time.Second)
		require.Empty(t, w.ticks(), "nothing is fired at or before the last one")
		w.pass(5 * time.Second)
		require.NotEmpty(t, w.ticks())

		w.step(time.Hour)
		w.pass(3 * time.Second)
		missed := 0
		for _, f := range w.ticks() {
			missed = max(missed, f.Missed)
		}
		require.Greater(t, missed, 3500)
	})
}

// What is owned before the server's clock is known ticks as soon as it is.
func TestClockIsNotKnownYet(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.mu.Lock()
		w.timeless = true
		w.mu.Unlock()
		w.core.times.parts[0].known.Store(false)
		w.put(aligned("a", time.Second))
		w.own("a")
		w.pass(1800 * time.Millisecond)
		require.Empty(t, w.ticks())
		w.mu.Lock()
		w.timeless = false
		w.mu.Unlock()
		w.pass(3 * timesSoon)
		require.NotEmpty(t, w.ticks())
	})
}

func (w *world) step(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}
