package ticks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
	"github.com/streamlease/streamlease/engine"
)

// Large is many schedules of one process.
type Large struct {
	Schedules int
	Every     time.Duration
	LeaseTTL  time.Duration
	Put       time.Duration // until all were put, by one program
	PutRedis  time.Duration // processor time of the server for that
	Start     time.Duration // from the start of the process until it owned all
	Redis     time.Duration // processor time for that
	Client    time.Duration
	Declared  int64 // bytes of the server when all were put, and nobody owned them
	Owned     int64 // bytes of the server when all were owned
	Fired     int64 // bytes of the server when they had been measured
	Ticks     int64 // that were fired by then
	Heap      int64 // of the process: live heap and stacks
	RSS       int64
	Cost      Cost // meanwhile
}

// longFrom is the number of schedules of one process from which its leases have a long TTL, longTTL.
const (
	longFrom = 200_000
	longTTL  = 5 * time.Minute
)

func (b *bench) many(ctx context.Context) error {
	for _, n := range b.o.Many {
		l, err := b.large(ctx, n)
		if err != nil {
			return fmt.Errorf("%s: %w", report.Grouped(n), err)
		}
		b.result.Many = append(b.result.Many, l)
		b.steps.Done()
	}
	return nil
}

// large puts many schedules, and then starts a process that takes all of them.
func (b *bench) large(ctx context.Context, n int) (l Large, err error) {
	l = Large{Schedules: n, Every: b.o.ManyEvery, LeaseTTL: engine.DefaultLeaseTTL}
	if n >= longFrom {
		l.LeaseTTL = longTTL
	}
	s, err := stage(ctx, b.o.URL, ticker.Options{Model: ticker.Owned, Schedules: n, LeaseTTL: l.LeaseTTL, SessionTTL: b.o.SessionTTL}, b.report)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	began := time.Now()
	if err := s.put(ctx, l.Every); err != nil {
		return l, err
	}
	l.Put = time.Since(began)
	declared, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return l, err
	}
	l.PutRedis, l.Declared = declared.CPU-s.idle.CPU, declared.Memory-s.idle.Memory
	began = time.Now()
	if err := s.start(ctx); err != nil {
		return l, err
	}
	p := s.living()[0]
	a, err := p.Ask("await %d", n)
	if err != nil {
		return l, err
	}
	l.Start, l.Client = time.Since(began), a.CPU
	taken, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return l, err
	}
	l.Redis, l.Owned = taken.CPU-declared.CPU, taken.Memory-s.idle.Memory
	// What was due before it had an owner comes meanwhile.
	if err := measure.Pause(ctx, min(l.Every, ebb)); err != nil {
		return l, err
	}
	if l.Cost, err = s.measure(ctx, cmp.Or(b.o.Rest, l.Every+lag)); err != nil {
		return l, err
	}
	if a, err = p.Ask("memory"); err != nil {
		return l, err
	}
	l.Heap, l.RSS, l.Ticks = a.Memory, a.RSS, a.Ticks
	l.Fired = int64(l.Cost.ServerMemory * float64(n))
	return l, nil
}

// lag is how much longer than an interval is measured, so that each schedule has a checkpoint.
const lag = 2 * time.Second
