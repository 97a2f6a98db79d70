package messages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
)

// Cell is one load on each model.
type Cell struct {
	Streams int
	Rate    int // messages a second
	Spread  load.Spread
	Rounds  []Round
	Without string // why there is no Blocking; empty: there is
}

// Round is what each model cost in one round.
type Round struct{ None, Blocking, Feed *Cost }

// Cost is what a load cost with one model.
type Cost struct {
	Messages    int64
	Sent        float64       // a second
	Served      float64       // a second, handled by the time the last one was sent
	Redis       time.Duration // processor time of the server for a message, the producer's part included
	Client      time.Duration // processor time of the reader for a message
	RedisShare  float64       // of a core
	ClientShare float64
	P50         time.Duration // from when a message was sent to its handler
	P99         time.Duration
	P999        time.Duration
	Max         time.Duration
	Late        time.Duration            // p99 of how long after it was due a message was sent
	Ran         map[string]time.Duration // of executing commands on the server for a message, by name
	Calls       map[string]float64       // commands for a message, by name; those that scripts call included
	Machine     float64                  // share of all cores of this machine that all programs used
	Inside      map[string]float64       // of what happened inside the reader for a message, by name
}

// turns are the models in the order in which a round measures them, which is reversed every other round.
func (r *Round) turns(round int, models []Model) (all []turn) {
	for _, m := range models {
		all = append(all, turn{m, map[Model]**Cost{None: &r.None, Blocking: &r.Blocking, Feed: &r.Feed}[m]})
	}
	if round%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

type turn struct {
	model Model
	cost  **Cost
}

// cell measures one load on each model, in turn.
func (b *bench) cell(ctx context.Context, streams, rate int, spread load.Spread) (c Cell, err error) {
	c = Cell{Streams: streams, Rate: rate, Spread: spread, Without: b.without(streams)}
	models := []Model{None, Blocking, Feed}
	if c.Without != "" {
		models = []Model{None, Feed}
	}
	for i := range b.o.Rounds {
		var round Round
		for _, t := range round.turns(i, models) {
			cost, err := b.cost(ctx, casting{url: b.o.URL, model: t.model, streams: streams, each: 1}, rate, spread)
			if err != nil {
				return c, fmt.Errorf("%s, %s streams, %s messages a second, %s: %w", t.model, report.Grouped(streams), report.Grouped(rate), spread, err)
			}
			*t.cost = &cost
			b.steps.Done()
		}
		c.Rounds = append(c.Rounds, round)
	}
	return c, nil
}

// cost stages a load on one model.
func (b *bench) cost(ctx context.Context, c casting, rate int, spread load.Spread) (cost Cost, err error) {
	s, err := stage(ctx, c, b.report)
	if err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.read(ctx); err != nil {
		return cost, err
	}
	if _, err := s.settled(ctx); err != nil {
		return cost, err
	}
	if s.sent, err = s.load.Send(rate, min(b.o.For/5, warmUp), spread); err != nil {
		return cost, err
	}
	err = s.profiled(b.o.Profiles, fmt.Sprintf("%d-%s", rate, spread), func() (err error) {
		cost, err = s.run(ctx, rate, b.o.For, spread)
		return err
	})
	return cost, err
}

// warmUp is how long a load runs at most before it is measured.
const warmUp = time.Second

// run measures a load on a scene that has settled.
func (s *scene) run(ctx context.Context, rate int, d time.Duration, spread load.Spread) (c Cost, err error) {
	before, err := s.look(ctx)
	if err != nil {
		return c, err
	}
	cores, err := measure.ReadCores()
	if err != nil {
		return c, err
	}
	if s.sent, err = s.load.Send(rate, d, spread); err != nil {
		return c, err
	}
	var sent Reader
	if s.reader != nil {
		if sent, err = s.ask("look"); err != nil {
			return c, err
		}
	}
	used, err := measure.ReadCores()
	if err != nil {
		return c, err
	}
	after, err := s.look(ctx)
	if err != nil {
		return c, err
	}
	c, err = between(before, after)
	c.Served = float64(sent.Messages-before.reader.Messages) / s.sent.Took.Seconds()
	c.Sent = float64(c.Messages) / s.sent.Took.Seconds()
	c.Machine = used.Since(cores)
	return c, errors.Join(err, s.check(after.reader))
}

// between is what the messages between two moments cost.
func between(before, after instant) (c Cost, err error) {
	latency, err := after.reader.Latency.Since(before.reader.Latency)
	if err != nil {
		return c, err
	}
	late, err := after.load.Late.Since(before.load.Late)
	if err != nil {
		return c, err
	}
	used := after.server.Since(before.server)
	n := after.load.Messages - before.load.Messages
	each := func(d time.Duration) time.Duration { return time.Duration(float64(d) / float64(max(n, 1))) }
	took := after.at.Sub(before.at).Seconds()
	client := after.reader.CPU - before.reader.CPU
	c = Cost{
		Messages: n, Redis: each(used.CPU), Client: each(client), RedisShare: used.CPU.Seconds() / took, ClientShare: client.Seconds() / took,
		P50: latency.Quantile(.5), P99: latency.Quantile(.99), P999: latency.Quantile(.999), Max: latency.Quantile(1), Late: late.Quantile(.99),
		Ran: make(map[string]time.Duration), Calls: make(map[string]float64), Inside: make(map[string]float64),
	}
	for name, calls := range used.Calls {
		c.Calls[name] = float64(calls) / float64(max(n, 1))
		c.Ran[name] = each(used.Ran[name])
	}
	for name, count := range after.reader.Counts {
		c.Inside[name] = (count - before.reader.Counts[name]) / float64(max(n, 1))
	}
	return c, nil
}

// net is a round's processor time of the server for a message without what the producer costs.
func (r Round) net(c *Cost) time.Duration { return max(0, c.Redis-r.None.Redis) }
