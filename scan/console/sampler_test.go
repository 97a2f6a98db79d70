package console

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
)

// counted is a source that counts how often it is read.
type counted struct {
	reads  atomic.Int64
	took   time.Duration
	failed atomic.Bool
}

func (c *counted) read(context.Context) *sample {
	c.reads.Add(1)
	time.Sleep(c.took)
	return &sample{At: time.Now(), Taken: time.Now(), Took: c.took, Known: !c.failed.Load()}
}

func TestOneSamplerIsForAllViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counted{}
		s := newSampler(2*time.Second, source.read)
		synctest.Wait()
		require.Zero(t, source.reads.Load(), "nobody watches")

		var leaves []func()
		var watchers []*watcher
		for range 50 {
			w, leave, ok := s.watch(50)
			require.True(t, ok)
			watchers, leaves = append(watchers, w), append(leaves, leave)
		}
		_, _, ok := s.watch(50)
		require.False(t, ok, "that is one too many")
		first, err := s.current(t.Context())
		require.NoError(t, err)
		require.NotNil(t, first)
		synctest.Wait()
		require.EqualValues(t, 1, source.reads.Load())
		time.Sleep(20*time.Second + time.Millisecond)
		require.EqualValues(t, 11, source.reads.Load())
		for _, w := range watchers {
			newest := <-w.news // they have taken none: the newest one waits
			require.WithinDuration(t, time.Now(), newest.At, 100*time.Millisecond)
		}

		for _, leave := range leaves {
			leave()
		}
		time.Sleep(linger + 5*time.Second)
		stopped := source.reads.Load()
		time.Sleep(time.Hour)
		require.Equal(t, stopped, source.reads.Load(), "a minute after the last viewer nothing runs")
		require.LessOrEqual(t, stopped, int64(11+31))

		again, err := s.current(t.Context())
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), again.At, time.Second, "not what it was an hour ago")
		s.stop()
		s.stop()
		_, err = s.current(t.Context())
		require.ErrorIs(t, err, errClosed)
		_, _, ok = s.watch(50)
		require.False(t, ok)
	})
}

// A sample takes no more than a hundredth of the time, by the quickest of the last ones.
func TestSlowSamplesAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counted{took: 80 * time.Millisecond}
		s := newSampler(2*time.Second, source.read)
		defer s.stop()
		_, leave, ok := s.watch(1)
		require.True(t, ok)
		defer leave()
		time.Sleep(10 * time.Minute)
		require.InDelta(t, 10*time.Minute/(8*time.Second), source.reads.Load(), 3)
		found, err := s.current(t.Context())
		require.NoError(t, err)
		require.Equal(t, 8*time.Second, found.Every)

		source.failed.Store(true)
		time.Sleep(time.Minute)
		found, err = s.current(t.Context())
		require.NoError(t, err)
		require.Equal(t, afterFailure, found.Every, "what failed kept no server busy")
	})
}

// The first samples of a page take long where connections and scripts are new. What they say is not old for that.
func TestSlowFirstSamplesMakeNoOldPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counted{took: time.Second}
		s := newSampler(2*time.Second, source.read)
		defer s.stop()
		_, leave, ok := s.watch(1)
		require.True(t, ok)
		defer leave()
		time.Sleep(lookBack * (warmUp + time.Second))
		require.EqualValues(t, lookBack, source.reads.Load())
		time.Sleep(90 * time.Second)
		require.EqualValues(t, lookBack, source.reads.Load(), "from then on a sample takes a hundredth of the time")
	})
}

func TestTheFirstSampleIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counted{took: time.Hour}
		s := newSampler(2*time.Second, source.read)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.current(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		s.stop()
	})
}

func process(name string, held int) scan.Process {
	return scan.Process{Name: name, ConsumerID: name, State: scan.BalanceShares, Weight: 1, Held: held, Fair: 100, Fill: float64(held)}
}

// The journal has what came, went and changed; the chart draws at most 12 processes by themselves.
func TestHistory(t *testing.T) {
	var h history
	at := time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)
	see := func(processes ...scan.Process) {
		at = at.Add(2 * time.Second)
		h.add(&sample{At: at, Known: true, Balance: scan.Balance{Processes: processes}})
	}
	h.interrupted()
	see(process("a", 10), process("b", 20))
	require.Empty(t, h.journal(), "nobody knows when those came")
	paused, dead := process("a", 10), process("b", 20)
	paused.State, dead.Dead = scan.BalancePaused, true
	see(paused, dead, process("c", 0))
	h.add(&sample{At: at, Known: true, Err: errors.New("a partition is missing")})
	see(paused, process("c", 20))
	var said []string
	for _, m := range h.journal() {
		said = append(said, m.Name+" "+m.What)
	}
	require.Equal(t, []string{"b went; it last held 20 streams", "c appeared", "b died, holding 20 streams", "a was sharing, is paused"}, said)

	c := h.chart()
	require.Len(t, c.Lines, 3)
	require.Equal(t, 20, c.Lines[2].Held)
	require.False(t, c.Lines[1].Here)

	h.interrupted()
	var many []scan.Process
	for n := range 700 {
		many = append(many, process(fmt.Sprintf("p%03d", n), 100+n%7))
	}
	see(many...)
	for range 5 * mostPoints {
		see(process("a", 10), process("b", 20))
	}
	see(many...)
	require.LessOrEqual(t, len(h.points), mostPoints)
	c = h.chart()
	require.Len(t, c.Lines, mostLines+1)
	others := c.Lines[mostLines]
	require.Equal(t, 700-mostLines, others.Others)
	require.LessOrEqual(t, len(h.moves), mostMoves)
	require.Greater(t, c.To.Sub(c.From), time.Hour/2, "the chart spans all of it")
}
