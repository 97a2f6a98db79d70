package schedule

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

// DeleteOption is an option of [Table.Delete].
type DeleteOption interface{ configureDelete(*deleteConfig) }

type deleteConfig struct{ wait bool }

type deleteOption func(*deleteConfig)

func (o deleteOption) configureDelete(c *deleteConfig) { o(c) }

// Wait has Delete return only when nobody owns the schedules any more: their tasks have stopped.
func Wait() DeleteOption { return deleteOption(func(c *deleteConfig) { c.wait = true }) }

// Delete deletes schedules with their state, and returns how many there were; to delete what is not there is no error. Each owner stops its
// task with ErrDeleted within about a second. A tick that is at work is not interrupted.
//
// With [Wait] it looks, every 100 ms at first, until the ownerships have ended that there were, or ctx ends. If an owner has died, that takes
// until its lease is over.
//
// After an error some may have been deleted. Errors match api.ErrInvalidStream for an empty name, or are as [Table] says.
func (t *Table) Delete(ctx context.Context, names []string, opts ...DeleteOption) (deleted int, err error) {
	var cfg deleteConfig
	for i, o := range opts {
		if o == nil {
			return 0, invalid("option %d of %d of Delete is nil; leave it out", i+1, len(opts))
		}
		o.configureDelete(&cfg)
	}
	if err := t.ready(ctx, names); err != nil {
		return 0, err
	}
	if deleted, err = t.remove(ctx, names); err == nil && cfg.wait {
		err = t.awaitFree(ctx, names)
	}
	return deleted, t.withRights(ctx, err)
}

// ready checks names, and that the service is the one that the table was made for.
func (t *Table) ready(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := cluster.ValidateStream(name); err != nil {
			return err
		}
	}
	return t.publisher.Agree(ctx)
}

// remove deletes rows.
func (t *Table) remove(ctx context.Context, names []string) (deleted int, err error) {
	var failed errorList
	all := t.batchesOf(names)
	unsent, _ := t.each(ctx, all, func(b *batch) lease.Call {
		k := t.layout.Keys(b.partition)
		return lease.Call{Script: scriptRemove, Keys: []string{k.Schedules, k.Signals}, Args: pick(names, b.items)}
	}, func(b *batch, answer rueidis.RedisResult) {
		n, err := answer.AsInt64()
		deleted += int(n)
		if err != nil {
			failed.add(explained(fmt.Sprintf("deleting %d schedules, %.64q first", len(b.items), names[b.items[0]]), err))
		}
	})
	if unsent > 0 {
		failed.add(fmt.Errorf("schedule: deleting the others: %w", errNotSent))
	}
	return deleted, failed.err()
}

func (t *Table) batchesOf(names []string) []batch {
	return t.batches(len(names), func(i int) string { return names[i] }, func(i int) int { return len(names[i]) + lease.FieldWeight })
}

func pick(names []string, items []int) []string {
	some := make([]string, len(items))
	for n, i := range items {
		some[n] = names[i]
	}
	return some
}

// freeDelays are those between looks whether schedules are owned.
var freeDelays = backoff.Exponential{First: 100 * time.Millisecond, Max: time.Second}

// awaitFree waits until the ownerships have ended that the first look finds.
func (t *Table) awaitFree(ctx context.Context, names []string) error {
	owned := make(map[string]api.Token)
	for look := 1; ; look++ {
		left := make([]string, 0, len(names))
		for _, b := range t.batchesOf(names) {
			some := pick(names, b.items)
			values, err := t.store.owners(ctx, b.partition, some)
			if err != nil {
				return explained("the schedules are deleted; looking whether they are still owned", err)
			}
			for i, text := range values {
				v, err := lease.ParseValue(text)
				if err != nil { // none, or nothing that an owner wrote
					continue
				}
				if token, seen := owned[some[i]]; !seen && look == 1 || token == v.Token {
					owned[some[i]] = v.Token
					left = append(left, some[i])
				}
			}
		}
		if len(left) == 0 {
			return nil
		}
		names = left
		if !backoff.Sleep(ctx, freeDelays.Delay(look, 0)) {
			return fmt.Errorf("schedule: deleted; %d are still owned, %.64q first: %w", len(left), left[0], context.Cause(ctx))
		}
	}
}

// Pause has schedules fire no ticks until Resume, with a note for whoever looks at them, at most MaxNote bytes. Who owns them goes on owning them. A tick
// that is at work is not interrupted; ticks while a schedule is paused are not missed. To pause again changes the note.
//
// Errors match ErrNoSchedule for names of which there is none, and ErrSpec for a row that cannot be read: the others are paused all the same. Otherwise they
// are as with Delete.
func (t *Table) Pause(ctx context.Context, note string, names ...string) error {
	if len(note) > MaxNote {
		return invalid("the note has %d bytes, the limit is %d", len(note), MaxNote)
	}
	return t.change(ctx, "pausing", "pause", note, names)
}

// Resume ends a pause. The next tick is the next one of the grid. To resume what is not paused changes nothing. Errors are as with Pause.
func (t *Table) Resume(ctx context.Context, names ...string) error {
	return t.change(ctx, "resuming", "resume", "", names)
}

// Trigger asks for one tick of each schedule now, besides those of its grid: Tick.Manual. It is kept until somebody has fired it, also
// while the schedule is paused or nobody owns it; if it is asked for again before that, there is one. Errors are as with Pause, but after a call
// without an answer another one may lead to another tick.
func (t *Table) Trigger(ctx context.Context, names ...string) error {
	return t.change(ctx, "triggering", "trigger", "", names)
}

func (t *Table) change(ctx context.Context, doing, what, note string, names []string) error {
	if err := t.ready(ctx, names); err != nil {
		return err
	}
	var failed errorList
	unsent, _ := t.each(ctx, t.batchesOf(names), func(b *batch) lease.Call {
		k := t.layout.Keys(b.partition)
		return lease.Call{Script: scriptChange, Keys: []string{k.Schedules, k.Signals}, Args: append([]string{what, note}, pick(names, b.items)...)}
	}, func(b *batch, answer rueidis.RedisResult) {
		verdicts, err := answer.AsStrSlice()
		if err == nil && len(verdicts) != len(b.items) {
			err = errAnswer
		}
		if err != nil {
			failed.add(explained(fmt.Sprintf("%s %d schedules, %.64q first", doing, len(b.items), names[b.items[0]]), err))
			return
		}
		for n, i := range b.items {
			switch verdicts[n] {
			case "d", "u":
			case "a":
				failed.add(fmt.Errorf("%w: %.64q", ErrNoSchedule, names[i]))
			default:
				failed.add(fmt.Errorf("%w: the row of %.64q cannot be read; put it again", ErrSpec, names[i]))
			}
		}
	})
	if unsent > 0 {
		failed.add(fmt.Errorf("schedule: %s the others: %w", doing, errNotSent))
	}
	return t.withRights(ctx, failed.err())
}
