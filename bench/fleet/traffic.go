package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
)

const (
	every   = time.Second // between two lots of jobs
	lot     = 10          // jobs
	longest = time.Minute // that a job takes
)

// oddities are what a fleet meets besides streams that are kept.
var oddities = []api.Announcement{
	{Stream: "order:4711", Info: job{Kind: kindFail}},
	{Stream: "order:4712", Info: job{Kind: kindFail}},
	{Stream: "order:4713", Info: job{Kind: kindBad}},
	{Stream: "report:weekly", Info: job{Kind: kindLater}},
	{Stream: "report:monthly", Info: job{Kind: kindLater}},
}

// traffic is the producers: they announce what is kept, some oddities, and then some jobs a second, until stop.
type traffic struct {
	publisher *engine.Publisher
	cancel    context.CancelFunc
	ended     chan error
}

func startTraffic(ctx context.Context, client rueidis.Client, o options) (*traffic, error) {
	log := engine.WithLogger(slog.New(slog.DiscardHandler))
	publisher, err := engine.NewPublisher(client, service, log)
	if err != nil {
		return nil, err
	}
	table, err := schedule.NewTable(client, scheduled, log)
	if err != nil {
		return nil, err
	}
	kept := make([]api.Announcement, o.streams, o.streams+len(oddities))
	for i := range kept {
		kept[i] = api.Announcement{Stream: "user:" + strconv.Itoa(i), Info: job{}}
	}
	if _, err := publisher.PublishMany(ctx, append(kept, oddities...)...); err != nil {
		return nil, err
	}
	// Somebody who knows nothing of the format.
	if err := client.Do(ctx, client.B().Xadd().Key(service+"-input").Id("*").FieldValue().FieldValue("lbs-input", "not JSON").Build()).Error(); err != nil {
		return nil, err
	}
	if o.schedules > 0 {
		if _, err := table.Sync(ctx, reports(o.schedules)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &traffic{publisher: publisher, cancel: cancel, ended: make(chan error, 1)}
	go func() { t.ended <- t.run(ctx) }()
	return t, nil
}

// reports are schedules that tick every minute.
func reports(n int) iter.Seq[schedule.Spec] {
	return func(yield func(schedule.Spec) bool) {
		for i := range n {
			if !yield(schedule.Spec{Name: fmt.Sprintf("report:%03d", i), Every: time.Minute}) {
				return
			}
		}
	}
}

// run announces jobs. What a server that is stopped refuses is announced no more.
func (t *traffic) run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		jobs := make([]api.Announcement, lot)
		for i := range jobs {
			jobs[i] = api.Announcement{Stream: "job:" + strconv.Itoa(n), Info: job{Kind: kindWork, Work: rand.N(longest)}}
			n++
		}
		if _, err := t.publisher.PublishMany(ctx, jobs...); err != nil && ctx.Err() == nil {
			return fmt.Errorf("announcing jobs: %w", err)
		}
	}
}

func (t *traffic) stop() error {
	t.cancel()
	if err := <-t.ended; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
