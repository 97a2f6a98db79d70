package scan

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Orphan is an entry that a dead consumer left pending.
type Orphan struct {
	lease.PendingEntry
	Readable bool // Stream, Key and the counts are set
}

// remnant is what there is to know of an entry when it is moved.
type remnant struct {
	size      int
	unread    bool // nobody looked at its body
	cut       string
	malformed string // why nobody can read it; empty: somebody can
}

// page claims the recovery and reads what is pending after an ID. A page that is not answered in time is made smaller, once
// it has run; one entry that is not is stepped over: it goes back without having been read.
func (r *recovery) page(ctx context.Context, after string) ([]Orphan, error) {
	if r.pages == (lease.PageSize{}) {
		r.pages = lease.NewPageSize(r.set.Page)
	}
	for {
		n := r.pages.Size()
		orphans, err := r.readPage(ctx, after, n, lease.NameOnly)
		switch {
		case err == nil:
			r.pages.Succeeded()
			return orphans, nil
		case !late(ctx, err):
			return nil, err
		}
		smaller := r.pages.Failed(n)
		next, err := r.waitOut(ctx, after)
		if err != nil || !smaller {
			return next, err
		}
		// One by one at once: the claim does not last for many that are not answered.
		r.pages.Failed(2)
	}
}

// readPage is one attempt at it, with so many entries, and of each as much as longest says.
func (r *recovery) readPage(ctx context.Context, after string, count, longest int) ([]Orphan, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	return r.readPageIn(ctx, after, count, longest)
}

func (r *recovery) readPageIn(ctx context.Context, after string, count, longest int) ([]Orphan, error) {
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
	if r.death.Deadline, err = parts[1].AsFloat64(); err != nil {
		return nil, fmt.Errorf("orphans: deadline: %w", err)
	}
	if r.death.Now, err = parts[2].AsInt64(); err != nil {
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
	r.death.TTL, r.death.Seen = time.Duration(ttl)*time.Millisecond, time.Duration(max(seen, 0))*time.Millisecond
	orphans := make([]Orphan, 0, len(parts)-5)
	for _, part := range parts[5:] {
		pending, err := lease.ParsePending(r.partition, part)
		if err != nil {
			return nil, fmt.Errorf("orphans: %w", err)
		}
		o := r.readable(r.partition, pending)
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

// readable parses an entry.
func (s *Store) readable(p int, pending lease.PendingEntry) Orphan {
	o := Orphan{PendingEntry: pending}
	parsed, err := lease.Parse(s.layout, &pending.Entry)
	// One whose name was not read is judged as others are, and its lease ends by itself.
	o.Entry, o.Readable = parsed, err == nil || errors.Is(err, lease.ErrNameCut)
	if err != nil {
		o.Key = s.layout.Keys(p).Lease("")
	}
	return o
}

// note remembers what there is to know of an entry when it is moved, its body not among it.
func (r *recovery) note(o *Orphan) {
	if r.remnants == nil {
		r.remnants = make(map[string]remnant)
	}
	if _, known := r.remnants[o.ID]; known && o.Unread {
		return
	}
	x := remnant{size: o.Size, unread: o.Unread}
	var item lease.Disposition
	item.Weigh(&o.Entry)
	x.cut = item.Cut
	if !o.Readable && !o.Gone && !o.Unread {
		x.malformed = malformed(r.layout, &o.PendingEntry)
	}
	r.remnants[o.ID] = x
}

// malformed is the reason for a dead letter of an entry that nobody can read; empty where its body was not.
func malformed(layout *cluster.Layout, x *lease.PendingEntry) string {
	_, err := lease.Parse(layout, &x.Entry)
	return lease.RequeueEntry(&x.Entry, err, "").Reason
}
