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

// ClaimTime is how long a recovery may stand still before somebody else takes it up. Each page extends it.
const ClaimTime = 3 * time.Second

var (
	// ErrNotMine says that a recovery was left alone: the consumer lives, somebody else recovers it, or nobody may be found
	// dead now.
	ErrNotMine = errors.New("scan: nothing to recover here now")

	// ErrBusy is the ErrNotMine of a consumer that somebody else recovers: look again after ClaimTime, in case they die.
	ErrBusy = fmt.Errorf("%w: somebody else recovers it", ErrNotMine)

	// ErrRefused says that Redis refused to move some entries, which are still pending for the dead consumer. All others
	// were given back.
	ErrRefused = errors.New("scan: entries cannot be moved")
)

// Recovered is what a recovery did.
type Recovered struct {
	Entries     int // given back, or put off
	DeadLetters int // of which dead letters
	Gone        int // whose bodies were deleted
	Scripts     int // recover scripts run
	Removed     bool
	Suspected   int // requeued after a delay although they crashed more often than MaxCrashes: nothing shows which of them are to blame

	// Of DeadLetters, those that are not due to crashes, by the class of their reason: malformed, too_wide, too_large, refused.

	Malformed, TooWide, TooLarge, GivenUp int

	Refused int // left, since Redis refuses to move them
	Blamed  int // of which for a reason that lies in the entry
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
	death     Death
	done      Recovered
	read      []Orphan // and not owned; without their bodies
	suspects  []Suspect
	with      Company        // of the suspects
	all       int            // that it left
	last      time.Duration  // the least time that one of them has been idle
	pages     lease.PageSize // entries a script reads
	refused   error
	size      lease.PageSize     // entries a script moves
	remnants  map[string]remnant // by ID, until it was moved
}

// Recover gives back all that a dead consumer left pending, page by page, and removes it. It returns ErrNotMine when
// there is nothing for this process to do now, and ErrRefused when some entries could not be moved. A recovery that breaks
// off leaves the rest for the next one.
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
		if err := r.giveBack(ctx, r.judge(orphans)); err != nil {
			return err
		}
		after = "(" + orphans[len(orphans)-1].ID
	}
	// What was only read, once it is known when the last of all was.
	for _, page := range evenly(r.judgeRead(), r.set.Page) {
		if err := r.giveBack(ctx, page); err != nil {
			return err
		}
	}
	// Last, since it takes all of them to tell who it was; what breaks off before leaves them together.
	r.with.None = r.alone(ctx)
	r.done.Suspected = r.set.Convict(r.suspects, r.with, rand.Float64)
	items := make([]lease.Disposition, len(r.suspects))
	for i := range r.suspects {
		items[i] = r.suspects[i].Disposition
	}
	for _, page := range evenly(items, r.set.Page) {
		if err := r.giveBack(ctx, page); err != nil {
			return err
		}
	}
	left, err := r.sweep(ctx)
	r.done.Removed = left == 0 && err == nil
	return errors.Join(r.refused, err)
}

// judge sorts a page: what goes back at once, what was only read, and suspects.
func (r *recovery) judge(orphans []Orphan) (items []lease.Disposition) {
	for i := range orphans {
		o := &orphans[i]
		if last := max(o.Idle, 1); r.all == 0 || last < r.last {
			r.last = last
		}
		r.all++
		if o.Deliveries < lease.HeldDeliveries {
			kept := *o
			kept.Body, kept.Info = nil, nil
			r.read = append(r.read, kept)
			continue
		}
		items = r.judgeOne(items, o)
	}
	return items
}

// judgeRead is judge for what was only read.
func (r *recovery) judgeRead() (items []lease.Disposition) {
	r.death.Last = r.last
	for i := range r.read {
		items = r.judgeOne(items, &r.read[i])
	}
	r.read = nil
	return items
}

func (r *recovery) judgeOne(items []lease.Disposition, o *Orphan) []lease.Disposition {
	item := r.set.Judge(o, r.death, rand.Float64())
	if r.set.Suspects(item) {
		r.suspects = append(r.suspects, Suspect{Disposition: item, Idle: o.Idle})
		return items
	}
	switch item.Crashes {
	case lease.KeepCount:
	case 0:
		r.with.Stable++
	default:
		r.with.Idles = append(r.with.Idles, o.Idle)
	}
	return append(items, item)
}

