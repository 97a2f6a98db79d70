package main

import (
	"context"
	"log/slog"
	"time"
)

const (
	recordEvery = 200 * time.Millisecond
	pruneEvery  = time.Hour
)

// recorder writes the reports of all processes to SQLite, and then shows them to the page.
type recorder struct {
	reports *reports
	history *history
	events  *events
	keep    time.Duration
	log     *slog.Logger
}

// run records until ctx ends. What was added before that is recorded.
func (r *recorder) run(ctx context.Context) {
	record, prune := time.NewTicker(recordEvery), time.NewTicker(pruneEvery)
	defer record.Stop()
	defer prune.Stop()
	for done := false; !done; {
		select {
		case <-record.C:
		case <-prune.C:
			if err := r.history.prune(ctx, time.Now().Add(-r.keep)); err != nil {
				r.log.Error("cannot prune the history", "error", err)
			}
		case <-ctx.Done():
			done = true
		}
		if err := r.record(context.WithoutCancel(ctx)); err != nil {
			r.log.Error("cannot record", "error", err)
		}
	}
}

// record writes all that there is.
func (r *recorder) record(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	position, err := r.history.position(ctx)
	for more := true; more && err == nil; {
		var batch []Report
		if batch, position, err = r.reports.read(ctx, position); err != nil || len(batch) == 0 {
			break
		}
		if err = r.history.write(ctx, batch, position); err == nil {
			r.events.publish(batch)
		}
		more = len(batch) == reportBatch
	}
	return err
}
