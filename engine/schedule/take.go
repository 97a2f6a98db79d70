package schedule

import (
	"fmt"
	"hash/maphash"

	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
)

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

// taken is what came of a row.
type taken struct {
	next    act
	changes []metrics.ScheduleChange
	err     error // why it cannot be understood
}

// take takes in a row as it is now, "" if there is none.
func (e *entry) take(text string) (t taken) {
	if e.phase >= stopping {
		return t
	}
	if text == "" {
		return e.goAs(leaving{deleted, ErrDeleted}, metrics.ChangeDeleted)
	}
	row, err := record.ParseRow(text)
	switch {
	case err == nil && e.born != 0 && row.Born != e.born:
		return e.goAs(leaving{deleted, ErrDeleted}, metrics.ChangeDeleted)
	case e.superseded:
		return e.goAs(leaving{replaced, ErrReplaced}, metrics.ChangeReplaced)
	case err != nil:
		return e.breakOff(err)
	case row.Rev == e.rev:
		return t
	}
	terms, err := termsOf(e.lease.Stream(), &row.Definition)
	if err != nil {
		return e.breakOff(err)
	}
	if !e.known {
		e.begins(&row, terms)
	} else {
		t.changes = e.changesTo(&row)
		e.ticking.Edit(terms, row.Since, row.Paused, row.Trigger)
	}
	e.rev, e.broken = row.Rev, false
	if t.next = e.next(); e.phase == loading {
		t.next = openTask
	}
	return t
}

// goAs has the ownership end.
func (e *entry) goAs(how leaving, c metrics.ScheduleChange) taken {
	return taken{next: e.leave(how), changes: []metrics.ScheduleChange{c}}
}

// breakOff has a schedule not tick whose row cannot be understood. It stays owned: another process would understand no more.
func (e *entry) breakOff(err error) taken {
	e.broken = true
	return taken{err: err}
}

// begins takes in the first row.
func (e *entry) begins(row *record.Row, t ticking.Terms) {
	if e.done.Born != row.Born {
		e.done = record.Checkpoint{Born: row.Born} // of an earlier incarnation
	}
	e.born = row.Born
	e.known = true
	e.ticking = *ticking.New(t, row.Since, row.Paused, row.Trigger, ticking.Done{
		Last: e.done.Last, Number: e.done.Number, Missed: e.done.Missed, Triggered: e.done.Trigger,
	})
	e.spec, e.definition = specOf(e.lease.Stream(), row), definitionHash(row)
}

// changesTo takes in how a row differs from the one before, times aside.
func (e *entry) changesTo(row *record.Row) (all []metrics.ScheduleChange) {
	switch paused := e.ticking.Paused(); {
	case row.Paused && !paused:
		all = append(all, metrics.ChangePaused)
	case !row.Paused && paused:
		all = append(all, metrics.ChangeResumed)
	}
	if row.Trigger > e.ticking.Trigger() {
		all = append(all, metrics.ChangeTriggered)
	}
	if hash := definitionHash(row); hash != e.definition {
		all = append(all, metrics.ChangeEdited)
		e.spec, e.definition, e.changed = specOf(e.lease.Stream(), row), hash, true
	}
	return all
}

var seed = maphash.MakeSeed()

// definitionHash tells definitions apart, in less memory than their texts take.
func definitionHash(row *record.Row) uint64 {
	times, others := row.Definition.Encode()
	return maphash.String(seed, times+"\n"+others)
}

// termsOf returns what the definition of a schedule says.
func termsOf(name string, d *record.Definition) (ticking.Terms, error) {
	at, err := timingOf(d)
	if err != nil {
		return ticking.Terms{}, err
	}
	return ticking.Terms{Timing: at, Name: name, Soon: firstOf(d) == Soon, Skip: Missed(d.Missed) == Skip, Window: d.Window}, nil
}
