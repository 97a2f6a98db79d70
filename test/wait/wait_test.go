package wait

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/virtual"
)

func TestForEndsWhenTheConditionHolds(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		began, n := time.Now(), 0
		require.True(t, For(time.Minute, time.Second, func() bool { n++; return n == 4 }))
		require.Equal(t, 3*time.Second, time.Since(began), "the first check is at once")
		require.True(t, For(0, time.Second, func() bool { return true }))
	})
}

func TestForEndsAfterTheLimit(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		began := time.Now()
		require.False(t, For(5*time.Second, 2*time.Second, func() bool { return false }))
		require.Equal(t, 6*time.Second, time.Since(began), "at the first check after it")
	})
}
