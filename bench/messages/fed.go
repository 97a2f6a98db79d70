package messages

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
)

// fed is an engine with a feed on it, as a program has it that changes no default.
type fed struct {
	owned
	tally *tally
}

// connects is how long a feed has for its own connection, which is no cost of a stream.
const connects = 300 * time.Millisecond

func (f *fed) open(ctx context.Context) error {
	err := f.runs(ctx, func(ctx context.Context, e *engine.Engine) error {
		reader, err := feed.New(e, f.handle, feed.Config{})
		if err != nil {
			return err
		}
		return reader.Run(ctx)
	})
	if err != nil {
		return err
	}
	return measure.Pause(ctx, connects)
}

func (f *fed) handle(_ context.Context, b *feed.Batch) error {
	f.tally.take(b.Lease.Stream(), len(b.Messages), func(i int) string {
		v, _ := b.Messages[i].Get(load.Field) // "" is no message of the load
		return v
	})
	return nil
}

// counts is what reading did.
func (f *fed) counts() map[string]float64 {
	return measure.Counters(f.registry, "streamlease_feed_reading_total", "event")
}
