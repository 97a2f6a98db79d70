package dispatch

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/streamlease/streamlease/api"
)

// BenchmarkDispatcher measures the cost of one notification from Post to the end of its delivery, with a handler that does
// nothing. In "burst" every stream gets one, and all are posted before any is waited for. In "few" the same number goes to
// 16 streams, so each has a backlog. In "later" another goroutine calls done.
func BenchmarkDispatcher(b *testing.B) {
	for _, streams := range []int{1_000, 100_000} {
		names := make([]string, streams)
		for i := range names {
			names[i] = fmt.Sprint("stream:", i)
		}
		sync := func(_ api.Notification, done func(error)) { done(nil) }
		b.Run(fmt.Sprintf("burst/streams=%d", streams), func(b *testing.B) { benchmark(b, names, streams, sync) })
		b.Run(fmt.Sprintf("few/streams=%d", streams), func(b *testing.B) { benchmark(b, names[:16], streams, sync) })
		b.Run(fmt.Sprintf("later/streams=%d", streams), func(b *testing.B) {
			deliver, stop := benchmarkLater(streams)
			defer stop()
			benchmark(b, names, streams, deliver)
		})
	}
}

// benchmarkLater returns a Deliver that leaves the call of done to one other goroutine.
func benchmarkLater(capacity int) (deliver func(api.Notification, func(error)), stop func()) {
	dones := make(chan func(error), capacity)
	var later sync.WaitGroup
	later.Go(func() {
		for done := range dones {
			done(nil)
		}
	})
	return func(_ api.Notification, done func(error)) { dones <- done },
		func() { close(dones); later.Wait() }
}

func benchmark(b *testing.B, names []string, burst int, deliver func(api.Notification, func(error))) {
	d, err := New(Config{
		Workers:  64,
		Deliver:  deliver,
		Finished: func(api.Notification, error, time.Duration) {},
		Idle:     func(string) {},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	b.ReportAllocs()
	for posted := 0; b.Loop(); {
		d.Post(api.Notification{Kind: api.Added, Stream: names[posted%len(names)], Token: 1})
		if posted++; posted%burst == 0 {
			if err := d.Wait(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := d.Wait(ctx); err != nil {
		b.Fatal(err)
	}
	if err := d.Stop(ctx); err != nil {
		b.Fatal(err)
	}
}
