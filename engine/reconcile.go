package engine

import (
	"context"
	"sync"

	"github.com/streamlease/streamlease/lease"
)

// reconcile looks for entries that are pending for this process and known to nobody here. A read with an unknown outcome
// may have left such, after the last one that had arrived before it, and never held: they are taken in. And a server that
// forgot its last writes has again what was done or given up, as it was when it was held: that is handed out again. Now
// and then it looks without a reason, for what somebody moved here by hand, or what nobody thought of.
//
// It waits until no such read can deliver any more, and for what is being taken in, and runs between reads, so how long an
// entry has been idle says nothing further.
func (e *Engine) reconcile(ctx context.Context, p *partition, s *lease.Session, taking *sync.WaitGroup) {
	p.mu.Lock()
	lost, after, until := p.mu.read.lost, p.mu.read.since, p.mu.read.until
	all, epoch := p.mu.read.all, p.mu.epoch
	now := e.clock.Now()
	routine := now >= p.mu.read.compare
	p.mu.Unlock()
	if !lost && !all && !routine || now < until {
		return
	}
	if all || routine {
		after = ""
	}
	taking.Wait()
	forgotten := 0
	for {
		page, err := e.store.Pending(ctx, p.number, s.Consumer(), after, e.cfg.pipeline.MaxMoves(), 0)
		if err != nil {
			return // the next round tries again
		}
		if len(page) == 0 {
			break
		}
		var unknown []lease.Entry
		for i := range page {
			switch x := &page[i]; {
			case e.knows(p, &x.Entry):
			case x.Deliveries < lease.HeldDeliveries:
				unknown = append(unknown, x.Entry)
			case all || routine:
				forgotten++
				// The key of one that nobody can read is empty; whoever reads it next tells the reason.
				entry, _ := lease.ParseEntry(e.layout, p.number, x.ID, x.Body)
				e.ender.giveBack(s.Consumer(), &entry, lease.ToInput, 0, 0, "")
			}
		}
		after = page[len(page)-1].ID
		e.intake(ctx, p, s, unknown)
	}
	p.mu.Lock()
	if p.mu.read.until == until {
		p.mu.read.lost = false
	}
	if p.mu.epoch == epoch {
		p.mu.read.all = false
	}
	p.mu.read.compare = e.nextComparison()
	p.mu.Unlock()
	switch {
	case forgotten == 0:
	case all:
		e.log.warn("the server forgot that streams were done or handed back; they are handed out again", forgotten, "partition", p.number)
	default:
		e.log.warn("streams were pending for this process that it knows nothing of; they are handed out again", forgotten, "partition", p.number)
	}
}

// compareIntervals is how many intervals of recovery lie between two comparisons of what is pending with what is known
// here: with the default, five minutes. It costs one script a batch of streams.
const compareIntervals = 10

func (e *Engine) nextComparison() int64 {
	every := compareIntervals * float64(e.cfg.recovery.Interval)
	return e.clock.Now() + int64(every*(1-jitterShare*e.random()))
}

// knows says whether an entry that is pending for this process is in its hands. It looks in the places in the order in which
// entries come to them: one that moves on meanwhile is in the next one before it leaves the one before.
func (e *Engine) knows(p *partition, x *lease.Entry) bool {
	parsed, err := lease.ParseEntry(e.layout, p.number, x.ID, x.Body)
	if err == nil {
		if e.lot.hasEntry(parsed.Stream, x.ID) {
			return true
		}
		if l := e.table.Get(parsed.Stream); l != nil && l.Entry() == x.ID {
			return true
		}
	}
	return e.ender.ending(p.number, x.ID)
}
