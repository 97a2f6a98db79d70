package engine

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// attend shows, if that is due, that this process is at work: it may read nothing for hours because it has no room, or because
// nothing is announced. The answer is how many entries are pending for it: if this process has more, a comparison is due.
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
		r.choreFailed(ctx, p, "showing that the consumer is at work failed", err)
		return
	}
	p.mu.Lock()
	p.mu.read.attendAt = r.nextAttendance()
	p.mu.Unlock()
	if pending < has {
		p.compareSoon(r.clock.Now())
	}
}

// choreFailed lets the chores of a partition's reader rest for a beat after one has failed, and logs what as the message.
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

// untilChore returns how long it is until the next chore is due.
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
