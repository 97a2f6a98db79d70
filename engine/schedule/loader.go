package schedule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
)

// rowsAtATime is how many rows one call reads: see docs/schedules.md for what it costs.
const rowsAtATime = 256

// Every row that is owned is read again within sweepRound, a part every sweepPause: signals are hints, and where the server refuses them
// there are none.
const (
	sweepRound = 10 * time.Minute
	sweepPause = 10 * time.Second
)

// loadDelays are the waits before rows are read again that could not be.
var loadDelays = backoff.Exponential{First: 250 * time.Millisecond, Max: 10 * time.Second, Jitter: 0.2}

// rowStore reads rows of the table.
type rowStore interface {
	Rows(ctx context.Context, partition int, names []string) ([]string, error)
}

// loader reads the rows of entries. It belongs to the loop.
type loader struct {
	table   rowStore
	run     func(call func())              // on another goroutine
	post    func(f func())                 // back to the loop
	took    func(entry *entry, row string) // called by the loop
	log     *sumlog.Logger
	metrics *metrics.Metrics

	parts []loads // by partition
	sweep sweep
}

// loads are the entries of a partition whose rows are to be read. One call is on its way at a time: what comes meanwhile goes along
// with the next one.
type loads struct {
	queue    []*entry
	sent     bool
	failures int
	retryAt  int64 // ns on the loop's clock
}

// add has the row of an entry read.
func (l *loader) add(e *entry) {
	if e.queued || e.phase >= stopping {
		return
	}
	e.queued = true
	x := &l.parts[e.partition]
	x.queue = append(x.queue, e)
}

// send sends calls for what is to be read, and returns when there is something to do again, at the latest at a time.
func (l *loader) send(now, at int64) int64 {
	for p := range l.parts {
		x := &l.parts[p]
		switch {
		case x.sent || len(x.queue) == 0:
		case now < x.retryAt:
			at = min(at, x.retryAt)
		default:
			l.sendOne(p, x.take(), now)
		}
	}
	return at
}

// take takes the entries of the next call, whose names are not more bytes than a server should get at once.
func (x *loads) take() []*entry {
	n, bytes := 0, 0
	for n < min(len(x.queue), rowsAtATime) && (n == 0 || bytes < callBytes) {
		bytes += len(x.queue[n].lease.Stream())
		n++
	}
	batch := append([]*entry(nil), x.queue[:n]...)
	for _, e := range batch {
		e.queued = false // a change that comes from now on is read once more
	}
	if x.queue = x.queue[n:]; len(x.queue) == 0 {
		x.queue = nil
	}
	x.sent = true
	return batch
}

func (l *loader) sendOne(p int, batch []*entry, now int64) {
	names := make([]string, len(batch))
	for i, e := range batch {
		names[i] = e.lease.Stream()
	}
	l.run(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
		defer cancel()
		rows, err := l.table.Rows(ctx, p, names)
		if err == nil && len(rows) != len(names) {
			err = fmt.Errorf("schedule: %d rows for %d names", len(rows), len(names))
		}
		l.post(func() { l.answered(p, batch, rows, err, now) })
	})
}

// answered takes in the answer of a call.
func (l *loader) answered(p int, batch []*entry, rows []string, err error, sent int64) {
	x := &l.parts[p]
	x.sent = false
	if err != nil {
		x.failures++
		x.retryAt = sent + int64(loadDelays.Delay(x.failures, rand.Float64()))
		l.metrics.Inc(metrics.ScheduleErrors.With(metrics.ErrorLoad))
		l.log.Warn("reading the table of schedules failed and is retried", 1, "partition", p, "err", err)
		for _, e := range batch {
			l.add(e)
		}
		return
	}
	x.failures, x.retryAt = 0, 0
	for i, e := range batch {
		l.took(e, rows[i])
	}
}

// sweep is where the reading of all rows has come to. Times are ns on the loop's clock.
type sweep struct {
	next  int   // in the list of entries
	began int64 // the round
	at    int64 // when it goes on
}

// sweepOn reads the next part of all entries, some of which may be nil.
func (l *loader) sweepOn(now int64, all []*entry) {
	if now < l.sweep.at {
		return
	}
	part := max(rowsAtATime, len(all)/int(sweepRound/sweepPause))
	for n := 0; n < part && l.sweep.next < len(all); l.sweep.next++ {
		if e := all[l.sweep.next]; e != nil && e.known {
			l.add(e)
			n++
		}
	}
	l.sweep.at = now + int64(sweepPause)
	if l.sweep.next >= len(all) {
		at := max(l.sweep.at, l.sweep.began+int64(sweepRound))
		l.sweep = sweep{began: at, at: at}
	}
}
