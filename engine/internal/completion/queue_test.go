package completion

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// len is how many completions wait.
func (q *queue) len() int { return q.fresh.len() + len(q.owners) + len(q.unowned) }

// The order of completions, whatever is taken, put back and skipped.
func TestQueueKeepsItsOrder(t *testing.T) {
	var q queue
	want, next := 0, 0
	for round := range 1000 {
		for range round % 7 {
			q.put(completion{consumer: "c", Disposition: lease.Disposition{Entry: fmt.Sprint(next)}})
			next++
		}
		batch := q.take(0, 1+round%5, 1)
		keep := len(batch) / 2
		for i := range keep {
			require.Equal(t, fmt.Sprint(want), batch[i].Entry)
			want++
		}
		q.putBack(batch[keep:])
		require.Equal(t, next-want, q.len())
	}
}

// What travels in another call is skipped and keeps its place.
func TestCompletionsOfOtherCallsAreSkipped(t *testing.T) {
	var q queue
	for i := range 100 {
		q.put(completion{consumer: "c", finish: i%2 == 0, Disposition: lease.Disposition{Entry: fmt.Sprint(i)}})
	}
	for i := range 3 {
		q.put(completion{consumer: "c", refused: 1, after: int64(10 - i), Disposition: lease.Disposition{Entry: fmt.Sprint("r", i)}})
	}
	first := func(batch []completion) []string {
		var ids []string
		for i := range batch {
			ids = append(ids, batch[i].Entry)
		}
		return ids[:min(3, len(ids))]
	}
	require.Equal(t, []string{"0", "2", "4"}, first(q.take(0, 1000, 1000)))
	require.Equal(t, []string{"1", "3", "5"}, first(q.take(0, 20, 1000)))
	require.Equal(t, []string{"r2", "r1"}, first(q.take(9, 1000, 1000)))
	require.Equal(t, []string{"41", "43", "45"}, first(q.take(10, 1000, 1000)))
	require.Equal(t, []string{"r0"}, first(q.take(10, 1000, 1000)))
	require.Empty(t, q.take(10, 1000, 1000))
	require.Zero(t, q.len())
}

// What is counted for a completion is at least what it remembers of its entry.
func TestWeightCoversWhatIsRemembered(t *testing.T) {
	for _, entry := range []*lease.Entry{
		{Stream: "s", Key: "k:s"},
		{Stream: strings.Repeat("s", 1<<16), Info: []byte(strings.Repeat("i", 60<<10)), Key: "k:" + strings.Repeat("s", 1<<16)},
	} {
		x := completion{Disposition: lease.Disposition{Key: entry.Key}, tampered: tampered{entry: remembered(entry)}}
		require.NotNil(t, x.tampered.entry)
		require.GreaterOrEqual(t, x.weight(), x.tampered.entry.Held())
		require.GreaterOrEqual(t, x.weight(), len(entry.Stream)+len(entry.Info))
	}
	require.Zero(t, (&completion{lease: new(lease.Lease)}).weight(), "its lease is held anyway")
}
