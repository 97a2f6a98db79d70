package schedule

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/lease"
)

// putChunk is how many specs are turned into calls at once.
const putChunk = pipelined * callItems

// Outcome is what became of a spec that was put.
type Outcome uint8

const (
	// Failed: nothing was changed, or it is not known whether something was. The error says which.
	Failed Outcome = iota
	// Created: there was no such schedule. It was announced, and ticks as soon as a process owns it.
	Created
	// Edited: its owner takes up the new spec within about a second. So it is, too, if nothing has changed but its announcement was a dead
	// letter: it was announced again.
	Edited
	// Unchanged: the schedule was like this already. Nothing was written.
	Unchanged
)

// String returns "failed", "created", "edited" or "unchanged".
func (o Outcome) String() string {
	switch o {
	case Created:
		return "created"
	case Edited:
		return "edited"
	case Unchanged:
		return "unchanged"
	}
	return "failed"
}

// Result is what became of one spec.
type Result struct {
	Name    string
	Outcome Outcome
	Err     error // nil unless Outcome is Failed
}

// Put makes schedules, and edits those that are there and differ. The results are in the order of specs. err lists the first 10 errors and counts
// the others; it is nil if none failed. One spec that cannot be put holds up no other. Names must not repeat in one call.
//
// A spec that is put as it is already writes nothing and moves nothing, so that each deploy may put all of them: 10,000 take 40 scripts. An
// edit of when a schedule ticks counts from now on: what it missed before is forgotten. Whatever is edited, its ticks go on counting, its
// state stays, and if it is paused it stays so.
//
// Errors match ErrSpec for a spec that is out of range; api.ErrInvalidStream or api.ErrTooLarge for a name that cannot be announced; or they are as
// [Table] says. If there is no answer, put it again: what was done is found unchanged. If Redis answers none of several calls, or ctx
// ends, the rest is not sent.
func (t *Table) Put(ctx context.Context, specs ...Spec) ([]Result, error) {
	results := make([]Result, len(specs))
	for i := range specs {
		results[i].Name = specs[i].Name
	}
	if len(specs) == 0 {
		return nil, nil
	}
	if err := t.publisher.Agree(ctx); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results, err
	}
	seen := make(map[string]bool, len(specs))
	var failed errorList
	for from := 0; from < len(specs); from += putChunk {
		to := min(from+putChunk, len(specs))
		goOn := t.putSome(ctx, specs[from:to], results[from:to], seen)
		for i := range results[from:to] {
			failed.add(results[from+i].Err)
		}
		if goOn {
			continue
		}
		for i := to; i < len(specs); i++ {
			results[i].Err = putting(specs[i].Name, errNotSent)
			failed.add(results[i].Err)
		}
		break
	}
	return results, t.withRights(ctx, failed.err())
}

// putting adds to an error which schedule it is about.
func putting(name string, err error) error {
	return fmt.Errorf("putting schedule %.64q: %w", name, err)
}

// putItem is a spec as it is sent.
type putItem struct {
	at                              int // in the specs
	name, times, rest, announcement string
}

func (i *putItem) weight() int {
	return len(i.name) + len(i.times) + len(i.rest) + len(i.announcement) + 4*lease.FieldWeight
}

// putSome puts specs, and sets their results. seen has the names that were put before, nil if they may repeat. It reports false if no call
// was answered at the end, and nothing more is to be sent.
func (t *Table) putSome(ctx context.Context, specs []Spec, results []Result, seen map[string]bool) bool {
	items := make([]putItem, 0, len(specs))
	for i := range specs {
		item, err := t.encode(&specs[i])
		if err == nil && seen != nil {
			if seen[item.name] {
				err = badSpec("it is in this call twice; put it once")
			}
			seen[item.name] = true
		}
		if err != nil {
			results[i].Err = putting(specs[i].Name, err)
			continue
		}
		item.at = i
		items = append(items, item)
		results[i].Err = putting(item.name, errNotSent)
	}
	all := t.batches(len(items), func(i int) string { return items[i].name }, func(i int) int { return items[i].weight() })
	_, ok := t.each(ctx, all, func(b *batch) lease.Call { return t.putCall(b, items) }, func(b *batch, answer rueidis.RedisResult) {
		verdicts, err := parsePut(answer, len(b.items))
		for n, i := range b.items {
			r := &results[items[i].at]
			switch {
			case err != nil:
				r.Err = explained(fmt.Sprintf("putting schedule %.64q", r.Name), err)
			default:
				r.Outcome, r.Err = verdicts[n].outcome()
				if r.Err != nil {
					r.Err = putting(r.Name, lease.Explain(r.Err))
				}
			}
		}
	})
	return ok
}

// encode checks a spec and returns what is sent of it.
func (t *Table) encode(s *Spec) (item putItem, err error) {
	if err := t.publisher.Check(s.Name); err != nil {
		return item, err
	}
	d, err := s.definition()
	if err != nil {
		return item, err
	}
	item.name = s.Name
	item.times, item.rest = d.Encode()
	item.announcement, err = lease.EncodeAnnouncement(s.Name, nil)
	return item, err
}

func (t *Table) putCall(b *batch, items []putItem) lease.Call {
	k := t.layout.Keys(b.partition)
	call := lease.Call{Script: scriptPut, Keys: []string{k.Input, k.Schedules, k.Signals}, Args: make([]string, 0, 4*len(b.items))}
	for _, i := range b.items {
		x := &items[i]
		call.Args = append(call.Args, x.name, x.times, x.rest, x.announcement)
	}
	return call
}

// putVerdict is the answer of the script about one spec.
type putVerdict struct{ verdict, why string }

func (v putVerdict) outcome() (Outcome, error) {
	switch v.verdict {
	case "c":
		return Created, nil
	case "e", "r":
		return Edited, nil
	case "u":
		return Unchanged, nil
	case "f":
		return Failed, lease.RefusedReply(v.why)
	}
	return Failed, errAnswer
}

func parsePut(answer rueidis.RedisResult, n int) ([]putVerdict, error) {
	all, err := answer.ToArray()
	if err != nil {
		return nil, err
	}
	if len(all) != n {
		return nil, errAnswer
	}
	verdicts := make([]putVerdict, n)
	for i := range all {
		pair, err := all[i].AsStrSlice()
		if err != nil || len(pair) != 2 {
			return nil, errAnswer
		}
		verdicts[i] = putVerdict{pair[0], pair[1]}
	}
	return verdicts, nil
}
