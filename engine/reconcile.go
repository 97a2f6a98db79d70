package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/waitlist"
	"github.com/streamlease/streamlease/lease"
)

// pendingStore is what a reconciler asks of Redis.
type pendingStore interface {
	PendingIDs(ctx context.Context, p int, consumer, after string, count int) (lease.IDPage, error)
	Pending(ctx context.Context, p int, consumer, after string, count int, idle time.Duration) ([]lease.PendingEntry, error)
	Keep(ctx context.Context, p int, consumer string, items []lease.Keepable) (lease.Status, []lease.Outcome, error)
	Attend(ctx context.Context, p int, consumer string) (pending int, err error)
}

// reconciler makes sure that what is pending for this process is what it has, and shows that its consumers are at work. These are
// the chores of a partition's reader, which does them between reads. All its fields are set before it is used.
type reconciler struct {
	*env
	store     pendingStore
	layout    *cluster.Layout
	inventory *inventory
	parked    *waitlist.List
	table     *lease.Table
	ownership *ownership
	completer *completion.Completer
	intake    *intake
	reopen    func(partition int) // has the group recreated
}

// reconcile compares, if that is due, what is pending for this process with what is known here, in both directions.
//
// Pending but unknown: a read with an unknown outcome may have left entries after the last one that had arrived before it, which
// were never held: they are accepted. And a server that lost its last writes has again what was done or requeued, as it was while
// it was held: that is requeued.
//
// Held or parked, but not pending or without a body: somebody acknowledged it, removed the consumer, or deleted or trimmed it. It is
// made pending again, or announced again from memory, which ends the ownership.
//
// From time to time it compares without a reason. It waits until no read with an unknown outcome can deliver any more, and for what
// is being accepted, and runs between reads. room is what the reader has reserved.
func (r *reconciler) reconcile(ctx context.Context, p *partition, s *lease.Session, room int, accepting *sync.WaitGroup) {
	c, due := r.comparisonDue(p)
	if !due || s.Remaining() == 0 {
		return
	}
	accepting.Wait()
	if err := r.compare(ctx, p, s, room, c); err != nil {
		r.choreFailed(ctx, p, "comparing pending entries failed", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.read.deliverUntil == c.until {
		p.mu.read.lost = false
	}
	if p.mu.epoch == c.epoch {
		p.mu.read.compareAll = false
	}
	if p.mu.read.compareAt == c.at {
		p.mu.read.compareAt = r.nextComparison()
	}
	p.mu.read.comparedAt = r.clock.Now()
}

// comparison is what to compare and why. at, until and epoch show afterwards whether that has changed since.
type comparison struct {
	after  string // compare only what is pending after this ID; empty: everything
	forgot bool   // the server may have forgotten its last writes
	at     int64  // readState.compareAt
	until  int64  // readState.deliverUntil
	epoch  uint64
}

// comparisonDue returns the next comparison, and reports whether it is due.
func (r *reconciler) comparisonDue(p *partition) (comparison, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := &p.mu.read
	c := comparison{forgot: x.compareAll, at: x.compareAt, until: x.deliverUntil, epoch: p.mu.epoch}
	now := r.clock.Now()
	routine := now >= x.compareAt
	if !x.compareAll && !routine {
		c.after = x.since
	}
	return c, (x.lost || x.compareAll || routine) && now >= x.deliverUntil && now >= x.restUntil
}

// idPages is how many times more IDs a script returns than it moves entries: IDs come without bodies.
const idPages = 4

// compare makes one comparison.
func (r *reconciler) compare(ctx context.Context, p *partition, s *lease.Session, room int, c comparison) error {
	// Listed before the pages are read: what is known now is pending by now, so whatever the pages do not show is not pending any
	// more.
	known := r.inventory.known(p, s)
	i, _ := slices.BinarySearchFunc(known, entryOf(c.after), compareEntries)
	for c.after != "" && i < len(known) && known[i].id == c.after {
		i++
	}
	var suspects []knownEntry
	var unknown []string
	var first lease.IDPage
	count := idPages * r.cfg.pipeline.MaxMoves()
	for after := c.after; ; {
		page, err := r.store.PendingIDs(ctx, p.number, s.Consumer(), after, count)
		if err != nil {
			return err
		}
		if after == "" {
			first = page
		}
		for _, id := range page.IDs {
			x := entryOf(id)
			for ; i < len(known) && compareEntries(known[i], x) < 0; i++ {
				suspects = append(suspects, known[i])
			}
			if i == len(known) || known[i].id != id {
				unknown = append(unknown, id)
			}
			for ; i < len(known) && known[i].id == id; i++ {
				if c.after == "" && bodiless(&first, known[i]) {
					known[i].pending = true
					suspects = append(suspects, known[i])
				}
			}
		}
		if len(page.IDs) < count {
			break
		}
		after = page.IDs[len(page.IDs)-1]
	}
	suspects = append(suspects, known[i:]...)
	// Independently: a failure of one, which may be there every time, must not prevent the other.
	kept := r.keep(ctx, p, s, suspects)
	return cmp.Or(r.adopt(ctx, p, s, room, c, r.inventory.unknown(p, s, unknown)), kept)
}

// bodiless reports whether an entry that is pending may have no body. Trimming removes the oldest entries; and if the stream has
// fewer entries than are pending, some have no body, and it could be any of them.
func bodiless(page *lease.IDPage, x knownEntry) bool {
	return page.Length < page.Pending || page.First == "" || compareEntries(x, entryOf(page.First)) < 0
}

// keep makes entries pending again that are held or parked but not pending, and ends and reannounces those without a body.
func (r *reconciler) keep(ctx context.Context, p *partition, s *lease.Session, suspects []knownEntry) error {
	var kept keepResult
	var failed error
	for batches := lease.Batches(suspects, r.cfg.pipeline.MaxMoves(), keepWeight); len(batches) > 0 && failed == nil; {
		var left []knownEntry
		if left, failed = r.keepBatch(ctx, p, s, batches[0], &kept); len(left) > 0 {
			batches[0] = left
		} else {
			batches = batches[1:]
		}
	}
	r.metrics.Add(metrics.Tamperings.With(metrics.TamperedPending), kept.again)
	if kept.again > 0 {
		r.log.Warn("announcements that this process owns or has parked were acknowledged or claimed by hand, or their consumer was "+
			"removed; they are pending again", kept.again, "partition", p.number)
	}
	if kept.gone > 0 {
		r.log.Warn("announcements that this process owns or has parked were deleted or trimmed; they are announced again from memory",
			kept.gone, "partition", p.number, "remedy", trimRemedy)
	}
	return cmp.Or(failed, kept.refused)
}

// trimRemedy is what the log advises where announcements are gone.
const trimRemedy = "never trim an input stream: no MAXLEN or MINID in XADD, no XTRIM"

// keepResult is what keep has done so far.
type keepResult struct {
	again   int   // entries made pending again
	gone    int   // entries that had no body
	refused error // why Redis refused an entry; nil if it refused none
}

// keepWeight is the weight of an entry in the call, which carries the key of its lease. The server stops where the entries that it
// has read become too heavy.
func keepWeight(x *knownEntry) int { return len(x.key()) + len(x.id) + lease.FieldWeight }

// key returns the key of the entry's lease, or an empty string for an entry under completion, for which there is nothing to keep.
func (x *knownEntry) key() string {
	switch {
	case x.held != nil:
		return x.held.Key()
	case x.parked != nil:
		return x.parked.Key
	}
	return ""
}

// keepBatch makes one call, and returns the entries that it did not get to.
func (r *reconciler) keepBatch(ctx context.Context, p *partition, s *lease.Session, batch []knownEntry, kept *keepResult) (left []knownEntry, _ error) {
	batch = slices.DeleteFunc(batch, func(x knownEntry) bool {
		// Checked again: it may have ended, or moved on, since it was listed.
		if x.held != nil {
			return x.held.Remaining() == 0
		}
		return x.parked == nil || !r.parked.HasEntry(x.parked.Stream, x.id)
	})
	if len(batch) == 0 {
		return nil, nil
	}
	items := make([]lease.Keepable, len(batch))
	for i, x := range batch {
		if items[i] = (lease.Keepable{Key: x.key(), Entry: x.id}); x.held != nil {
			items[i].Token = x.held.Token().String()
		}
	}
	status, outcomes, err := r.store.Keep(ctx, p.number, s.Consumer(), items)
	if err != nil {
		return nil, err
	}
	if status != lease.SessionLive {
		return nil, errSessionDead
	}
	for i, o := range outcomes {
		switch o.Verdict {
		case lease.PendingAgain:
			kept.again++
		case lease.Gone:
			if r.reannounce(s, batch[i]) {
				kept.gone++
			}
		case lease.Refused:
			kept.refused = o.Err()
		case lease.Left:
			left = append(left, batch[i])
		}
	}
	if len(left) == len(batch) {
		return nil, fmt.Errorf("the script got to none of %d entries", len(left))
	}
	return left, nil
}

// reannounce ends an entry whose body is gone, then has it announced again, and reports whether it did. In the other order there
// could be two owners.
//
// Trace: the group is made again, and another process reads what its owner holds. It parks that, until the owner has it pending again and
// is done with it. What the other one has parked is gone then, by right, and must not be announced from memory. While it is pending here
// its owner cannot have finished it: if it has no body even so, somebody has deleted it.
func (r *reconciler) reannounce(s *lease.Session, x knownEntry) bool {
	if x.held == nil {
		parked := r.parked.Withdraw(x.parked.Stream, x.id)
		if parked != nil && parked.OwnedElsewhere && !x.pending {
			return false
		}
		if parked != nil {
			r.completer.RestoreEntry(s.Consumer(), parked, true)
		}
		return parked != nil
	}
	if !r.ownership.disownOne(x.held, metrics.CauseAnnouncement, api.ErrReannounced) {
		return false
	}
	r.completer.RestoreLease(x.held)
	return true
}

// adopt accepts or requeues entries that are pending for this process but unknown to it. It reads the bodies of these alone.
func (r *reconciler) adopt(ctx context.Context, p *partition, s *lease.Session, room int, c comparison, ids []string) error {
	forgotten, gone := 0, 0
	for len(ids) > 0 {
		count := min(len(ids), r.cfg.pipeline.MaxMoves())
		page, err := r.store.Pending(ctx, p.number, s.Consumer(), lease.BeforeID(ids[0]), count, 0)
		if err != nil {
			return err
		}
		var unread []lease.Entry
		for i := range page {
			x := &page[i]
			for len(ids) > 0 && lease.CompareIDs(ids[0], x.ID) < 0 {
				ids = ids[1:] // not pending any more
			}
			if len(ids) == 0 || ids[0] != x.ID {
				continue // known
			}
			ids = ids[1:]
			switch {
			case x.Gone:
				gone++
				r.completer.Requeue(s.Consumer(), &x.Entry, completion.Target{})
			case x.Deliveries < lease.HeldDeliveries:
				unread = append(unread, x.Entry)
			case c.after == "":
				forgotten++
				// If it cannot be parsed its key is empty; whoever reads it next reports why.
				entry, _ := lease.Parse(r.layout, &x.Entry)
				r.completer.Requeue(s.Consumer(), &entry, completion.Target{})
			}
		}
		if len(page) == 0 {
			ids = nil
		}
		r.intake.accept(ctx, p, s, r.intake.requeueExcess(p, s, unread, room))
	}
	switch {
	case forgotten == 0:
	case c.forgot:
		r.log.Warn("the server forgot that streams were done or requeued; they are requeued again", forgotten, "partition", p.number)
	default:
		r.log.Warn("streams unknown to this process were pending for it; they are requeued", forgotten, "partition", p.number)
	}
	if gone > 0 {
		r.log.Warn("announcements unknown to this process were pending for it without a body; they are lost", gone,
			"partition", p.number, "remedy", trimRemedy)
	}
	return nil
}
