package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/test/servers"
)

// askEvery is how often a condition is checked.
const askEvery = 5 * time.Millisecond

// watch writes the live line.
type watch struct {
	out    *screen
	server *servers.Server
	child  *child
	self   *process // nil until it is started
}

// sample is the state of everything at one moment.
type sample struct {
	at          time.Time
	self, child snapshot
	scripts     int64
	cpu         time.Duration
}

func (w *watch) sample(ctx context.Context) (sample, error) {
	s := sample{at: time.Now(), child: w.child.report()}
	if w.self != nil {
		s.self = w.self.report()
	}
	commands, err := measure.CommandsSent(ctx, w.server)
	if err != nil {
		return s, err
	}
	s.scripts = commands.Scripts()
	s.cpu, err = w.server.CPU()
	return s, errors.Join(err, s.self.err(), s.child.err())
}

// during shows the line for a time of d.
func (w *watch) during(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	return w.until(ctx, func() bool { return !time.Now().Before(end) })
}

// until shows the line until done reports true. Its rates are those of the last second.
func (w *watch) until(ctx context.Context, done func() bool) error {
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	tick := time.NewTicker(w.out.period())
	defer tick.Stop()
	first, err := w.sample(ctx)
	if err != nil {
		return err
	}
	for recent := []sample{first}; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ask.C:
			if done() {
				return nil
			}
			continue
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
		w.out.show(line(recent[0], now, now.at.Sub(first.at)))
	}
}

// line shows the two processes side by side.
func line(a, b sample, elapsed time.Duration) string {
	s := b.at.Sub(a.at).Seconds()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	// The last report of a child that has ended still has its renewals.
	renewed := b.self.Renewed + b.child.Renewed - a.self.Renewed - a.child.Renewed
	return fmt.Sprintf("%5.1fs  held %s + %s  renewals %s/s  scripts %.0f/s  goroutines %d  heap %.0f MB  Redis CPU %.0f %%",
		elapsed.Seconds(), report.Grouped(b.self.Held), report.Grouped(b.child.Held), report.Grouped(renewed/s), float64(b.scripts-a.scripts)/s,
		runtime.NumGoroutine(), float64(heap[0].Value.Uint64())/1e6, 100*(b.cpu-a.cpu).Seconds()/s)
}
