package reading

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// quiet is the smallest source there can be: what it takes is not counted as memory of the reader.
type quiet struct {
	name  string
	after string
	r     *Reader
}

func (s *quiet) Stream() string            { return s.name }
func (s *quiet) Next() (string, int, bool) { return s.after, 100, true }
func (s *quiet) Read(r Result) Then {
	if n := len(r.Messages); n > 0 {
		s.after = r.Messages[n-1].ID
		s.r.Release(r.Bytes)
	}
	if r.Full {
		return Again
	}
	return Rest
}

func quietSources(n int) []*quiet {
	all := make([]*quiet, n)
	for i := range all {
		all[i] = &quiet{name: "stream-" + strconv.Itoa(i)}
	}
	return all
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A stream takes at most 120 bytes here, with its place in the map and in the lists.
func TestMemoryOfAStream(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Handle{}), uintptr(64))
	const n = 100_000
	r, err := New(Config{Client: servers.New(t).Client(t), Mode: Polling})
	require.NoError(t, err)
	sources := quietSources(n)
	before := heap()
	for _, src := range sources {
		r.Add(src)
	}
	each := float64(heap()-before) / n
	t.Logf("%.0f bytes a stream", each)
	require.LessOrEqual(t, each, 120.0)
	runtime.KeepAlive(sources)
	runtime.KeepAlive(r)
}

// Goroutines and connections do not grow with the number of streams.
func TestGoroutines(t *testing.T) {
	s := servers.New(t)
	r := start(t, s.ClientOption(), nil)
	goroutines := 0
	for i, src := range quietSources(5000) {
		src.r = r
		r.Add(src)
		if i == 0 {
			allResting(t, r)
			goroutines = runtime.NumGoroutine()
		}
	}
	allResting(t, r)
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+2)
	require.Equal(t, "1", trackers(t, s))
}

// Arming, reading one message of each stream, and reading them again at a fast round.
func BenchmarkReader(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := servers.New(b)
			client := s.Client(b)
			r := start(b, s.ClientOption(), nil)
			for _, src := range quietSources(n) {
				src.r = r
				r.Add(src)
			}
			allResting(b, r)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b.ResetTimer()
			for range b.N {
				want := r.Stats().Count(Messages) + int64(n)
				commands := make(rueidis.Commands, 0, 500)
				for i := 0; i < n; i += 500 {
					commands = commands[:0]
					for j := i; j < i+500; j++ {
						commands = append(commands, client.B().Xadd().Key(fmt.Sprint("stream-", j)).Id("*").FieldValue().FieldValue("a", "b").Build())
					}
					for _, answer := range client.DoMulti(b.Context(), commands...) {
						require.NoError(b, answer.Error())
					}
				}
				eventually(b, "all", func() bool { return r.Stats().Count(Messages) == want })
			}
			b.StopTimer()
			runtime.ReadMemStats(&after)
			stats := r.Stats()
			per := func(v int64) float64 { return float64(v) / float64(b.N) / float64(n) }
			b.ReportMetric(per(stats.Count(Reads)), "reads/msg")
			b.ReportMetric(per(stats.Count(Batches)), "pipelines/msg")
			b.ReportMetric(per(int64(after.Mallocs-before.Mallocs)), "allocs/msg")
			b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
		})
	}
}

// What the two ways to read one message cost the client.
func BenchmarkParse(b *testing.B) {
	s := servers.New(b)
	client := s.Client(b)
	for range 100 {
		require.NoError(b, client.Do(b.Context(), client.B().Xadd().Key("s").Id("*").FieldValue().FieldValue("a", "b").Build()).Error())
	}
	for _, count := range []string{"1", "100"} {
		for name, read := range map[string]func() rueidis.Completed{
			"XREAD": func() rueidis.Completed {
				return client.B().Arbitrary("XREAD", "COUNT", count, "STREAMS").Keys("s").Args("0-0").Build()
			},
			"XRANGE": func() rueidis.Completed {
				return client.B().Arbitrary("XRANGE").Keys("s").Args("(0-0", "+", "COUNT", count).Build()
			},
		} {
			b.Run(name+"/"+count, func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					page, _, err := parsePage(client.Do(b.Context(), read()), name == "XREAD")
					require.NoError(b, err)
					require.NotEmpty(b, page)
				}
			})
		}
	}
}
