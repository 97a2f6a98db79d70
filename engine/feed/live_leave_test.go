package feed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/servers"
)

// Producers send while the owners leave after every batch, or when idle, and processes come and go: every message is handled, in order, and
// nothing but Send announces anything.
func TestSendersAndLeavingOwnersStrandNoMessage(t *testing.T) {
	for name, c := range map[string]feed.Config{"finish": {}, "idle": {IdleDone: 100 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			const streams, messages = 20, 1500
			server := servers.New(t)
			q := &sequence{last: make(map[string]int)}
			leave := func(ctx context.Context, b *feed.Batch) error {
				if err := q.handle(ctx, b); err != nil || name == "idle" {
					return err
				}
				return feed.Finish
			}
			l := startLive(t, server.ClientOption(), c, leave)
			l2 := startLive(t, server.ClientOption(), c, leave)
			var producers sync.WaitGroup
			for producer := range 4 {
				producers.Go(func() {
					p, err := engine.NewPublisher(l.client, service)
					if err != nil {
						panic(err)
					}
					sender := feed.NewSender(p)
					random := rand.New(rand.NewPCG(uint64(producer), 1))
					numbers := make([]int, streams)
					for range messages / 4 {
						s := random.IntN(streams)/4*4 + producer // each producer has streams of its own
						numbers[s]++
						for {
							_, err := sender.Send(context.Background(), fmt.Sprint("s", s), feed.Field{Name: "n", Value: fmt.Sprint(numbers[s])})
							if err == nil {
								break
							}
							panic(err)
						}
						time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
					}
				})
			}
			time.Sleep(300 * time.Millisecond)
			require.NoError(t, l2.stop())
			startLive(t, server.ClientOption(), c, leave)
			producers.Wait()
			until(t, "all is handled", func() bool { return q.sum() >= messages/4*4 })
			require.Empty(t, q.bad)
			if name == "finish" {
				return // an announcement that need not have been may be left: its owner rests until the next message
			}
			until(t, "all streams are left", func() bool {
				n, _ := l.call("XLEN %s-input", service).AsInt64()
				return n == 0
			})
		})
	}
}
