package scan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// ClaimTime is how long a recovery may stall before another consumer takes it over. Each page extends the claim.
const ClaimTime = 3 * time.Second

var (
	// ErrNotMine means that nothing was recovered: the consumer is alive, another one recovers it, or no consumer may be
	// declared dead now.
	ErrNotMine = errors.New("scan: nothing to recover here now")

	// ErrBusy is the ErrNotMine of a consumer that another one recovers: look again after ClaimTime, in case that one dies.
	ErrBusy = fmt.Errorf("%w: somebody else recovers it", ErrNotMine)

	// ErrRefused means that Redis refused to move some entries, which are still pending for the dead consumer. All others
	// were requeued.
	ErrRefused = errors.New("scan: entries cannot be moved")
)

// Recovered is what a recovery did.
type Recovered struct {
	Entries     int  // moved: requeued, at once or after a delay, or dead-lettered
	DeadLetters int  // of those, the ones that were dead-lettered
	Gone        int  // entries whose bodies were deleted
	Scripts     int  // recover scripts run
	Removed     bool // the consumer is no longer in the group
	Suspected   int  // requeued after a delay although they crashed more often than MaxCrashes: nothing shows which are to blame

	// Those of DeadLetters that are not due to crashes, by the class of their reason: malformed, too_wide, too_large, refused.
	Malformed, TooWide, TooLarge, GivenUp int

	Refused int // still pending, since Redis refuses to move them
	Blamed  int // of those, the ones refused for a reason that lies in the entry
}

// letter counts a dead letter.
func (d *Recovered) letter(reason string) {
	d.DeadLetters++
	switch class, _, _ := strings.Cut(reason, ":"); class {
	case lease.DeadMalformed:
		d.Malformed++
	case lease.DeadTooWide:
		d.TooWide++
	case lease.DeadTooLarge:
		d.TooLarge++
	case lease.DeadRefused:
		d.GivenUp++
	}
}

// recovery is one run of Recover.
type recovery struct {
	*Store
	partition int
	me, dead  string
	end       sessionEnd
	done      Recovered

	left       int               // entries that the dead consumer left, as far as they were read
	last       time.Duration     // the shortest idle time of all entries
	onlyRead   []orphan          // read but not owned; without their bodies
	candidates []poisonCandidate // for detectPoison
	others     cohort            // of the candidates

	readSize, moveSize lease.PageSize     // entries that one script reads, and moves
	summaries          map[string]summary // by ID, until the entry was moved
	firstRefusal       error
}

// Recover requeues everything that a dead consumer left pending, page by page, and removes the consumer from the group. It
// returns ErrNotMine when there is nothing for this process to do now, and ErrRefused when some entries could not be moved. A
// recovery that is interrupted leaves the rest for the next one.
func (s *Store) Recover(ctx context.Context, p int, me, dead string) (Recovered, error) {
	r := &recovery{Store: s, partition: p, me: me, dead: dead}
	err := r.run(ctx)
	return r.done, err
}

func (r *recovery) run(ctx context.Context) error {
	after := "-"
	for {
		orphans, err := r.page(ctx, after)
		if err != nil {
			return err
		}
		if len(orphans) == 0 {
			break
		}
		if err := r.requeueAll(ctx, r.triage(orphans)); err != nil {
			return err
		}
		after = "(" + orphans[len(orphans)-1].ID
	}
	// What was only read comes next, now that it is known when the consumer got its last entry.
	for _, page := range evenPages(r.triageRead(), r.set.Page) {
		if err := r.requeueAll(ctx, page); err != nil {
			return err
		}
	}
	// Poison candidates come last: it takes all of them to find the killer, and an interruption before leaves them together.
	r.others.sole = r.isSole(ctx)
	r.done.Suspected = r.set.detectPoison(r.candidates, r.others, rand.Float64)
	items := make([]lease.Disposition, len(r.candidates))
	for i := range r.candidates {
		items[i] = r.candidates[i].Disposition
	}
	for _, page := range evenPages(items, r.set.Page) {
		if err := r.requeueAll(ctx, page); err != nil {
			return err
		}
	}
	left, err := r.sweep(ctx)
	r.done.Removed = left == 0 && err == nil
	return errors.Join(r.firstRefusal, err)
}

// triage returns the items of a page that can be requeued at once, and keeps those that were only read, and poison
// candidates, for later.
func (r *recovery) triage(orphans []orphan) (items []lease.Disposition) {
	for i := range orphans {
		o := &orphans[i]
		if last := max(o.Idle, 1); r.left == 0 || last < r.last {
			r.last = last
		}
		r.left++
		if o.Deliveries < lease.HeldDeliveries {
			kept := *o
			kept.Body, kept.Info = nil, nil
			r.onlyRead = append(r.onlyRead, kept)
			continue
		}
		items = r.triageOne(items, o)
	}
	return items
}

// triageRead is triage for what was only read.
func (r *recovery) triageRead() (items []lease.Disposition) {
	r.end.last = r.last
	for i := range r.onlyRead {
		items = r.triageOne(items, &r.onlyRead[i])
	}
	r.onlyRead = nil
	return items
}

func (r *recovery) triageOne(items []lease.Disposition, o *orphan) []lease.Disposition {
	item := r.set.decide(o, r.end, rand.Float64())
	if r.set.isCandidate(item) {
		r.candidates = append(r.candidates, poisonCandidate{Disposition: item, idle: o.Idle})
		return items
	}
	switch item.Crashes {
	case lease.KeepCount:
	case 0:
		r.others.stable++
	default:
		r.others.idles = append(r.others.idles, o.Idle)
	}
	return append(items, item)
}

