package schedule

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
)

// rowsAtATime is how many rows one call reads: see docs/SCHEDULES.md for what it costs.
const rowsAtATime = 256

// loadDelays are the waits before rows are read again that could not be.
var loadDelays = backoff.Exponential{First: 250 * time.Millisecond, Max: 10 * time.Second, Jitter: 0.2}

// Every row that is owned is read again within sweepRound, a part every sweepPause: signals are hints, and where the server refuses them
// there are none.
const (
	sweepRound = 10 * time.Minute
	sweepPause = 10 * time.Second
)

// sweep is where the reading of all rows has come to. Times are ns on the loop's clock.
type sweep struct {
	next  int   // handle
	began int64 // the round
	at    int64 // when it goes on
}

// sweepOn reads the next part.
func (k *core) sweepOn() {
	now := k.times.mono()
	if now < k.sweep.at {
		return
	}
	part := max(rowsAtATime, len(k.entries)/int(sweepRound/sweepPause))
	for n := 0; n < part && k.sweep.next < len(k.entries); k.sweep.next++ {
		if e := k.entries[k.sweep.next]; e != nil && e.ticking != nil {
			k.load(e)
			n++
		}
	}
	k.sweep.at = now + int64(sweepPause)
	if k.sweep.next >= len(k.entries) {
		at := max(k.sweep.at, k.sweep.began+int64(sweepRound))
		k.sweep = sweep{began: at, at: at}
	}
}

// loads are the entries of a partition whose rows are to be read. One call is on its way at a time: what comes meanwhile goes along
// with the next one.
type loads struct {
	queue    []*entry
	sent     bool
	failures int
	retryAt  int64 // ns on the loop's clock
}

// load has the row of an entry read.
func (k *core) load(e *entry) {
	if e.queued || e.phase >= stopping {
		return
	}
	e.queued = true
	x := &k.loads[e.partition]
	x.queue = append(x.queue, e)
}

// sendLoads sends calls for what is to be read, and returns when the loop has to look again.
func (k *core) sendLoads() int64 {
	at := k.nextLook()
	for p := range k.loads {
		x := &k.loads[p]
		if x.sent || len(x.queue) == 0 {
			continue
		}
		if now := k.times.mono(); now < x.retryAt {
			at = min(at, x.retryAt)
			continue
		}
		n := min(len(x.queue), rowsAtATime)
		batch := append([]*entry(nil), x.queue[:n]...)
		names := make([]string, n)
		for i, e := range batch {
			e.queued = false // a change that comes from now on is read once more
			names[i] = e.lease.Stream()
		}
		if x.queue = x.queue[n:]; len(x.queue) == 0 {
			x.queue = nil
		}
		x.sent = true
		k.chores.Add(func() {
			ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
			defer cancel()
			rows, err := k.table.Rows(ctx, p, names)
			k.inbox.put(func() { k.loaded(p, batch, rows, err) })
		})
	}
	return at
}

// loaded takes in the answer of a call.
func (k *core) loaded(p int, batch []*entry, rows []string, err error) {
	x := &k.loads[p]
	x.sent = false
	if err == nil && len(rows) != len(batch) {
		err = fmt.Errorf("schedule: %d rows for %d names", len(rows), len(batch))
	}
	if err != nil {
		x.failures++
		x.retryAt = k.times.mono() + int64(loadDelays.Delay(x.failures, rand.Float64()))
		k.metrics.Inc(metrics.ScheduleErrors.With(metrics.ErrorLoad))
		k.log.Warn("reading the table of schedules failed and is retried", 1, "partition", p, "err", err)
		for _, e := range batch {
			k.load(e)
		}
		return
	}
	x.failures, x.retryAt = 0, 0
	for i, e := range batch {
		k.take(e, rows[i])
	}
}

