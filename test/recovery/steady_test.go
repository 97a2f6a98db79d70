package recovery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// steady makes a partition in which 20 live consumers have this many entries pending. look is the full scan of one of them at the
// interval. Sessions last and nobody renews, so the cost of the scan can be counted.
func steady(t testing.TB, pending int) (h *harness, look func()) {
	h = newHarness(t)
	store := h.rawStore(10 * time.Second)
	ctx := context.Background()
	for i := range 20 {
		_, err := store.Open(ctx, 0, fmt.Sprint("c.", i), 0)
		require.NoError(t, err)
		h.Do("ZADD", h.keys.Sessions, fmt.Sprint(h.Now()+time.Hour.Milliseconds()), fmt.Sprint("c.", i))
	}
	h.add(upTo(pending)...)
	for i := range 20 {
		_, err := store.Read(ctx, 0, fmt.Sprint("c.", i), pending/20, time.Millisecond)
		require.NoError(t, err)
	}
	require.Equal(t, pending, h.state().Pending)
	scanner := scan.NewStore(h.layout, scan.Settings{
		Config: scan.Config{}.WithDefaults(), SessionTTL: 10 * time.Second, Gap: time.Hour, Settle: true, Timeout: patience, Page: 256,
	}, h.Client, nil)
	return h, func() {
		h.Do("DEL", h.keys.Scan)
		turn, err := scanner.Turn(ctx, 0, "c.0")
		require.NoError(t, err)
		require.True(t, turn)
		dead, err := scanner.Dead(ctx, 0, "c.0", true)
		require.NoError(t, err)
		require.Empty(t, dead)
	}
}

// TestScanCostsTheSameHoweverMuchIsPending: the same commands with 1,000 and with 100,000 pending entries.
func TestScanCostsTheSameHoweverMuchIsPending(t *testing.T) {
	t.Parallel()
	var counts []map[string]int64
	for _, pending := range []int{1000, 100_000} {
		h, look := steady(t, pending)
		look() // from now on the server knows the scripts
		before, err := h.server.CommandStats(context.Background())
		require.NoError(t, err)
		look()
		counts = append(counts, h.since(before))
	}
	t.Log(counts[0])
	require.Equal(t, counts[0], counts[1])
	require.EqualValues(t, 2, counts[0]["evalsha"], "two round trips")
	total := int64(0)
	for _, n := range counts[0] {
		total += n
	}
	require.LessOrEqual(t, total, int64(20+15), "one command per consumer, and a few more")
}

// since returns how often the server has run each command since then.
func (h *harness) since(before map[string]servers.CommandStat) map[string]int64 {
	h.T.Helper()
	after, err := h.server.CommandStats(context.Background())
	require.NoError(h.T, err)
	out := make(map[string]int64)
	for name, s := range after {
		if n := s.Calls - before[name].Calls; n > 0 && name != "info" && name != "del" {
			out[name] = n
		}
	}
	return out
}

// BenchmarkScan measures a scan of a partition in the steady state.
func BenchmarkScan(b *testing.B) {
	for _, pending := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			h, look := steady(b, pending)
			look()
			before := h.commands()
			b.ResetTimer()
			for range b.N {
				look()
			}
			b.StopTimer()
			b.ReportMetric(float64(h.commands()-before)/float64(b.N), "commands/op")
		})
	}
}
