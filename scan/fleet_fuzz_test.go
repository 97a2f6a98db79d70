package scan

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Anybody may write to these keys: whatever is there is read, or is not.
func FuzzFleetAndWishes(f *testing.F) {
	f.Add("1000 0 0 shares", "streams:pod", "pause 7000 0 why", int64(1))
	f.Add("250 7 1700000000000 full more", "weight:pod.1", "weight 7000 10 ", int64(6999))
	f.Add("", "freeze:", "freeze 7000 0 \xff", int64(-1))
	f.Fuzz(func(t *testing.T, row, field, value string, now int64) {
		if m, ok := parseMember(row); ok {
			require.GreaterOrEqual(t, m.weight, 0.)
			require.GreaterOrEqual(t, m.away, 0)
			require.NotEmpty(t, m.state)
		}
		w, ok := parseWish(field, value, now)
		if !ok {
			require.Zero(t, w)
			return
		}
		require.Positive(t, w.Left)
		require.LessOrEqual(t, w.Left, mostLeft)
		w.For = MinWish
		if err := w.validate(); err != nil {
			require.True(t, strings.Contains(err.Error(), "Reason"), err)
		}
		require.Equal(t, field, wishField(w.Kind, w.Consumer))
	})
}
