package feed

import (
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/list"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/pool"
)

// Stats are figures of a feed at one moment.
type Stats struct {
	// Streams is how many streams are read; Busy how many of them have messages that are not handled, or a handler at work; Waiting how
	// many of these wait for a worker, Retrying for the next try, and Kept for the end of a batch that was kept.
	Streams, Busy, Waiting, Retrying, Kept int
	// Bytes is the memory of messages that were read and not handled; KeptBytes the part of it that kept batches have.
	Bytes, KeptBytes int64
	// Polling reports whether streams are polled, since tracking is refused or not wanted.
	Polling bool
	// Longest is the greatest age of a message that was read and is not handled.
	Longest time.Duration
}

// figures are what is measured when somebody asks for it.
type figures struct {
	streams *registry
	busy    *list.List[*stream]
	workers *pool.Pool[task]
	counts  *counts
	polling func() bool // whether streams are polled
}

// stats returns all of them but Longest.
func (f *figures) stats() Stats {
	return Stats{
		Streams: f.streams.count(), Busy: f.busy.Len(), Waiting: f.workers.Waiting(),
		Retrying: int(f.counts.retrying.Load()), Kept: int(f.counts.kept.Load()),
		Bytes: f.counts.bytes.Load(), KeptBytes: f.counts.keptBytes.Load(), Polling: f.polling(),
	}
}

// gauges are measured when a scrape asks for them.
func (f *figures) gauges(emit metrics.Emit) {
	var longest, sum time.Duration
	var messages int
	var behind [len(metrics.Ages)]int
	lags(f.busy, func(l StreamLag) {
		longest = max(longest, l.Age)
		sum += l.Age
		messages += l.Messages
		for i, age := range metrics.Ages {
			if l.Age >= age {
				behind[i]++
			}
		}
	})
	s := f.stats()
	polling := 0.0
	if s.Polling {
		polling = 1
	}
	for i, n := range behind {
		emit(metrics.FeedBehind.With(metrics.Age(i)), api.NoPartition, float64(n))
	}
	for _, g := range []struct {
		gauge metrics.Gauge
		value float64
	}{
		{metrics.FeedStreams, float64(s.Streams)},
		{metrics.FeedBusy, float64(s.Busy)},
		{metrics.FeedWaiting, float64(s.Waiting)},
		{metrics.FeedRetrying, float64(s.Retrying)},
		{metrics.FeedKept, float64(s.Kept)},
		{metrics.FeedKeptBytes, float64(s.KeptBytes)},
		{metrics.FeedBytes, float64(s.Bytes)},
		{metrics.FeedLag, longest.Seconds()},
		{metrics.FeedLagSum, sum.Seconds()},
		{metrics.FeedLagMessages, float64(messages)},
		{metrics.FeedPolling, polling},
	} {
		emit(g.gauge, api.NoPartition, g.value)
	}
}
