//go:build !race

package feed

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
)

// unread is a reader whose streams have nothing to read.
type unread struct{ *reading.Reader }

func (r unread) Add(s reading.Source) backing.Handle { return r.Reader.Add(s) }

// BenchmarkMemory measures what a stream at rest costs in feed and reading, beside its lease.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			leases := make([]api.Lease, n)
			for i := range leases {
				leases[i] = leasetest.New(fmt.Sprint("stream:", i))
			}
			for b.Loop() {
				b.ReportMetric(memoryOf(b, leases), "B/stream")
			}
		})
	}
}

// A stream at rest takes at most 240 bytes beside its lease.
func TestMemoryOfAStreamAtRest(t *testing.T) {
	leases := make([]api.Lease, 100_000)
	for i := range leases {
		leases[i] = leasetest.New(fmt.Sprint("stream:", i))
	}
	got := memoryOf(t, leases)
	t.Logf("%.0f bytes a stream", got)
	if got > 240 {
		t.Errorf("%.0f bytes a stream", got)
	}
}

func memoryOf(tb testing.TB, leases []api.Lease) float64 {
	r, err := reading.New(reading.Config{Client: offline{}, Mode: reading.Polling})
	if err != nil {
		tb.Fatal(err)
	}
	k, err := newCore(func(context.Context, *Batch) error { return nil }, Config{}, partsWith(unread{r}, noLeaver{}))
	if err != nil {
		tb.Fatal(err)
	}
	before := heapInUse()
	for _, l := range leases {
		k.Added(l)
	}
	after := heapInUse()
	runtime.KeepAlive(k)
	<-k.stop()
	runtime.KeepAlive(leases)
	return float64(after-before) / float64(len(leases))
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// offline is a client that is never used.
type offline struct{ rueidis.Client }

func (offline) Mode() rueidis.ClientMode { return rueidis.ClientModeStandalone }
