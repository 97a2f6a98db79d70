package main

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newHistory(t *testing.T, file string) *history {
	t.Helper()
	h, err := openHistory(t.Context(), file)
	require.NoError(t, err)
	return h
}

// Reports that come again, be it after a crash of a process that checks or of the one that records, change nothing.
func TestAReportCountsOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a file #1?.db")
	h := newHistory(t, file)
	position, err := h.position(t.Context())
	require.NoError(t, err)
	require.Equal(t, "0-0", position)
	batch := []Report{
		{Monitor: "a", At: noon, Late: 5 * time.Millisecond, State: State{Took: 7 * time.Millisecond}},
		{Monitor: "a", At: noon.Add(time.Second), Late: 3 * time.Second, Missed: 2, State: State{Error: "refused"}},
		{Monitor: "b", At: noon},
		{Monitor: "a", At: noon, Late: 9 * time.Second},
	}
	require.NoError(t, h.write(t.Context(), batch, "1-0"))
	require.NoError(t, h.close())

	h = newHistory(t, file)
	defer h.close()
	require.NoError(t, h.write(t.Context(), batch, "1-0"))
	require.NoError(t, h.write(t.Context(), []Report{{Monitor: "b", At: noon.Add(time.Minute)}}, "2-0"))
	position, err = h.position(t.Context())
	require.NoError(t, err)
	require.Equal(t, "2-0", position)

	past, err := h.last(t.Context(), "a", 10)
	require.NoError(t, err)
	require.Len(t, past, 2)
	require.Equal(t, "refused", past[0].Error)
	require.Equal(t, 7*time.Millisecond, past[1].Took)
	require.Equal(t, 5*time.Millisecond, past[1].Late)
	require.True(t, past[1].At.Equal(noon))

	share, err := h.share(t.Context(), "a", noon)
	require.NoError(t, err)
	require.Equal(t, Share{Checks: 2, Good: 1}, share)

	minutes, err := h.minutes(t.Context(), noon)
	require.NoError(t, err)
	require.Len(t, minutes, 2)
	require.Equal(t, Minute{At: minutes[0].At, Checks: 3, Late: 1, Latest: 3 * time.Second, Missed: 2}, minutes[0])
	require.Equal(t, 1, minutes[1].Checks)
}

func TestTheHistoryOfAMonitorIsReadByItsKey(t *testing.T) {
	h := newHistory(t, filepath.Join(t.TempDir(), "test.db"))
	defer h.close()
	var batch []Report
	for i := range reportBatch {
		batch = append(batch, Report{Monitor: fmt.Sprint(i % 10), At: noon.Add(time.Duration(i) * time.Second)})
	}
	require.NoError(t, h.write(t.Context(), batch, "1-0"))
	past, err := h.last(t.Context(), "3", 50)
	require.NoError(t, err)
	require.Len(t, past, 50)
	require.True(t, past[0].At.After(past[49].At))

	rows, err := h.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN SELECT at FROM reports WHERE monitor = 3 ORDER BY at DESC LIMIT 50")
	require.NoError(t, err)
	plan, err := collect(rows, nil, func(s *string) error { var n int; return rows.Scan(&n, &n, &n, s) })
	require.NoError(t, err)
	require.Equal(t, []string{"SEARCH reports USING PRIMARY KEY (monitor=?)"}, plan)

	require.NoError(t, h.prune(t.Context(), noon.Add(993*time.Second)))
	for monitor, want := range map[string]int{"2": 0, "3": 1, "9": 1} {
		past, err := h.last(t.Context(), monitor, 100)
		require.NoError(t, err)
		require.Len(t, past, want, monitor)
	}
}

// A process that records has to keep up with all others.
func BenchmarkWrite(b *testing.B) {
	for _, monitors := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(monitors), func(b *testing.B) {
			h, err := openHistory(b.Context(), filepath.Join(b.TempDir(), "test.db"))
			require.NoError(b, err)
			defer h.close()
			n := 0
			for b.Loop() {
				batch := make([]Report, reportBatch)
				for i := range batch {
					batch[i] = Report{Monitor: fmt.Sprint(n % monitors), At: noon.Add(time.Duration(n/monitors) * time.Second)}
					n++
				}
				require.NoError(b, h.write(b.Context(), batch, "1-0"))
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
