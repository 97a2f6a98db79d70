package lease

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/wheel"
)

// heldMemory is the heap that n held streams take, in bytes each: lease, table and wheel, as an acquisition leaves them, dealt over
// partitions in batches. Names have 12 bytes, Info is {"k":"v"}, the service is called "shop". The wheel's slots, 196 KB a process,
// are not counted. Each may be put to use.
func heldMemory(t testing.TB, n, partitions int, use func(*Lease)) float64 {
	const batch = 100
	layout := layoutOf(t, partitions)
	table, err := NewTable(NewClock(), partitions, wheel.Config{})
	require.NoError(t, err)
	sessions := make([]*Session, partitions)
	for p := range sessions {
		sessions[p] = sessionIn(p)
	}
	completer := &notary{}
	before := heap()
	for i := range n {
		p := i / batch % partitions
		fields := body(FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":"stream%06d","Info":{"k":"v"}}`, i))
		e, err := ParseEntry(layout, p, fmt.Sprintf("%d-0", 1_763_724_300_000+i), fields)
		if err != nil {
			t.Fatal(err)
		}
		l := New(sessions[p], &e, api.Token(1_763_724_300_000_000+i), 1, time.Hour, completer)
		table.Add(l, int64(time.Second)+int64(i)*int64(time.Microsecond), nil)
		use(l)
	}
	after := heap()
	runtime.KeepAlive(table)
	return float64(after-before) / float64(n)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// What a held stream may cost here is 450 bytes at 100,000, so that with what the engine adds it stays below 600.
func TestMemoryOfAHeldStream(t *testing.T) {
	require.Less(t, heldMemory(t, 100_000, 1, func(*Lease) {}), 450.0)
}

func BenchmarkMemory(b *testing.B) {
	uses := []struct {
		name       string
		partitions int
		use        func(*Lease)
	}{
		{"held", 1, func(*Lease) {}},
		{"partitions", 128, func(*Lease) {}},
		{"context", 1, func(l *Lease) { l.Context() }},
		{"done", 1, func(l *Lease) { l.Context().Done() }},
		{"checkpoint", 1, func(l *Lease) { l.Inherit("1763724300000-1") }},
	}
	for _, u := range uses {
		for _, n := range []int{1000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", u.name, n), func(b *testing.B) {
				for b.Loop() {
					b.ReportMetric(heldMemory(b, n, u.partitions, u.use), "heapB/stream")
				}
			})
		}
	}
}
