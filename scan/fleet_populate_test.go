package scan_test

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// keys returns all keys on the server.
func (f *fleet) keys() []string {
	f.t.Helper()
	names, err := f.Try("KEYS", "*").AsStrSlice()
	require.NoError(f.t, err)
	sort.Strings(names)
	return names
}

// endSessions makes all consumers dead, as if they had been killed some time ago.
func (f *fleet) endSessions() {
	f.t.Helper()
	for p := range f.layout.Partitions() {
		names, err := f.Try("ZRANGEBYSCORE", f.layout.Keys(p).Sessions, "1", "+inf").AsStrSlice()
		require.NoError(f.t, err)
		for _, name := range names {
			f.setDeadline(p, name, 1)
		}
	}
}

// populate puts some of everything into the service, and leaves all its consumers dead. It returns how often each stream was
// announced and is not done.
func (f *fleet) populate(perPartition int) map[string]int {
	f.t.Helper()
	want := make(map[string]int)
	name := func(p, i int) string {
		for n := 0; ; n++ {
			if s := fmt.Sprintf("p%d-%d-{%d}", p, i, n); f.layout.Of(s) == p {
				want[s]++
				return s
			}
		}
	}
	long := strings.Repeat("long", 16<<10)
	want[long]++
	f.announce(f.layout.Of(long), long)
	for p := range f.layout.Partitions() {
		me := fmt.Sprintf("dead.%d", p)
		f.open(p, me)
		for i := range perPartition {
			f.announce(p, name(p, 5*i), "_retry_count", "2", "_crash_count", "1", "mine", "kept")
		}
		entries := f.read(p, me, 100)
		f.take(p, me, entries[:len(entries)/2]...)
		for i := range perPartition {
			f.announce(p, name(p, 5*i+1))
			e := f.read(p, me, 1)[0]
			r := moveTo(e, lease.ToLater, "")
			r.Delay = time.Hour
			f.requeue(p, me, r)
		}
		for i := range perPartition {
			f.announce(p, name(p, 5*i+2))
			f.requeue(p, me, moveTo(f.read(p, me, 1)[0], lease.ToDeadLetters, "permanent: told so"))
		}
		for i := range perPartition {
			f.announce(p, name(p, 5*i+3), "_not_before", strconv.FormatInt(f.Now()+3_600_000, 10))
		}
		f.Do("HSET", f.layout.Keys(p).Checkpoints, "!"+me, "7")
		f.Do("HSET", f.layout.Keys(p).Books, "sums", "1000 0 1 0")
		f.Do("ZADD", f.layout.Keys(p).Load, "1", me)
		f.Do("HSET", f.layout.Keys(p).Fleet, me, "1000 0 0 shares")
		for i := range perPartition {
			stream := name(p, 5*i+4)
			delete(want, stream)
			want[checkpointOf+stream]++
			f.Do("HSET", f.layout.Keys(p).Checkpoints, "s"+stream, "7 v at "+stream)
			want[scheduleOf+stream]++
			f.Do("HSET", f.layout.Keys(p).Schedules, stream, scheduleRow+stream)
		}
		if p == 0 {
			f.Do("HSET", f.layout.Wishes(), "freeze:", "freeze 4000000000000 0 ")
			f.announce(0, name(f.layout.Partitions()-1, 5000)) // misrouted by a producer that does not know about partitions
		}
	}
	f.endSessions()
	return want
}

// checkpointOf precedes the name of a stream in what populate and found return, for its checkpoint.
const checkpointOf = "checkpoint of "

// scheduleOf precedes the name of a schedule there. Its row ends with the name.
const (
	scheduleOf  = "schedule "
	scheduleRow = "1790000000000000 1790000000000 1790000000000 0 0 30000 7 0 0 - -\n\n"
)

// found returns how often each stream is there, in any collection, and checks that each is in its partition.
func (f *fleet) found(layout *cluster.Layout) map[string]int {
	f.t.Helper()
	found := make(map[string]int)
	add := func(p int, stream string) {
		found[stream]++
		require.Equal(f.t, p, layout.Of(stream), "%.40s", stream)
	}
	for p := range layout.Partitions() {
		k := layout.Keys(p)
		for _, key := range []string{k.Input, k.DeadLetters} {
			for _, e := range f.Stream(key) {
				var body []rueidis.XRangeFieldValue
				for field, v := range e.FieldValues {
					body = append(body, rueidis.XRangeFieldValue{Field: field, Value: v})
				}
				entry, err := lease.ParseEntry(layout, p, e.ID, body)
				require.NoError(f.t, err)
				add(p, entry.Stream)
				if e.FieldValues["mine"] != "" {
					require.Equal(f.t, 2, entry.Retries)
					require.Equal(f.t, 1, entry.Crashes)
				}
			}
		}
		later, err := f.Try("ZRANGE", k.Later, "0", "-1", "WITHSCORES").AsZScores()
		require.NoError(f.t, err)
		for _, z := range later {
			require.Greater(f.t, z.Score, float64(f.Now()))
			_, text, ok := strings.Cut(z.Member, `{"DataStreamName":"`)
			require.True(f.t, ok)
			stream, _, _ := strings.Cut(text, `"`)
			add(p, stream)
		}
		checkpoints, err := f.Try("HGETALL", k.Checkpoints).AsStrMap()
		require.NoError(f.t, err)
		for field, value := range checkpoints {
			if stream, ok := strings.CutPrefix(field, "s"); ok {
				require.Equal(f.t, p, layout.Of(stream), "%.40s", stream)
				require.Equal(f.t, "7 v at "+stream, value)
				found[checkpointOf+stream]++
			}
		}
		schedules, err := f.Try("HGETALL", k.Schedules).AsStrMap()
		require.NoError(f.t, err)
		for name, row := range schedules {
			require.Equal(f.t, p, layout.Of(name), "%.40s", name)
			require.Equal(f.t, scheduleRow+name, row)
			found[scheduleOf+name]++
		}
	}
	return found
}

func (f *fleet) survey() *scan.Survey {
	f.t.Helper()
	s, err := f.inspector().Survey(f.ctx)
	require.NoError(f.t, err)
	return s
}

func layoutOf(t testing.TB, partitions int) *cluster.Layout {
	layout, err := cluster.NewLayout("shop", partitions)
	require.NoError(t, err)
	return layout
}
