package schedule

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTicksThatAreOverWakeNobodyWhoWakesSoon: they wait for the next turn of the wheel, if that is near.
func TestTicksThatAreOverWakeNobodyWhoWakesSoon(t *testing.T) {
	now := int64(1)
	b := newInbox(func() int64 { return now })
	wakes := func(add func()) bool {
		add()
		woke := len(b.ready) == 1
		if woke {
			<-b.ready
		}
		return woke
	}
	over, put := func() { b.over(&job{}) }, func() { b.put(func() {}) }
	require.True(t, wakes(over), "the loop is at work, and may have taken what there was")
	b.sleeps(now + soon)
	require.False(t, wakes(over))
	require.True(t, wakes(put), "something else")
	b.sleeps(now + soon + 1)
	require.True(t, wakes(over))
	now += 5 * soon
	require.False(t, wakes(over), "the timer has just fired")
	require.Len(t, b.take(nil), 5)
	require.True(t, wakes(over), "the loop is at work")
	require.Len(t, b.take(nil), 1)
	require.Empty(t, b.take(nil))
}
