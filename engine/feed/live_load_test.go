package feed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/servers"
)

// sequence checks that the messages of each stream have the numbers 1, 2, 3 and so on.
type sequence struct {
	mu   sync.Mutex
	last map[string]int
	bad  []string
}

func (q *sequence) handle(_ context.Context, b *feed.Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	stream := b.Lease.Stream()
	for _, m := range b.Messages {
		var n int
		text, _ := m.Get("n")
		fmt.Sscan(text, &n)
		if n != q.last[stream]+1 {
			q.bad = append(q.bad, fmt.Sprintf("%s: %d after %d", stream, n, q.last[stream]))
		}
		q.last[stream] = n
	}
	return nil
}

func (q *sequence) sum() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, last := range q.last {
		n += last
	}
	return n
}

// No lost wake-up, no gap, no repetition, with the sweep turned off, while streams are announced: on one server and on a cluster.
func TestNoMessageIsMissedWithoutASweep(t *testing.T) {
	for name, opt := range map[string]func(t *testing.T) rueidis.ClientOption{
		"server": func(t *testing.T) rueidis.ClientOption { return servers.New(t).ClientOption() },
		"cluster": func(t *testing.T) rueidis.ClientOption {
			return servers.NewCluster(t, servers.ClusterOptions{}).ClientOption()
		},
	} {
		t.Run(name, func(t *testing.T) {
			const streams, messages = 500, 30_000
			q := &sequence{last: make(map[string]int)}
			l := startLive(t, opt(t), feed.Config{Sweep: feed.NoSweep}, q.handle, engine.WithPartitions(3))
			p, err := engine.NewPublisher(l.client, service, engine.WithPartitions(3))
			require.NoError(t, err)
			random := rand.New(rand.NewPCG(1, 1))
			numbers := make([]int, streams)
			for sent := 0; sent < messages; {
				var batch rueidis.Commands
				for range 1 + random.IntN(200) {
					s := random.IntN(streams)
					numbers[s]++
					sent++
					name := fmt.Sprint("s", s)
					if numbers[s] == 1 {
						_, err := p.Publish(t.Context(), name, nil)
						require.NoError(t, err)
					}
					batch = append(batch, l.client.B().Xadd().Key(name).Id("*").FieldValue().FieldValue("n", fmt.Sprint(numbers[s])).Build())
				}
				for _, r := range l.client.DoMulti(t.Context(), batch...) {
					require.NoError(t, r.Error())
				}
			}
			want := 0
			for _, n := range numbers {
				want += n
			}
			until(t, "all is handled", func() bool { return q.sum() >= want })
			require.Empty(t, q.bad)
			require.Equal(t, want, q.sum())
			until(t, "nothing is left", func() bool { s := l.Stats(); return s.Busy == 0 && s.Bytes == 0 })
			time.Sleep(10 * time.Millisecond)
			require.NoError(t, l.stop())
		})
	}
}
