package pod

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/test/journal"
)

func newJournal(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal"), "a", "s-", 10)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

func TestJobsEndAsChosen(t *testing.T) {
	for how, want := range map[float64]journal.State{
		0: journal.Failed, failedShare: journal.Given, failedShare + releasedShare: journal.Finished, .99: journal.Finished,
	} {
		j := newJournal(t)
		l := leasetest.New("s-1")
		end(l, j.Add(l), how)
		require.Equal(t, want, j.Read()[0].State, "%v", how)
		require.Zero(t, l.Remaining())
	}
	j := newJournal(t)
	l := leasetest.New("s-1")
	page := j.Add(l)
	l.Lose(nil)
	end(l, page, .99)
	require.Equal(t, journal.Owned, j.Read()[0].State, "nobody ended it")
}

func TestOutcomeOfDone(t *testing.T) {
	for err, want := range map[error]journal.State{
		nil:                   journal.Finished,
		api.ErrOutcomeUnknown: journal.Ending,
		io.EOF:                journal.Ending,
		api.ErrLeaseLost:      journal.Owned,
		api.ErrNotHeld:        journal.Owned,
	} {
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		require.Equal(t, want, outcome(err), "%v", err)
	}
}

func TestWorkTakesTheGivenTimeOnAverage(t *testing.T) {
	w := newJobs(time.Second, 7, nil)
	again := newJobs(time.Second, 7, nil)
	sum, most := time.Duration(0), time.Duration(0)
	for range 10_000 {
		how, took := w.draw()
		how2, took2 := again.draw()
		require.Equal(t, how, how2, "the same seed")
		require.Equal(t, took, took2)
		sum, most = sum+took, max(most, took)
	}
	require.InDelta(t, time.Second, sum/10_000, float64(50*time.Millisecond))
	require.Equal(t, longestWork*time.Second, most)
}
