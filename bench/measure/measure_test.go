package measure

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// TestCommandsSentLeavesOutWhatScriptsCall: the server lists both under the same names.
func TestCommandsSentLeavesOutWhatScriptsCall(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	ctx := context.Background()
	before, err := CommandsSent(ctx, server)
	require.NoError(t, err)
	script := "for i = 1, 100 do redis.call('SET', KEYS[1], i) end return redis.call('INFO', 'server')"
	for range 3 {
		require.NoError(t, client.Do(ctx, client.B().Eval().Script(script).Numkeys(1).Key("k").Build()).Error())
	}
	require.NoError(t, client.Do(ctx, client.B().Ping().Build()).Error())
	after, err := CommandsSent(ctx, server)
	require.NoError(t, err)
	sent := after.Since(before)
	require.EqualValues(t, 3, sent.Scripts())
	require.GreaterOrEqual(t, sent["ping"], int64(1)) // the client may ping by itself, and say hello on further connections
	require.Subset(t, []string{"client", "eval", "hello", "ping"}, sent.Names())
	require.Equal(t, sent["client"]+sent["hello"]+sent["ping"]+3, sent.Total())
}

func newHistogram(t *testing.T) (*prometheus.Registry, prometheus.Histogram) {
	t.Helper()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", NativeHistogramBucketFactor: 1.03, NativeHistogramZeroThreshold: 1e-4})
	r := prometheus.NewRegistry()
	require.NoError(t, r.Register(h))
	return r, h
}

func TestHistogramQuantilesAreWithinABucket(t *testing.T) {
	r, h := newHistogram(t)
	first, err := ReadHistogram(r, "h")
	require.NoError(t, err)
	require.Zero(t, first.Quantile(1), "nothing was observed")
	for i := 1; i <= 1000; i++ {
		h.Observe(float64(i) / 1000) // 1 ms to 1 s
	}
	second, err := ReadHistogram(r, "h")
	require.NoError(t, err)
	all, err := second.Since(first)
	require.NoError(t, err)
	require.EqualValues(t, 1000, all.Count())
	for _, x := range []struct {
		q    float64
		want time.Duration
	}{{.5, 500 * time.Millisecond}, {.99, 990 * time.Millisecond}, {1, time.Second}, {0, time.Millisecond}} {
		require.InEpsilon(t, x.want, all.Quantile(x.q), .025, "quantile %v", x.q)
		require.GreaterOrEqual(t, all.Quantile(x.q), x.want)
	}

	for range 7 {
		h.Observe(0)
	}
	h.Observe(.25)
	third, err := ReadHistogram(r, "h")
	require.NoError(t, err)
	late, err := third.Since(second)
	require.NoError(t, err)
	require.EqualValues(t, 8, late.Count())
	require.Equal(t, 100*time.Microsecond, late.Quantile(.5), "the zero bucket")
	require.InEpsilon(t, 250*time.Millisecond, late.Quantile(1), .025)
}

func TestHistogramRefusesWhatIsNotNative(t *testing.T) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic"})
	r := prometheus.NewRegistry()
	require.NoError(t, r.Register(h))
	h.Observe(1)
	_, err := ReadHistogram(r, "classic")
	require.ErrorContains(t, err, "not a native histogram")
	_, err = ReadHistogram(r, "absent")
	require.ErrorContains(t, err, "0 histograms")
}

func TestCounterAndObservationsGoByLabel(t *testing.T) {
	r := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c"}, []string{"service", "result"})
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "h"}, []string{"script"})
	r.MustRegister(c, h)
	c.WithLabelValues("a", "kept").Add(2)
	c.WithLabelValues("b", "kept").Add(3)
	c.WithLabelValues("a", "lost").Add(10)
	h.WithLabelValues("done").Observe(1)
	h.WithLabelValues("renew").Observe(1)
	require.EqualValues(t, 5, Counter(r, "c", "result", "kept"))
	require.EqualValues(t, 1, Observations(r, "h", "script", "done"))
	require.Zero(t, Counter(r, "absent", "result", "kept"))
}

var kept []byte

func TestHeapSeesWhatIsAliveAndNotWhatWasDropped(t *testing.T) {
	before := Heap()
	kept = make([]byte, 8<<20)
	held := Heap()
	require.GreaterOrEqual(t, held, before+(8<<20))
	runtime.KeepAlive(kept)
	kept = nil
	require.Less(t, Heap(), held-(7<<20))
}

func TestCPUOnlyGrows(t *testing.T) {
	before, err := CPU()
	require.NoError(t, err)
	require.Positive(t, before)
	Heap() // uses processor time
	after, err := CPU()
	require.NoError(t, err)
	require.GreaterOrEqual(t, after, before)
}

func TestCoresAreBusyWhileSomebodyWorks(t *testing.T) {
	before, err := ReadCores()
	require.NoError(t, err)
	var after Cores
	require.Eventually(t, func() bool {
		for range 3 {
			Heap()
		}
		after, err = ReadCores()
		require.NoError(t, err)
		return after.Since(before) > 0
	}, time.Minute, time.Millisecond)
	require.LessOrEqual(t, after.Since(before), 1.0)
	require.Zero(t, before.Since(before))
}

func TestMachineIsDescribed(t *testing.T) {
	require.Contains(t, Machine(), runtime.Version())
}
