package ticker

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// One handler of slowOne takes SlowFor, and one of failOne fails.
	slowOne = 2_000
	failOne = 2_000
	// SlowFor is longer than the shortest interval, where troubles strike.
	SlowFor = 1500 * time.Millisecond
)

// Info is the info of a schedule.
type Info struct{ Generation uint32 }

// maxCrashDelay is how long a schedule waits at most, on average, whose owners have died, where troubles strike.
func maxCrashDelay(session time.Duration) time.Duration { return 2 * session }

// MaxDeferred is how long a schedule waits at most whose owners have died, where troubles strike: up to half as long again, at random.
func MaxDeferred(session time.Duration) time.Duration { return maxCrashDelay(session) * 3 / 2 }

// owned is an engine with schedules on it, as a program has it.
type owned struct {
	*server
	option rueidis.ClientOption
	engine *engine.Engine
	open   atomic.Int64
	over   chan error
}

func (w *owned) start(ctx context.Context) (err error) {
	opts := []engine.Option{
		engine.WithPartitions(w.options.Partitions), engine.WithLeaseTTL(w.options.LeaseTTL), engine.WithSessionTTL(w.options.SessionTTL),
		engine.WithConsumerID(w.options.Consumer), engine.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: w.level()}))),
	}
	if w.options.Troubled {
		// Owners die all the time here: with the default, schedules whose owners have died ten times would wait for minutes.
		opts = append(opts, engine.WithRecovery(scan.Config{
			Interval: max(w.options.SessionTTL/2, scan.MinInterval), MaxCrashes: scan.NoLimit, MaxCrashDelay: maxCrashDelay(w.options.SessionTTL)}))
	}
	if w.engine, err = engine.Open(w.option, w.options.Service, opts...); err != nil {
		return err
	}
	r, err := schedule.New(w.engine, w.opened, schedule.Config{})
	if err != nil {
		return err
	}
	w.over = make(chan error, 1)
	go func() { w.over <- r.Run(ctx) }()
	return target.AwaitReady(ctx, w.engine, w.over)
}

// level is what is logged: troubles are expected where there are some.
func (w *owned) level() slog.Level {
	if w.options.Troubled {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func (w *owned) held() int           { return int(w.open.Load()) }
func (w *owned) ended() <-chan error { return w.over }

func (w *owned) stop(ctx context.Context) error {
	return errors.Join(w.engine.Shutdown(ctx), <-w.over)
}

// opened opens the task of a schedule.
func (w *owned) opened(o schedule.Owned) (schedule.Task, error) {
	w.open.Add(1)
	if w.options.Notes == "" {
		return plain{w}, nil
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(o.Spec.Name, w.options.Prefix), 10, 32)
	if err != nil {
		return nil, err
	}
	t := &task{owned: w, number: uint32(number), token: o.Token}
	t.knows(o.Spec)
	var saved int64
	if len(o.State) > 0 {
		if saved, err = strconv.ParseInt(string(o.State), 10, 64); err != nil {
			return nil, err
		}
	}
	t.note(fired.Note{Kind: fired.Opened, Nominal: saved})
	return t, nil
}

// plain is a task that does nothing.
type plain struct{ *owned }

func (t plain) Tick(_ context.Context, x *schedule.Tick) error {
	t.tick(x.At)
	return nil
}

func (t plain) Stop(error) { t.open.Add(-1) }

// task notes what it fires.
type task struct {
	*owned
	number     uint32
	token      api.Token
	spec       *schedule.Spec
	generation uint32
}

func (t *task) knows(spec *schedule.Spec) {
	var i Info
	raw, _ := spec.Info.(json.RawMessage)
	t.must(json.Unmarshal(raw, &i))
	t.spec, t.generation = spec, i.Generation
}

// must ends the process if something could not be noted, since the audit would be wrong then.
func (t *task) must(err error) {
	if err != nil {
		slog.Error("not noted", "error", err)
		os.Exit(1)
	}
}

func (t *task) note(n fired.Note) {
	n.Schedule, n.Token, n.Generation = t.number, t.token, t.generation
	t.must(t.log.Note(n))
}

func (t *task) Changed(spec *schedule.Spec) {
	t.knows(spec)
	t.note(fired.Note{Kind: fired.Changed})
}

func (t *task) Stop(cause error) {
	t.open.Add(-1)
	kind := fired.Lost
	switch {
	case errors.Is(cause, api.ErrReleasing):
		kind = fired.Released
	case errors.Is(cause, schedule.ErrDeleted), errors.Is(cause, schedule.ErrReplaced):
		kind = fired.Deleted
	}
	t.note(fired.Note{Kind: kind})
}

func (t *task) Tick(_ context.Context, x *schedule.Tick) error {
	if x.Spec != t.spec {
		t.knows(x.Spec)
	}
	n := fired.Note{Kind: fired.Fired, Nominal: x.At.UnixMilli(), At: journal.Monotonic(), Late: t.tick(x.At), Missed: uint32(x.Missed)}
	if x.Remaining() <= 0 { // after the clock was read, so it was the owner then
		return api.ErrLeaseLost
	}
	if x.Manual {
		n.Kind = fired.Manual
	}
	t.note(n)
	if t.options.Troubled && rand.N(failOne) == 0 {
		t.note(fired.Note{Kind: fired.Failed, Nominal: n.Nominal})
		return errors.New("at random")
	}
	x.Save(strconv.AppendInt(nil, n.Nominal, 10))
	if t.options.Troubled && rand.N(slowOne) == 0 {
		time.Sleep(SlowFor)
		t.note(fired.Note{Kind: fired.Ended, Nominal: n.Nominal})
	}
	return nil
}
