package messages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
)

// Backlog is how fast streams were read that were full before the reader came.
type Backlog struct {
	Streams  int
	Messages int
	Rounds   []Drained
	Without  string // why there is no Blocking; empty: there is
}

// Drained is one round.
type Drained struct{ Blocking, Feed *Drain }

// Drain is how fast one model read everything.
type Drain struct {
	Rate      float64       // messages a second, from the first one handled to the last one
	FromStart float64       // messages a second, from when the reader could begin; connections have been made then, streams have not been taken
	Redis     time.Duration // processor time for a message
	Client    time.Duration
}

// backlog measures how fast the messages are read that are there at the beginning.
func (b *bench) backlog(ctx context.Context, streams int) (g Backlog, err error) {
	each := max(1, b.o.Backlog/streams)
	g = Backlog{Streams: streams, Messages: each * streams, Without: b.without(streams)}
	for i := range b.o.Rounds {
		var round Drained
		turns := []struct {
			model Model
			to    **Drain
		}{{Blocking, &round.Blocking}, {Feed, &round.Feed}}
		if i%2 == 1 {
			slices.Reverse(turns)
		}
		for _, t := range turns {
			if t.model == Blocking && g.Without != "" {
				continue
			}
			d, err := b.drain(ctx, casting{url: b.o.URL, model: t.model, streams: streams, each: each})
			if err != nil {
				return g, fmt.Errorf("%s, a backlog in %s streams: %w", t.model, report.Grouped(streams), err)
			}
			*t.to = &d
			b.steps.Done()
		}
		g.Rounds = append(g.Rounds, round)
	}
	return g, nil
}

func (b *bench) drain(ctx context.Context, c casting) (d Drain, err error) {
	s, err := stage(ctx, c, b.report)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	first, err := s.ask("look")
	if err != nil {
		return d, err
	}
	before, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return d, err
	}
	began := time.Now()
	var after instant
	err = s.profiled(b.o.Profiles, "backlog", func() error {
		if err := s.read(ctx); err != nil {
			return err
		}
		after, err = s.look(ctx)
		return err
	})
	if err != nil {
		return d, err
	}
	n := float64(s.sent.Messages)
	r := after.reader
	d = Drain{
		Rate: n / r.Last.Sub(r.First).Seconds(), FromStart: n / r.Last.Sub(began).Seconds(),
		Redis:  time.Duration(float64(after.server.Since(before).CPU) / n),
		Client: time.Duration(float64(r.CPU-first.CPU) / n),
	}
	return d, s.check(r)
}
