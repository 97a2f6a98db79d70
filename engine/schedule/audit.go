package schedule

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/scan"
)

const (
	// auditRound is how long the processes of a service take together to look at all schedules once. Each looks at all of them, so each
	// takes as many times longer as there are processes.
	auditRound = 10 * time.Minute
	// auditPause is the least time between two pages.
	auditPause = 100 * time.Millisecond
	// auditGrace is for how long nobody has to own a schedule for it to be looked for.
	auditGrace = 10 * time.Minute
	// auditAgain is after what time one is looked for again, if nothing could be said about it.
	auditAgain = time.Minute

	// maxSuspects bounds the schedules that are remembered as owned by nobody; others are found in a later round.
	maxSuspects = 1024
	// suspectsAtOnce bounds those that are looked for at once: each search may go through all that dead processes left.
	suspectsAtOnce = 16
	// auditTime bounds one step.
	auditTime = 30 * time.Second
)

// auditStore is what an audit asks of Redis.
type auditStore interface {
	Rows(ctx context.Context, p int, names []string) ([]string, error)
	auditPage(ctx context.Context, p int, cursor string) (rowPage, error)
	owners(ctx context.Context, p int, names []string) ([]string, error)
	mark(ctx context.Context, p int, dead bool, names []string, born []int64) error
	revive(ctx context.Context, p int, name string, born int64) (revived, error)
}

// auditParams are what an auditor needs.
type auditParams struct {
	store      auditStore
	partitions int
	// requeue is engine.Engine.Requeue.
	requeue func(ctx context.Context, name string) error
	// letters yields the dead letters of a partition: scan.Inspector.Letters.
	letters func(ctx context.Context, p int) iter.Seq2[scan.DeadLetter, error]
	log     *sumlog.Logger
	count   func(metrics.ScheduleAudit)
	random  func() float64 // at least 0 and below 1
	grace   time.Duration  // 0: auditGrace
}

// auditor looks for schedules that nobody owns although nothing announces them: a failover has forgotten the announcement, or somebody has
// deleted it. It announces them again. One whose announcement became a dead letter it marks: that stays one until it is put again or sent
// back.
//
// It reads the table page by page, slowly. Whatever fails comes again with the next round. All its methods run on one goroutine.
type auditor struct {
	auditParams
	partition int
	cursor    string
	sizes     []int64 // schedules, by partition
	live      int64   // processes
	suspects  map[string]*suspect
}

// suspect is a schedule that nobody owned.
type suspect struct {
	partition int
	born      int64
	look      time.Time // when to look for it
}

func newAuditor(p auditParams) *auditor {
	if p.grace == 0 {
		p.grace = auditGrace
	}
	return &auditor{auditParams: p, cursor: "0", sizes: make([]int64, p.partitions), live: 1, suspects: make(map[string]*suspect)}
}

// run audits until ctx ends.
func (a *auditor) run(ctx context.Context) {
	// Processes that start at the same time do not look at the same time.
	page := time.Now().Add(time.Duration(a.random() * float64(a.grace)))
	for {
		wait := time.Until(page)
		if at, any := a.nextLook(); any {
			wait = min(wait, time.Until(at))
		}
		if !backoff.Sleep(ctx, max(wait, auditPause)) {
			return
		}
		if !time.Now().Before(page) {
			a.step(ctx, "looking at a page of the schedules", a.readPage)
			page = time.Now().Add(a.interval())
		}
		a.step(ctx, "looking for schedules that nobody owns", a.lookForSuspects)
	}
}

func (a *auditor) step(ctx context.Context, doing string, do func(context.Context) error) {
	step, cancel := context.WithTimeout(ctx, auditTime)
	defer cancel()
	if err := do(step); err != nil && ctx.Err() == nil {
		a.count(metrics.AuditFailed)
		a.log.Warn("the audit of schedules failed and is repeated", 1, "doing", doing, "err", err)
	}
}

// interval is the time between two pages.
func (a *auditor) interval() time.Duration {
	pages := int64(0)
	for _, n := range a.sizes {
		pages += max(1, (n+callItems-1)/callItems)
	}
	d := auditRound * time.Duration(max(a.live, 1)) / time.Duration(pages)
	return max(auditPause, d-time.Duration(a.random()*float64(d)/10))
}

// nextLook returns when to look for a suspect.
func (a *auditor) nextLook() (at time.Time, any bool) {
	for _, s := range a.suspects {
		if !any || s.look.Before(at) {
			at, any = s.look, true
		}
	}
	return at, any
}

