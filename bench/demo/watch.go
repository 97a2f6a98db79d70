package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

// watch writes the live line.
type watch struct {
	out      *screen
	server   *servers.Server
	engine   *engine.Engine
	owner    *owner
	registry *prometheus.Registry
	began    time.Time
	taken    time.Duration // from the start until all streams were owned and read
}

// sample is what is known at one moment.
type sample struct {
	at      time.Time
	renewed float64
	scripts int64
	cpu     time.Duration
}

func (w *watch) sample(ctx context.Context) (sample, error) {
	commands, err := measure.CommandsSent(ctx, w.server)
	if err != nil {
		return sample{}, err
	}
	cpu, err := w.server.CPU()
	return sample{at: time.Now(), renewed: w.renewed(), scripts: commands.Scripts(), cpu: cpu}, err
}

// renewed is how many renewals have succeeded.
func (w *watch) renewed() float64 {
	return measure.Counter(w.registry, "streamlease_renewals_total", "result", "kept")
}

// take waits until every stream has been taken and read.
func (w *watch) take(ctx context.Context) error {
	tick := time.NewTicker(w.out.period())
	defer tick.Stop()
	for {
		select {
		case <-w.owner.all:
			w.taken = time.Since(w.began)
			w.owner.close()
			return w.owner.err()
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			w.out.show(fmt.Sprintf("  taking: %s owned, %s read", grouped(w.engine.Stats().Held), grouped(w.owner.read.Load())))
			if err := w.owner.err(); err != nil {
				return err
			}
		}
	}
}

// hold shows the line for so long. The rates are those of the last second.
func (w *watch) hold(ctx context.Context, d time.Duration) error {
	tick := time.NewTicker(w.out.period())
	defer tick.Stop()
	end := time.NewTimer(d)
	defer end.Stop()
	first, err := w.sample(ctx)
	if err != nil {
		return err
	}
	recent := []sample{first}
	for {
		select {
		case <-end.C:
			return w.owner.err()
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, err := w.sample(ctx)
		if err != nil {
			return err
		}
		recent = append(recent, now)
		for len(recent) > 2 && now.at.Sub(recent[1].at) >= time.Second {
			recent = recent[1:]
		}
		w.out.show(w.line(recent[0], now, now.at.Sub(first.at)))
		if err := w.owner.err(); err != nil {
			return err
		}
	}
}

func (w *watch) line(a, b sample, elapsed time.Duration) string {
	s := b.at.Sub(a.at).Seconds()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return fmt.Sprintf("%5.1fs  held %s  renewals %s/s  scripts %.0f/s  goroutines %d  heap %.0f MB  Redis CPU %.0f %%",
		elapsed.Seconds(), grouped(w.engine.Stats().Held), grouped((b.renewed-a.renewed)/s), float64(b.scripts-a.scripts)/s,
		runtime.NumGoroutine(), float64(heap[0].Value.Uint64())/1e6, 100*(b.cpu-a.cpu).Seconds()/s)
}
