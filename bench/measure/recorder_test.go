package measure

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecorderKeepsWhatWasObserved(t *testing.T) {
	var r Recorder
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 1000 {
				r.Observe(time.Duration(i+1) * time.Millisecond)
			}
		})
	}
	all.Wait()
	before := r.Read()
	require.EqualValues(t, 4000, before.Count())
	require.InEpsilon(t, 500*time.Millisecond, before.Quantile(.5), 0.03)
	require.InEpsilon(t, 990*time.Millisecond, before.Quantile(.99), 0.03)
	require.InEpsilon(t, time.Second, before.Quantile(1), 0.03)

	r.Observe(-time.Second)
	r.Observe(time.Nanosecond)
	r.Observe(time.Hour)
	since, err := r.Read().Since(before)
	require.NoError(t, err)
	require.EqualValues(t, 3, since.Count())
	require.Zero(t, since.Quantile(.1))
	require.Equal(t, 1024*time.Second, since.Quantile(1), "the last bucket")
}

func BenchmarkRecorder(b *testing.B) {
	var r Recorder
	for b.Loop() {
		r.Observe(1234 * time.Microsecond)
	}
}