// readCheckpoint reads what the last owner has left.
func (e *entry) readCheckpoint() (err error) {
	text := e.lease.Checkpoint()
	if text == "" {
		return nil
	}
	if e.done, err = record.ParseCheckpoint(text); err != nil {
		return fmt.Errorf("schedule %.64q: %w", e.lease.Stream(), err)
	}
	return nil
}

// take takes in a row as it is now, "" if there is none.
func (k *core) take(e *entry, text string) {
	if e.phase >= stopping {
		return
	}
	if text == "" {
		k.metrics.Inc(metrics.ScheduleChanges.With(metrics.ChangeDeleted))
		k.leave(e, leaving{deleted, ErrDeleted})
		return
	}
	row, err := record.ParseRow(text)
	switch {
	case err != nil && e.superseded:
		k.leave(e, leaving{replaced, ErrReplaced})
		return
	case err != nil:
		k.breakOff(e, err)
		return
	case e.born != 0 && row.Born != e.born:
		k.metrics.Inc(metrics.ScheduleChanges.With(metrics.ChangeDeleted))
		k.leave(e, leaving{deleted, ErrDeleted})
		return
	case e.superseded:
		k.metrics.Inc(metrics.ScheduleChanges.With(metrics.ChangeReplaced))
		k.leave(e, leaving{replaced, ErrReplaced})
		return
	case row.Rev == e.rev:
		return
	}
	terms, err := termsOf(e.lease.Stream(), &row.Definition)
	if err != nil {
		k.breakOff(e, err)
		return
	}
	k.understood(e, &row, terms)
}

// breakOff has a schedule not tick whose row cannot be understood. It stays owned: another process would understand no more.
func (k *core) breakOff(e *entry, err error) {
	k.metrics.Inc(metrics.ScheduleErrors.With(metrics.ErrorSpec))
	k.log.Error("a schedule does not tick, since its row cannot be understood; put it again", "example", e.lease.Stream(), "err", err)
	k.count(e, true, e.ticking != nil && e.ticking.Paused())
	k.wheel.Cancel(e.handle)
}

// understood takes in a row that differs from the one before.
func (k *core) understood(e *entry, row *record.Row, t ticking.Terms) {
	first := e.ticking == nil
	if first {
		if e.done.Born != row.Born {
			e.done = record.Checkpoint{Born: row.Born} // of an earlier incarnation
		}
		e.born = row.Born
		e.ticking = ticking.New(t, row.Since, row.Paused, row.Trigger, ticking.Done{
			Last: e.done.Last, Number: e.done.Number, Missed: e.done.Missed, Triggered: e.done.Trigger,
		})
		e.spec, e.definition = specOf(e.lease.Stream(), row), definitionHash(row)
	} else {
		k.changes(e, row)
		e.ticking.Edit(t, row.Since, row.Paused, row.Trigger)
	}
	e.rev = row.Rev
	k.count(e, false, row.Paused)
	if e.task == nil {
		if e.phase == loading {
			k.open(e)
		}
		return
	}
	k.proceed(e)
}

// changes takes in how a row differs from the one before.
func (k *core) changes(e *entry, row *record.Row) {
	inc := func(c metrics.ScheduleChange) { k.metrics.Inc(metrics.ScheduleChanges.With(c)) }
	switch paused := e.ticking.Paused(); {
	case row.Paused && !paused:
		inc(metrics.ChangePaused)
	case !row.Paused && paused:
		inc(metrics.ChangeResumed)
	}
	if row.Trigger > e.ticking.Trigger() {
		inc(metrics.ChangeTriggered)
	}
	if hash := definitionHash(row); hash != e.definition {
		inc(metrics.ChangeEdited)
		e.spec, e.definition, e.changed = specOf(e.lease.Stream(), row), hash, true
	}
}

var seed = maphash.MakeSeed()

// definitionHash tells definitions apart, in less memory than their texts take.
func definitionHash(row *record.Row) uint64 {
	times, others := row.Definition.Encode()
	return maphash.String(seed, times+"\n"+others)
}
