package suite

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/report"
)

func TestHandBackIsArithmetic(t *testing.T) {
	h := handBackAdvice(50_000, 20_000)
	require.Equal(t, 2500*time.Millisecond, h.Takes)
	require.Equal(t, 5*time.Second, h.Timeout)
	row := func(h HandBack) string {
		table := report.NewTable("", "", "")
		h.row(table)
		return table.Render()
	}
	text := row(h)
	require.Contains(t, text, "hand back 50,000 streams: 50,000 / 20,000 a second = 2.50 s")
	require.Contains(t, text, "at least 5.00 s")
	require.NotContains(t, row(handBackAdvice(50_000, 0)), "WithDrainTimeout", "it was not measured")
}
