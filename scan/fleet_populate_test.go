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

// keys are all that there are on the server.
func (o *office) keys() []string {
	o.t.Helper()
	names, err := o.Try("KEYS", "*").AsStrSlice()
	require.NoError(o.t, err)
	sort.Strings(names)
	return names
}

// stop makes everybody dead, as if all had been killed some time ago.
func (o *office) stop() {
	o.t.Helper()
	for p := range o.layout.Partitions() {
		names, err := o.Try("ZRANGEBYSCORE", o.layout.Keys(p).Sessions, "1", "+inf").AsStrSlice()
		require.NoError(o.t, err)
		for _, name := range names {
			o.setDeadline(p, name, 1)
		}
	}
}

// furnish puts something of everything into the service, whose consumers are dead then. It returns how often each stream
// was announced and is not done.
func (o *office) furnish(perPartition int) map[string]int {
	o.t.Helper()
	want := make(map[string]int)
	name := func(p, i int) string {
		for n := 0; ; n++ {
			if s := fmt.Sprintf("p%d-%d-{%d}", p, i, n); o.layout.Of(s) == p {
				want[s]++
				return s
			}
		}
	}
	long := strings.Repeat("long", 16<<10)
	want[long]++
	o.announce(o.layout.Of(long), long)
	for p := range o.layout.Partitions() {
		me := fmt.Sprintf("dead.%d", p)
		o.open(p, me)
		for i := range perPartition {
			o.announce(p, name(p, 5*i), "_retry_count", "2", "_crash_count", "1", "mine", "kept")
		}
		entries := o.read(p, me, 100)
		o.take(p, me, entries[:len(entries)/2]...)
		for i := range perPartition {
			o.announce(p, name(p, 5*i+1))
			e := o.read(p, me, 1)[0]
			r := giving(e, lease.ToLater, "")
			r.Delay = time.Hour
			o.requeue(p, me, r)
		}
		for i := range perPartition {
			o.announce(p, name(p, 5*i+2))
			o.requeue(p, me, giving(o.read(p, me, 1)[0], lease.ToDeadLetters, "permanent: told so"))
		}
		for i := range perPartition {
			o.announce(p, name(p, 5*i+3), "_not_before", strconv.FormatInt(o.Now()+3_600_000, 10))
		}
		if p == 0 {
			o.announce(0, name(o.layout.Partitions()-1, 5000)) // a stray of a producer that knows of no partitions
		}
	}
	o.stop()
	return want
}

// found is how often each stream is there, in whatever place, and that each is where it belongs.
func (o *office) found(layout *cluster.Layout) map[string]int {
	o.t.Helper()
	found := make(map[string]int)
	add := func(p int, stream string) {
		found[stream]++
		require.Equal(o.t, p, layout.Of(stream), "%.40s", stream)
	}
	for p := range layout.Partitions() {
		k := layout.Keys(p)
		for _, key := range []string{k.Input, k.DeadLetters} {
			for _, e := range o.Stream(key) {
				var body []rueidis.XRangeFieldValue
				for f, v := range e.FieldValues {
					body = append(body, rueidis.XRangeFieldValue{Field: f, Value: v})
				}
				entry, err := lease.ParseEntry(layout, p, e.ID, body)
				require.NoError(o.t, err)
				add(p, entry.Stream)
				if e.FieldValues["mine"] != "" {
					require.Equal(o.t, 2, entry.Retries)
					require.Equal(o.t, 1, entry.Crashes)
				}
			}
		}
		later, err := o.Try("ZRANGE", k.Later, "0", "-1", "WITHSCORES").AsZScores()
		require.NoError(o.t, err)
		for _, z := range later {
			require.Greater(o.t, z.Score, float64(o.Now()))
			_, text, ok := strings.Cut(z.Member, `{"DataStreamName":"`)
			require.True(o.t, ok)
			stream, _, _ := strings.Cut(text, `"`)
			add(p, stream)
		}
	}
	return found
}

func (o *office) survey() *scan.Survey {
	o.t.Helper()
	s, err := o.inspector().Survey(o.ctx)
	require.NoError(o.t, err)
	return s
}

func layoutOf(t *testing.T, partitions int) *cluster.Layout {
	layout, err := cluster.NewLayout("shop", partitions)
	require.NoError(t, err)
	return layout
}