// isSole reports whether what the dead consumer left is the only announcement of the service. An entry that is being moved at
// this moment may be seen nowhere, but then it is not the one candidate that is beyond the limit.
func (r *recovery) isSole(ctx context.Context) bool {
	if r.left != 1 || len(r.candidates) != 1 || r.layout.Partitions() > 1 || r.candidates[0].Dest != lease.ToDeadLetters {
		return false
	}
	b, err := r.Backlog(ctx, r.partition, 0)
	return err == nil && b.Length == 1 && b.Later == 0
}

// evenPages cuts items into pages of about the same length. A recovery that is interrupted between two pages leaves a whole
// page, which is as good a cohort for poison detection as all of them were; a few left over would look as if they had been
// alone.
func evenPages(items []lease.Disposition, most int) (pages [][]lease.Disposition) {
	most = max(most, 1)
	n := (len(items) + most - 1) / most
	for i := range n {
		pages = append(pages, items[i*len(items)/n:(i+1)*len(items)/n])
	}
	return pages
}

// requeueAll moves entries to their destinations, in as many scripts as their weight takes. What cannot be parsed, or Redis
// has refused too often, is dead-lettered. What is refused now stays for the next recovery, and holds up nothing else.
func (r *recovery) requeueAll(ctx context.Context, items []lease.Disposition) error {
	if r.moveSize == (lease.PageSize{}) {
		r.moveSize = lease.NewPageSize(r.set.Page)
	}
	var known, alone []lease.Disposition
	for _, item := range items {
		x := r.summaries[item.Entry]
		item.Size, item.Cut = x.size, x.cut
		if x.malformed != "" {
			item.Dest, item.Reason = lease.ToDeadLetters, x.malformed
		}
		why, ok := r.setbacks.givenUp(r.partition, item.Entry)
		switch {
		case ok && x.unread:
			item.Size = lease.Unweighed
			fallthrough
		case ok:
			item.DeadLetterByReference(why)
		case x.unread:
			alone = append(alone, item)
			continue
		}
		known = append(known, item)
	}
	ask := func(items []lease.Disposition) ([]lease.Outcome, error) { return r.moveInTime(ctx, items) }
	if err := lease.Move(known, &r.moveSize, ask, r.record); err != nil {
		return err
	}
	one := lease.NewPageSize(1)
	return lease.Move(alone, &one, ask, r.record)
}

// record counts what became of an entry.
func (r *recovery) record(item lease.Disposition, o lease.Outcome) {
	switch o.Verdict {
	case lease.Refused:
		r.done.Refused++
		if lease.Blames(o.Err()) {
			r.done.Blamed++
		}
		r.setbacks.refused(r.partition, item.Entry, o.Err())
		if r.firstRefusal == nil {
			r.firstRefusal = fmt.Errorf("%w: the first is %s of %s: %w", ErrRefused, item.Entry, r.dead, o.Err())
		}
		return
	case lease.Moved, lease.Full, lease.Referred:
		r.done.Entries++
		if o.Verdict == lease.Referred || item.Dest == lease.ToDeadLetters && o.Verdict == lease.Moved {
			r.done.letter(item.Reason)
		}
	case lease.Gone:
		r.done.Gone++
	}
	delete(r.summaries, item.Entry)
	r.setbacks.moved(r.partition, item.Entry)
}

// runRecover runs the recover script on a batch.
func (r *recovery) runRecover(ctx context.Context, items []lease.Disposition) ([]lease.Outcome, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	k := r.layout.Keys(r.partition)
	most := lease.MoveLimit(r.set.MaxMove)
	lease.Refer(items, most)
	keys := []string{k.Input, k.Sessions, k.Later, k.Recover(r.dead)}
	args := []string{r.dead, r.layout.Group(), strconv.Itoa(len(items)), strconv.Itoa(r.set.DeadLimit()), flag(r.set.DLQTrim),
		ms(r.set.DLQFullDelay), r.me, r.mode, ms(r.set.Gap), ms(ClaimTime), strconv.Itoa(most), strconv.Itoa(lease.MaxCallWeight)}
	keys, args, letters := lease.AppendDispositions(keys, args, items)
	if letters {
		keys = append(keys, k.DeadLetters)
	}
	r.done.Scripts++
	result := r.Store.run.DoWith(ctx, r.set.Signals, r.partition, lease.Call{Script: scriptRecover, Keys: keys, Args: args})
	if parts, err := result.ToArray(); err == nil && len(parts) == 1 {
		status, _ := parts[0].ToString()
		return nil, notMine(status)
	}
	return lease.ParseOutcomes(result, len(items))
}

// sweep removes a dead consumer that has nothing pending. left is how many entries it has; -1 means that it is not dead.
func (r *recovery) sweep(ctx context.Context) (left int, err error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	k := r.layout.Keys(r.partition)
	n, err := r.Store.run.Do(ctx, lease.Call{
		Script: scriptSweep,
		Keys:   []string{k.Input, k.Sessions, k.Recover(r.dead), k.Checkpoints},
		Args:   []string{r.dead, r.layout.Group(), r.me},
	}).AsInt64()
	return int(n), err
}
