package messages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/engine"
)

// Idle is what streams cost to which nothing is added.
type Idle struct {
	Streams      int
	Model        Model
	RedisCPU     float64 // share of a core
	ClientCPU    float64
	Commands     float64 // a second, those that scripts call included
	Connections  int64
	Goroutines   int
	Heap         float64 // bytes a stream
	Memory       float64 // bytes a stream, stacks of goroutines included
	ServerMemory float64 // bytes a stream, buffers of connections included
	RSS          int64
	Inside       map[string]float64 // of what happened inside the reader, a second, by name
}

// idle measures streams to which nothing is added, with each model that can have so many.
func (b *bench) idle(ctx context.Context, streams int) (all []Idle, err error) {
	for _, m := range []Model{None, Owned, Blocking, Feed} {
		if m == Blocking && b.without(streams) != "" {
			continue
		}
		i, err := b.idleOne(ctx, casting{url: b.o.URL, model: m, streams: streams, each: 1})
		if err != nil {
			return all, fmt.Errorf("%s, %s streams, idle: %w", m, report.Grouped(streams), err)
		}
		all = append(all, i)
		b.steps.Done()
	}
	return all, nil
}

// Renewal is how often a lease is renewed. All were taken in a burst, so their renewals come in waves: what is not measured for a multiple of
// it has one wave more or less than its share.
const Renewal = engine.DefaultLeaseTTL / 3

// ebb is how long the effects of taking streams take to pass: goroutines that delivered them end after 10 s without work.
const ebb = 11 * time.Second

func (b *bench) idleOne(ctx context.Context, c casting) (i Idle, err error) {
	s, err := stage(ctx, c, b.report)
	if err != nil {
		return i, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.read(ctx); err != nil {
		return i, err
	}
	if _, err := s.settled(ctx); err != nil {
		return i, err
	}
	return s.rest(ctx, b.o.Rest, b.o.Profiles)
}

// rest measures a scene on which nothing happens.
func (s *scene) rest(ctx context.Context, d time.Duration, profiles string) (i Idle, err error) {
	if err := measure.Pause(ctx, min(d, ebb)); err != nil {
		return i, err
	}
	before, err := s.look(ctx)
	if err != nil {
		return i, err
	}
	if err := measure.Pause(ctx, d); err != nil {
		return i, err
	}
	after, err := s.look(ctx)
	if err != nil {
		return i, err
	}
	took := after.at.Sub(before.at).Seconds()
	used := after.server.Since(before.server)
	i = Idle{
		Streams: s.streams, Model: s.model, RedisCPU: used.CPU.Seconds() / took, ClientCPU: (after.reader.CPU - before.reader.CPU).Seconds() / took,
		Commands: float64(used.Processed) / took, Connections: after.server.Clients - s.before.Clients, Goroutines: after.reader.Goroutines,
		ServerMemory: float64(after.server.Allocated-s.before.Allocated) / float64(s.streams), RSS: after.reader.RSS, Inside: make(map[string]float64),
	}
	for name, count := range after.reader.Counts {
		i.Inside[name] = (count - before.reader.Counts[name]) / took
	}
	if s.reader == nil {
		return i, nil
	}
	path, err := s.profileOf(profiles, "heap")
	if err != nil {
		return i, err
	}
	last, err := s.ask("heap %s", path)
	i.Heap, i.Memory = float64(last.Heap)/float64(s.streams), float64(last.Memory)/float64(s.streams)
	return i, errors.Join(err, s.check(last))
}