// readPage looks who owns the schedules of the next page.
func (a *auditor) readPage(ctx context.Context) error {
	p := a.partition
	page, err := a.store.auditPage(ctx, p, a.cursor)
	if err == nil {
		a.sizes[p], a.live, a.cursor = page.all, page.live, page.next
	} else {
		a.cursor = "0"
	}
	if a.cursor == "0" { // one partition that fails does not keep the others from being looked at
		a.partition = (p + 1) % a.partitions
	}
	if err != nil || len(page.names) == 0 {
		return err
	}
	owners, err := a.store.owners(ctx, p, page.names)
	if err != nil {
		return err
	}
	var alive []string
	var born []int64
	for i, name := range page.names {
		r, err := record.ParseRow(page.rows[i])
		switch {
		case err != nil: // who owns it says so, and so does Table
		case owners[i] == "" && !r.Dead:
			a.suspect(p, name, r.Born)
		case owners[i] != "" && r.Dead:
			alive, born = append(alive, name), append(born, r.Born)
		}
		if owners[i] != "" {
			delete(a.suspects, name)
		}
	}
	if len(alive) == 0 {
		return nil
	}
	return a.store.mark(ctx, p, false, alive, born) // somebody has sent the dead letter back
}

// suspect remembers that nobody owned a schedule.
func (a *auditor) suspect(p int, name string, born int64) {
	if s := a.suspects[name]; s != nil && s.born == born || len(a.suspects) >= maxSuspects {
		return
	}
	a.suspects[name] = &suspect{p, born, time.Now().Add(a.grace)}
}

// lookForSuspects looks for some of those that are due, of one partition.
func (a *auditor) lookForSuspects(ctx context.Context) error {
	var names []string
	p, now := -1, time.Now()
	for name, s := range a.suspects {
		if now.Before(s.look) || p >= 0 && p != s.partition || len(names) == suspectsAtOnce {
			continue
		}
		p, names = s.partition, append(names, name)
		s.look = now.Add(auditAgain) // unless it turns out what is to become of it
	}
	if len(names) == 0 {
		return nil
	}
	rows, err := a.store.Rows(ctx, p, names)
	if err != nil {
		return err
	}
	owners, err := a.store.owners(ctx, p, names)
	if err != nil {
		return err
	}
	lost := make(map[string]record.Row)
	for i, name := range names {
		if r, err := record.ParseRow(rows[i]); err == nil && owners[i] == "" && !r.Dead && r.Born == a.suspects[name].born {
			lost[name] = r
		} else {
			delete(a.suspects, name)
		}
	}
	var failed errorList
	dead := a.requeueAll(ctx, lost, &failed)
	if len(lost) > 0 {
		if err := a.findLetters(ctx, p, lost, dead); err != nil {
			return err
		}
	}
	failed.add(a.markDead(ctx, p, dead))
	for name, r := range lost {
		failed.add(a.reviveOne(ctx, p, name, r.Born))
	}
	return failed.err()
}

// requeueAll looks for what dead processes left of schedules, which is requeued. What is announced, or is not decided yet, is taken from lost; what became a
// dead letter at that is returned.
func (a *auditor) requeueAll(ctx context.Context, lost map[string]record.Row, failed *errorList) (dead map[string]record.Row) {
	dead = make(map[string]record.Row)
	for name, r := range lost {
		err := a.requeue(ctx, name)
		var delayed *scan.DelayedError
		switch {
		case err == nil, errors.Is(err, scan.ErrRequeued), errors.As(err, &delayed), errors.Is(err, api.ErrHeldElsewhere):
			delete(a.suspects, name) // it is announced
			delete(lost, name)
		case errors.Is(err, scan.ErrDeadLetter):
			dead[name] = r
			delete(lost, name)
		case errors.Is(err, api.ErrNotAnnounced):
		default:
			delete(lost, name)
			if !errors.Is(err, scan.ErrUndecided) && !errors.Is(err, api.ErrNotReady) {
				failed.add(err)
			}
		}
	}
	return dead
}

// findLetters moves from lost to dead what is among the dead letters of a partition.
func (a *auditor) findLetters(ctx context.Context, p int, lost, dead map[string]record.Row) error {
	for l, err := range a.letters(ctx, p) {
		if err != nil {
			return err
		}
		// An older one is from before it was announced last.
		if r, ok := lost[l.Stream]; ok && (l.At.IsZero() || l.At.UnixMilli() >= r.Rev/1000) {
			dead[l.Stream] = r
			delete(lost, l.Stream)
		}
	}
	return nil
}

func (a *auditor) markDead(ctx context.Context, p int, dead map[string]record.Row) error {
	if len(dead) == 0 {
		return nil
	}
	var names []string
	var born []int64
	for name, r := range dead {
		names, born = append(names, name), append(born, r.Born)
	}
	if err := a.store.mark(ctx, p, true, names, born); err != nil {
		return err
	}
	for _, name := range names {
		delete(a.suspects, name)
		a.count(metrics.AuditDeadLetter)
		a.log.Warn("a schedule does not tick: its announcement is a dead letter; put it again, or send that back", 1, "example", name)
	}
	return nil
}

func (a *auditor) reviveOne(ctx context.Context, p int, name string, born int64) error {
	verdict, err := a.store.revive(ctx, p, name, born)
	if err != nil {
		return err
	}
	switch verdict {
	case revivedAnnounced:
		a.count(metrics.AuditAnnounced)
		a.log.Warn("a schedule had no owner and no announcement; it was announced again", 1, "example", name)
	case revivedWaits:
		return nil // it is looked for again
	}
	delete(a.suspects, name)
	return nil
}
