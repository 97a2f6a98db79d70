package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
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

// reconciler sees to it that what is pending for this process and what it has are the same.
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
	reopen    func(partition int) // has the group made again
}

// reconcile compares what is pending for this process with what is known here, in both directions.
//
// Pending and known to nobody: a read with an unknown outcome may have left such, after the last one that had arrived before
// it, and never held: they are taken in. And a server that forgot its last writes has again what was done or given up, as it
// was when it was held: that is handed out again.
//
// Held or parked and not pending, or without a body: somebody acknowledged it, removed the consumer, deleted or trimmed it. It
// is made pending again, or announced again from memory, which ends the ownership.
//
// Now and then it looks without a reason. It waits until no read with an unknown outcome can deliver any more, and for what
// is being taken in, and runs between reads; room is what the reader has reserved.
func (r *reconciler) reconcile(ctx context.Context, p *partition, s *lease.Session, room int, taking *sync.WaitGroup) {
	c, due := r.comparisonDue(p)
	if !due || s.Remaining() == 0 {
		return
	}
	taking.Wait()
	if err := r.compare(ctx, p, s, room, c); err != nil {
		r.choreFailed(ctx, p, "comparing what is pending fails", err)
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

// comparison is why and where to look.
type comparison struct {
	after  string // only what is pending after this ID; empty: all
	forgot bool   // the server may have forgotten its last writes
	at     int64  // what it was due at, without a reason
	until  int64
	epoch  uint64
}

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

// idPages is how many times as many IDs a script answers as it moves entries: they have no bodies.
const idPages = 4

// compare makes one comparison.
func (r *reconciler) compare(ctx context.Context, p *partition, s *lease.Session, room int, c comparison) error {
	// Before the pages: what is known by now was pending by now, so what the pages do not show has gone.
	known := r.inventory.known(p, s)
	i, _ := slices.BinarySearchFunc(known, entryOf(c.after), compareEntries)
	for c.after != "" && i < len(known) && known[i].id == c.after {
		i++
	}
	var suspects []knownEntry
	var strangers []string
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
				strangers = append(strangers, id)
			}
			for ; i < len(known) && known[i].id == id; i++ {
				if c.after == "" && bodiless(&first, known[i]) {
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
	// Each for itself: what of the one goes wrong, and may go wrong every time, must not keep the other from being done.
	kept := r.keep(ctx, p, s, suspects)
	return cmp.Or(r.adopt(ctx, p, s, room, c, r.inventory.unknown(p, s, strangers)), kept)
}

// bodiless reports whether an entry that is pending may have no body. Trimming takes the oldest entries; and where there are
// fewer entries than are pending, some have none, whichever they are.
func bodiless(page *lease.IDPage, x knownEntry) bool {
	return page.Length < page.Pending || page.First == "" || compareEntries(x, entryOf(page.First)) < 0
}

// keep sees to entries that are held or parked and not pending, or have no body.
func (r *reconciler) keep(ctx context.Context, p *partition, s *lease.Session, suspects []knownEntry) error {
	var kept keeping
	var failed error
	for batches := lease.Batches(suspects, r.cfg.pipeline.MaxMoves(), keepWeight); len(batches) > 0 && failed == nil; {
		var left []knownEntry
		if left, failed = r.keepSome(ctx, p, s, batches[0], &kept); len(left) > 0 {
			batches[0] = left
		} else {
			batches = batches[1:]
		}
	}
	r.metrics.Add(metrics.Tamperings.With(metrics.TamperedPending), kept.again)
	if kept.again > 0 {
		r.log.Warn("announcements that this process has were acknowledged or claimed by hand, or their consumer was removed; "+
			"they are pending again", kept.again, "partition", p.number)
	}
	if kept.gone > 0 {
		r.log.Warn("announcements that this process has were deleted or trimmed; they are announced again from memory", kept.gone,
			"partition", p.number, "remedy", "never trim an input stream: no MAXLEN or MINID in XADD, no XTRIM")
	}
	return cmp.Or(failed, kept.refused)
}

// keeping is what came of it.
type keeping struct {
	again, gone int
	refused     error
}

// keepWeight is what an entry weighs in the call: the key of its lease travels there. What it weighs on the server ends the
// call when that is known.
func keepWeight(x *knownEntry) int { return len(x.key()) + len(x.id) + lease.FieldWeight }

// key is that of the lease; empty where nothing is to be kept.
func (x *knownEntry) key() string {
	switch {
	case x.held != nil:
		return x.held.Key()
	case x.parked != nil:
		return x.parked.Key
	}
	return ""
}

// keepSome asks once, and returns those that the call did not come to.
func (r *reconciler) keepSome(ctx context.Context, p *partition, s *lease.Session, batch []knownEntry, kept *keeping) (left []knownEntry, _ error) {
	batch = slices.DeleteFunc(batch, func(x knownEntry) bool {
		// Looked at again: it may have ended, or moved on, since.
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
			items[i].Token = strconv.FormatUint(uint64(x.held.Token()), 10)
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
			if r.bereft(s, batch[i]) {
				kept.gone++
			}
		case lease.Refused:
			kept.refused = o.Err()
		case lease.Left:
			left = append(left, batch[i])
		}
	}
	if len(left) == len(batch) {
		return nil, fmt.Errorf("none of %d entries was looked at", len(left))
	}
	return left, nil
}

// bereft deals with an entry whose body is gone: it ends here, and then it is announced again. In this order, or there were
// two owners.
func (r *reconciler) bereft(s *lease.Session, x knownEntry) bool {
	if x.held == nil {
		parked := r.parked.Withdraw(x.parked.Stream, x.id)
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

// adopt takes in what is pending for this process and known to nobody, with the bodies of those alone.
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
				// The key of one that nobody can read is empty; whoever reads it next tells the reason.
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
		r.log.Warn("the server forgot that streams were done or handed back; they are handed out again", forgotten, "partition", p.number)
	default:
		r.log.Warn("streams were pending for this process that it knows nothing of; they are handed out again", forgotten, "partition", p.number)
	}
	if gone > 0 {
		r.log.Warn("announcements were pending for this process that it knows nothing of and that have no body; they are lost", gone,
			"partition", p.number, "remedy", "never trim an input stream: no MAXLEN or MINID in XADD, no XTRIM")
	}
	return nil
}