// alone reports whether what the dead consumer left is the only announcement of the service. An entry that goes elsewhere at
// this moment may be seen nowhere, but then it is not the one suspect that is beyond the limit.
func (r *recovery) alone(ctx context.Context) bool {
	if r.all != 1 || len(r.suspects) != 1 || r.layout.Partitions() > 1 || r.suspects[0].Dest != lease.ToDeadLetters {
		return false
	}
	b, err := r.Backlog(ctx, r.partition, 0)
	return err == nil && b.Length == 1 && b.Later == 0
}

// evenly cuts items into pages of about the same length. A recovery that breaks off between two leaves a whole page, which
// is as good a company for suspects as all of them were; a few left over would look as if they had been alone.
func evenly(items []lease.Disposition, most int) (pages [][]lease.Disposition) {
	most = max(most, 1)
	n := (len(items) + most - 1) / most
	for i := range n {
		pages = append(pages, items[i*len(items)/n:(i+1)*len(items)/n])
	}
	return pages
}

// giveBack moves entries, in as many scripts as they are heavy. What nobody can read, or Redis has refused too often, goes
// to the dead letters. What is refused now stays for the next recovery, and holds up no other.
func (r *recovery) giveBack(ctx context.Context, items []lease.Disposition) error {
	if r.size == (lease.PageSize{}) {
		r.size = lease.NewPageSize(r.set.Page)
	}
	var known, alone []lease.Disposition
	for _, item := range items {
		x := r.remnants[item.Entry]
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
	ask := func(items []lease.Disposition) ([]lease.Outcome, error) { return r.inTime(ctx, items) }
	if err := lease.Move(known, &r.size, ask, r.moved); err != nil {
		return err
	}
	one := lease.NewPageSize(1)
	return lease.Move(alone, &one, ask, r.moved)
}

// moved notes what became of an entry.
func (r *recovery) moved(item lease.Disposition, o lease.Outcome) {
	switch o.Verdict {
	case lease.Refused:
		r.done.Refused++
		if lease.Blames(o.Err()) {
			r.done.Blamed++
		}
		r.setbacks.refused(r.partition, item.Entry, o.Err())
		if r.refused == nil {
			r.refused = fmt.Errorf("%w: the first is %s of %s: %w", ErrRefused, item.Entry, r.dead, o.Err())
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
	delete(r.remnants, item.Entry)
	r.setbacks.moved(r.partition, item.Entry)
}

func (r *recovery) recover(ctx context.Context, items []lease.Disposition) ([]lease.Outcome, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	k := r.layout.Keys(r.partition)
	trim := "0"
	if r.set.DLQTrim {
		trim = "1"
	}
	most := lease.MoveLimit(r.set.MaxMove)
	lease.Refer(items, most)
	keys := []string{k.Input, k.Sessions, k.Later, k.Recover(r.dead)}
	args := []string{r.dead, r.layout.Group(), strconv.Itoa(len(items)), strconv.Itoa(r.set.DeadLimit()), trim,
		ms(r.set.DLQFullDelay), r.me, r.mode, ms(r.set.Gap), ms(ClaimTime), strconv.Itoa(most), strconv.Itoa(lease.MaxCallWeight)}
	keys, args, letters := lease.AppendDispositions(keys, args, items)
	if letters {
		keys = append(keys, k.DeadLetters)
	}
	r.done.Scripts++
	result := r.Store.run.Do(ctx, lease.Call{Script: scriptRecover, Keys: keys, Args: args})
	if parts, err := result.ToArray(); err == nil && len(parts) == 1 {
		status, _ := parts[0].ToString()
		return nil, notMine(status)
	}
	return lease.ParseOutcomes(result, len(items))
}

// sweep removes a dead consumer that has nothing pending; left says how much it has, -1 that it is not dead.
func (r *recovery) sweep(ctx context.Context) (left int, err error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	k := r.layout.Keys(r.partition)
	n, err := r.Store.run.Do(ctx, lease.Call{
		Script: scriptSweep,
		Keys:   []string{k.Input, k.Sessions, k.Recover(r.dead)},
		Args:   []string{r.dead, r.layout.Group(), r.me},
	}).AsInt64()
	return int(n), err
}
