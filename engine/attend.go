package engine

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// attend shows that this process is at work, though it may read nothing for hours, having no room or no announcements. The
// answer tells how much is pending for it: less than it has is a reason to compare.
func (e *Engine) attend(ctx context.Context, p *partition, s *lease.Session) {
	p.mu.Lock()
	now := e.clock.Now()
	due := now >= p.mu.read.attend && now >= p.mu.read.rest
	p.mu.Unlock()
	if !due || s.Remaining() == 0 {
		return
	}
	has := len(e.parked.list.Of(s)) + e.table.Count(p.number) - len(e.completer.IDs(p.number))
	pending, err := e.store.Attend(ctx, p.number, s.Consumer())
	if err != nil {
		e.choreFailed(ctx, p, "showing that the consumer is at work fails", err)
		return
	}
	p.mu.Lock()
	p.mu.read.attend = e.nextAttendance()
	p.mu.Unlock()
	if pending < has {
		e.compareSoon(p)
	}
}

// choreFailed lets the chores of a reader rest for a beat, after one that failed.
func (e *Engine) choreFailed(ctx context.Context, p *partition, what string, err error) {
	if code, _ := lease.Refusal(err); code == "NOGROUP" {
		p.wantOpen()
		e.renewer.beatNow(p.number)
	}
	p.mu.Lock()
	p.mu.read.rest = e.clock.Now() + int64(e.cfg.beat)
	p.mu.Unlock()
	if ctx.Err() == nil {
		e.log.Warn(what, 1, "partition", p.number, "err", lease.Explain(err))
	}
}

// untilChore is how long there is nothing to compare or to show.
func (e *Engine) untilChore(p *partition) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.mu.read
	compare := r.compare
	if r.lost || r.all {
		compare = 0
	}
	at := max(min(r.attend, max(compare, r.until)), r.rest)
	return time.Duration(max(at-e.clock.Now(), 0))
}
