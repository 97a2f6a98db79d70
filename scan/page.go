package scan

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// summary is what is known about an entry by the time it is moved.
type summary struct {
	size      int
	unread    bool   // its body was not looked at
	cut       string // the start of its announcement, for a dead letter that refers to it
	malformed string // why it cannot be parsed; empty: it can
}

// page claims the recovery and reads what is pending after an ID. A page that is not answered in time is made smaller, once
// the late script has run. A single entry that is not answered in time is stepped over: it is requeued without having been
// read.
func (r *recovery) page(ctx context.Context, after string) ([]orphan, error) {
	if r.readSize == (lease.PageSize{}) {
		r.readSize = lease.NewPageSize(r.set.Page)
	}
	for {
		n := r.readSize.Size()
		orphans, err := r.readPage(ctx, after, n, lease.NameOnly)
		switch {
		case err == nil:
			r.readSize.Succeeded()
			return orphans, nil
		case !timedOut(ctx, err):
			return nil, err
		}
		smaller := r.readSize.Failed(n)
		next, err := r.waitOut(ctx, after)
		if err != nil || !smaller {
			return next, err
		}
		// Go down to single entries at once: the claim does not last for many unanswered calls.
		r.readSize.Failed(2)
	}
}

// readPage is one attempt to read a page of count entries, each up to longest bytes of its body.
func (r *recovery) readPage(ctx context.Context, after string, count, longest int) ([]orphan, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	return r.readPageIn(ctx, after, count, longest)
}

func (r *recovery) readPageIn(ctx context.Context, after string, count, longest int) ([]orphan, error) {
	k := r.layout.Keys(r.partition)
	parts, err := r.Store.run.Do(ctx, lease.Call{
		Script: scriptClaimDead,
		Keys:   []string{k.Input, k.Sessions, k.Recover(r.dead)},
		Args: append([]string{r.me, r.layout.Group(), r.mode, ms(r.set.Gap), r.dead, ms(ClaimTime), after,
			strconv.Itoa(count)}, lease.BodyArgs(longest)...),
	}).ToArray()
	if err != nil {
		return nil, err
	}
	if len(parts) < 5 {
		status := ""
		if len(parts) > 0 {
			status, _ = parts[0].ToString()
		}
		return nil, notMine(status)
	}
	if r.end.deadline, err = parts[1].AsFloat64(); err != nil {
		return nil, fmt.Errorf("orphans: deadline: %w", err)
	}
	if r.end.now, err = parts[2].AsInt64(); err != nil {
		return nil, fmt.Errorf("orphans: clock: %w", err)
	}
	ttl, err := parts[3].AsInt64()
	if err != nil {
		return nil, fmt.Errorf("orphans: session TTL: %w", err)
	}
	seen, err := parts[4].AsInt64()
	if err != nil {
		return nil, fmt.Errorf("orphans: last seen: %w", err)
	}
	r.end.ttl, r.end.seen = time.Duration(ttl)*time.Millisecond, time.Duration(max(seen, 0))*time.Millisecond
	orphans := make([]orphan, 0, len(parts)-5)
	for _, part := range parts[5:] {
		pending, err := lease.ParsePending(r.partition, part)
		if err != nil {
			return nil, fmt.Errorf("orphans: %w", err)
		}
		o := r.parseOrphan(r.partition, pending)
		r.note(&o)
		orphans = append(orphans, o)
	}
	return orphans, nil
}

func notMine(status string) error {
	if status == "busy" {
		return ErrBusy
	}
	return ErrNotMine
}

// note keeps the summary of an entry until it is moved, without its body.
func (r *recovery) note(o *orphan) {
	if r.summaries == nil {
		r.summaries = make(map[string]summary)
	}
	if _, known := r.summaries[o.ID]; known && o.Unread {
		return
	}
	x := summary{size: o.Size, unread: o.Unread}
	var item lease.Disposition
	item.Weigh(&o.Entry)
	x.cut = item.Cut
	if !o.readable && !o.Gone && !o.Unread {
		x.malformed = malformed(r.layout, &o.PendingEntry)
	}
	r.summaries[o.ID] = x
}
