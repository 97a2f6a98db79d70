package messages

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/report"
)

// Tracked is what streams cost whose server has room for fewer in its table for tracking, so that each that is armed puts another one out.
type Tracked struct {
	Share   float64 // of the streams that the table has room for
	Keys    int
	Idle    Idle
	Loaded  Cost
	Rate    int
	Regular Idle // with room for all
}

// shares are how much room the table has, of what is needed. The first is regular.
var shares = []float64{2, .99, .5}

// trackedStreams is how many streams there are where the table is too small.
const trackedStreams = 10_000

// tracking measures a table that is too small, on private servers only, since it is a setting of the server.
func (b *bench) tracking(ctx context.Context) error {
	if b.o.URL != "" {
		b.leave(Tracking, "the size of the table is a setting of the server, which is not ours")
		return nil
	}
	n, rate := slices.Min(append([]int{trackedStreams}, slices.Max(b.o.Streams))), slices.Min(b.o.Rates)
	var regular Idle
	for _, share := range shares {
		t, err := b.track(ctx, n, rate, share)
		if err != nil {
			return fmt.Errorf("a table with room for %s of %s streams: %w", report.Percent(share), report.Grouped(n), err)
		}
		if share > 1 {
			regular = t.Idle
		}
		t.Regular = regular
		b.result.Tracking = append(b.result.Tracking, t)
		b.steps.Done()
	}
	return nil
}

func (b *bench) track(ctx context.Context, streams, rate int, share float64) (t Tracked, err error) {
	t = Tracked{Share: share, Keys: int(share * float64(streams)), Rate: rate}
	s, err := stage(ctx, casting{model: Feed, streams: streams, each: 1, args: []string{"--tracking-table-max-keys", fmt.Sprint(t.Keys)}}, b.report)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.read(ctx); err != nil {
		return t, err
	}
	if _, err := s.settled(ctx); err != nil {
		return t, err
	}
	if t.Idle, err = s.rest(ctx, b.o.Rest, ""); err != nil {
		return t, err
	}
	t.Loaded, err = s.run(ctx, rate, b.o.For, load.Even)
	return t, err
}
