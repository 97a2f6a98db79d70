package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/streamlease/streamlease/engine/schedule"
)

// maxUnsent is how many reports of a monitor wait while Redis is away.
const maxUnsent = 100

// watcher opens the tasks of a process, and has what they share.
type watcher struct {
	checker *checker
	network *network
	alerter *alerter
	reports interface {
		add(ctx context.Context, all []Report) error
	}
	self string
	log  *slog.Logger
}

// task watches one monitor, for as long as this process owns it.
type task struct {
	*watcher
	monitor Monitor
	state   State
	unsent  []Report
}

func (w *watcher) open(o schedule.Owned) (schedule.Task, error) {
	t := &task{watcher: w}
	if o.State != nil {
		if err := json.Unmarshal(o.State, &t.state); err != nil {
			return nil, fmt.Errorf("state of %q: %w", o.Spec.Name, err)
		}
	}
	var err error
	t.monitor, err = schedule.DecodeInfo[Monitor](o.Spec)
	return t, err
}

// Changed is called after an edit. What cannot be decoded leaves the monitor as it is.
func (t *task) Changed(spec *schedule.Spec) {
	monitor, err := schedule.DecodeInfo[Monitor](spec)
	if err != nil {
		t.log.Error("cannot read a changed monitor", "monitor", spec.Name, "error", err)
		return
	}
	t.monitor = monitor
}

// Tick makes one check. The tick is done when its report is in Redis: if this process dies before, the next owner repeats it.
func (t *task) Tick(owned context.Context, tick *schedule.Tick) error {
	// A check takes at most half of the interval, and all of it less than the interval, so that no tick is skipped.
	ctx, cancel := context.WithTimeout(owned, tick.Spec.Every*9/10)
	defer cancel()
	took, failure := t.checker.check(ctx, &t.monitor)
	if owned.Err() != nil {
		return owned.Err() // the monitor is another process's now, and the failure may be our own
	}
	t.network.note(tick.Schedule, failure != nil)
	t.state = t.state.after(tick.At, took, failure, t.network.offline.Load())
	t.alert(ctx, tick.Schedule)

	state, err := json.Marshal(t.state)
	if err != nil {
		return err
	}
	tick.Save(state)
	t.unsent = append(t.unsent[max(0, len(t.unsent)-maxUnsent+1):], Report{
		Monitor: tick.Schedule, At: tick.At, Late: tick.Late, Missed: tick.Missed, Owner: t.self, State: t.state,
	})
	if err := t.reports.add(ctx, t.unsent); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	t.unsent = t.unsent[:0]
	return nil
}

// alert tells people of a change, until that was successful once.
func (t *task) alert(ctx context.Context, name string) {
	if !t.state.news() {
		return
	}
	if err := t.alerter.send(ctx, newAlert(name, t.monitor.Target, t.state)); err != nil {
		t.log.Error("alert is not sent yet", "monitor", name, "error", err)
		return
	}
	t.state.Alerted = t.state.Since
}
