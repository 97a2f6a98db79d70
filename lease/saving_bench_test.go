package lease

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkCheckpoints compares, in rounds that alternate on one server, what a renewal of 256 streams costs it without checkpoints, with
// one for each, and with as many of other streams, and what storing them by themselves costs. The metrics are medians, in microseconds
// of the server's time a stream as it counts itself, and the share that the checkpoints add to the renewal.
func BenchmarkCheckpoints(b *testing.B) {
	const size = 256
	w, leases := benchHarness(b, 2*size)
	w.t = b
	batch, others := leases[:size], leases[size:]
	value := func(n int) string { return fmt.Sprintf("1 %d-%d 0 %d", 1700000000000+n, n%7, n) }
	n := 0
	items := func(of []*Lease) []Saving {
		n++
		list := make([]Saving, len(of))
		for i, l := range of {
			list[i] = Saving{l, value(n + i)}
		}
		return list
	}
	renew := func(saves []Savings) {
		out := w.store.Renew(w.ctx, 0, alice, 1, [][]*Lease{batch}, saves, nil)[0]
		require.NoError(b, out.Err)
		require.NoError(b, out.SaveErr)
		require.Equal(b, Kept, out.Verdict(0))
		if saves != nil {
			require.EqualValues(b, Saved, out.Saved[0])
		}
	}
	rounds := []struct {
		name string
		run  func()
	}{
		{"renew", func() { renew(nil) }},
		{"with", func() { renew([]Savings{{uint64(n), items(batch)}}) }},
		{"others", func() { renew([]Savings{{uint64(n), items(others)}}) }},
		{"save", func() { w.save(alice, uint64(n), items(batch)...) }},
	}
	took := make(map[string][]float64)
	for b.Loop() {
		for _, r := range rounds {
			r.run()
			const times = 8
			w.reset()
			for range times {
				r.run()
			}
			took[r.name] = append(took[r.name], float64(w.serverTime("evalsha"))/float64(time.Microsecond)/times/size)
		}
	}
	median := func(name string) float64 {
		slices.Sort(took[name])
		return took[name][len(took[name])/2]
	}
	for _, r := range rounds {
		b.ReportMetric(median(r.name), r.name+"-us/stream")
	}
	b.ReportMetric(median("with")-median("renew"), "added-us/stream")
}
