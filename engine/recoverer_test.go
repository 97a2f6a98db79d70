package engine

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// loopScan finds one dead consumer, once. All of its entries are equally suspect.
type loopScan struct {
	fakeScan
	waiting int
	found   bool
}

func (s *loopScan) Dead(context.Context, int, string, bool) ([]string, error) {
	if s.found {
		return nil, nil
	}
	return []string{"other.1"}, nil
}

func (s *loopScan) Recover(context.Context, int, string, string) (scan.Recovered, error) {
	s.found = true
	return scan.Recovered{Entries: 9, Suspected: s.waiting, Removed: true}, nil
}

// Trace: nobody noticed a crash loop that no announcement was to blame for, until every announcement had been dead-lettered.
func TestCrashLoopIsReported(t *testing.T) {
	for _, waiting := range []int{0, 7} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			e := h.newEngine()
			e.scan = &loopScan{fakeScan: fakeScan{e.fake}, waiting: waiting}
			e.startRun()
			synctest.Wait()
			advance(2 * time.Second)
			require.Equal(t, waiting > 0, slices.Contains(e.events(), api.EventCrashLoop))
			require.EqualValues(t, waiting, e.counted("suspects_total"))
			if waiting == 0 {
				require.NotContains(t, e.logged(), "crash loop")
				return
			}
			require.Contains(t, e.logged(), "level=ERROR msg=\"crash loop\"")
			require.Contains(t, e.logged(), "7 announcements of other.1")
			require.Contains(t, e.logged(), "find out why processes die")
			i := slices.IndexFunc(e.emitted, func(v api.Event) bool { return v.Kind == api.EventCrashLoop })
			require.Zero(t, e.emitted[i].Partition)
		})
	}
}
