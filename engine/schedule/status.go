package schedule

import (
	"context"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/engine/schedule/internal/timing"
	"github.com/streamlease/streamlease/lease"
)

// Status is a schedule at one moment. What it says was read one after the other, so it may be from before and after a change. Times are UTC, by
// the server's clock.
type Status struct {
	// Spec is the schedule, with its Info as a json.RawMessage.
	Spec Spec
	// Rev rises with each change of the row.
	Rev int64
	// Created is when it was put first, or again after a deletion.
	Created time.Time
	// Paused is whether it is, and Note what Pause was given.
	Paused bool
	Note   string

	// Last is the time of the last tick that is known to have been fired, by its grid, or of one that was skipped after it, which Missed counts.
	// It may be up to a second behind. Zero: none.
	Last time.Time
	// Next is the time of the next tick, and Following those after it. Zero: there is none, such as while it is paused, or after Spec.End.
	// If Last is older than it should be, the ticks between are late or were missed.
	Next      time.Time
	Following [3]time.Time
	// Number is that of the last tick, and Missed how many were skipped since.
	Number uint64
	Missed int
	// Triggered is whether a tick was asked for that is not known to have been fired.
	Triggered bool
	// State is what Tick.Save kept last. nil: nothing.
	State []byte

	// Owner is the consumer that owns it, and Token that of its ownership. "": nobody does, such as in the first moments.
	Owner string
	Token api.Token
	// DeadLetter is whether nobody owns it since its announcement became a dead letter. Put it, or send the dead letter back
	// (scan.Inspector), and it goes on.
	DeadLetter bool

	// Err says why the schedule does not tick, or why some of this is not known: its row, or its checkpoint, cannot be read.
	Err error
}

// Get returns one schedule. Errors match ErrNoSchedule or api.ErrInvalidStream, or are as [Table] says.
func (t *Table) Get(ctx context.Context, name string) (Status, error) {
	if err := t.ready(ctx, []string{name}); err != nil {
		return Status{}, err
	}
	p := t.layout.Of(name)
	rows, err := t.store.Rows(ctx, p, []string{name})
	if err != nil {
		return Status{}, t.withRights(ctx, explained(fmt.Sprintf("reading schedule %.64q", name), err))
	}
	if rows[0] == "" {
		return Status{}, fmt.Errorf("%w: %.64q", ErrNoSchedule, name)
	}
	all, err := t.statuses(ctx, p, []string{name}, rows)
	if err != nil {
		return Status{}, t.withRights(ctx, err)
	}
	return all[0], nil
}

// statuses adds to rows of a partition what is elsewhere.
func (t *Table) statuses(ctx context.Context, p int, names, rows []string) ([]Status, error) {
	if len(names) == 0 {
		return nil, nil
	}
	stored, now, err := t.store.fields(ctx, t.layout.Keys(p).Checkpoints, "s", names)
	if err != nil {
		return nil, explained("reading the checkpoints of schedules", err)
	}
	owners, err := t.store.owners(ctx, p, names)
	if err != nil {
		return nil, explained("reading the leases of schedules", err)
	}
	all := make([]Status, len(names))
	for i := range all {
		all[i] = statusOf(names[i], rows[i], stored[i], owners[i], now)
	}
	return all, nil
}

// statusOf puts together what is known of a schedule. All texts come from outside; checkpoint and owner are "" for none.
func statusOf(name, row, checkpoint, owner string, now int64) (s Status) {
	if v, err := lease.ParseValue(owner); err == nil {
		s.Owner, s.Token = v.Consumer, v.Token
	}
	r, err := record.ParseRow(row)
	s.Rev, s.Created, s.Paused, s.Note = r.Rev, timeOf(r.Born), r.Paused, r.Note
	s.DeadLetter = r.Dead && s.Owner == ""
	if err != nil {
		s.Spec, s.Err = Spec{Name: name}, fmt.Errorf("%w: the row cannot be read: %w; put it again", ErrSpec, err)
		return s
	}
	s.Spec = *specOf(name, &r)
	c, err := checkpointOf(checkpoint, r.Born)
	if err != nil {
		s.Err = fmt.Errorf("schedule: the checkpoint of %.64q cannot be read, and it does not tick: %w", name, err)
		return s
	}
	s.Last, s.Number, s.Missed, s.State = timeOf(c.Last), c.Number, c.Missed, c.State
	s.Triggered = r.Trigger > c.Trigger
	at, err := timingOf(&r.Definition)
	if err != nil {
		s.Err = err
		return s
	}
	if !s.Paused {
		s.setNext(name, &r, at, c.Last, now)
	}
	return s
}

func (s *Status) setNext(name string, r *record.Row, at timing.Timing, last, now int64) {
	points, from := timing.From(at, name, firstOf(&r.Definition) == Soon, r.Since, last)
	from = max(from, now)
	for i := range 1 + len(s.Following) {
		next, ok := points.Next(from)
		if !ok {
			return
		}
		if i == 0 {
			s.Next = timeOf(next)
		} else {
			s.Following[i-1] = timeOf(next)
		}
		from = next
	}
}

// checkpointOf returns the checkpoint of an incarnation; the zero one if there is none, or it is of another.
func checkpointOf(stored string, born int64) (record.Checkpoint, error) {
	if stored == "" {
		return record.Checkpoint{}, nil
	}
	text, err := lease.ParseCheckpoint(stored)
	if err != nil || text == "" {
		return record.Checkpoint{}, err
	}
	c, err := record.ParseCheckpoint(text)
	if err != nil || c.Born != born {
		return record.Checkpoint{}, err
	}
	return c, nil
}
