package engine

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// attend shows that this process is at work, though it may read nothing for hours, having no room or no announcements. The
// answer tells how much is pending for it: less than it has is a reason to compare.
func (r *reconciler) attend(ctx context.Context, p *partition, s *lease.Session) {
	p.mu.Lock()
	now := r.clock.Now()
	due := now >= p.mu.read.attendAt && now >= p.mu.read.restUntil
	p.mu.Unlock()
	if !due || s.Remaining() == 0 {
		return
	}
	has := len(r.parked.Of(s)) + r.table.Count(p.number) - len(r.completer.IDs(p.number))
	pending, err := r.store.Attend(ctx, p.number, s.Consumer())
	if err != nil {
		r.choreFailed(ctx, p, "showing that the consumer is at work fails", err)
		return
	}
	p.mu.Lock()
	p.mu.read.attendAt = r.nextAttendance()
	p.mu.Unlock()
	if pending < has {
		p.compareSoon(r.clock.Now())
	}
}

// choreFailed lets the chores of a reader rest for a beat, after one that failed.
func (r *reconciler) choreFailed(ctx context.Context, p *partition, what string, err error) {
	if code, _ := lease.Refusal(err); code == "NOGROUP" {
		r.reopen(p.number)
	}
	p.mu.Lock()
	p.mu.read.restUntil = r.clock.Now() + int64(r.cfg.beat)
	p.mu.Unlock()
	if ctx.Err() == nil {
		r.log.Warn(what, 1, "partition", p.number, "err", lease.Explain(err))
	}
}

// untilChore is how long there is nothing to compare or to show.
func (r *reconciler) untilChore(p *partition) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := &p.mu.read
	compare := x.compareAt
	if x.lost || x.compareAll {
		compare = 0
	}
	at := max(min(x.attendAt, max(compare, x.deliverUntil)), x.restUntil)
	return time.Duration(max(at-r.clock.Now(), 0))
}
