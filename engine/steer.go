package engine

import (
	"time"

	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/lease"
)

// want changes what the program wants.
func (b *balancer) want(change func(*wanted)) {
	b.changeWants(func(w *wants) { change(&w.program) })
}

// wish replaces what operators want, and reports whether that was something else.
func (b *balancer) wish(of wanted) (changed bool) {
	b.mu.Lock()
	changed = b.mu.wants.operators != of
	b.mu.Unlock()
	if changed {
		b.changeWants(func(w *wants) { w.operators = of })
	}
	return changed
}

// changeWants has the others hear at once what this process is from now on.
func (b *balancer) changeWants(change func(*wants)) {
	b.mu.Lock()
	change(&b.mu.wants)
	switch evacuates := b.mu.wants.role() == lease.RoleEvacuating; {
	case !evacuates:
		b.mu.wants.evacuating = 0
	case b.mu.wants.evacuating == 0:
		b.mu.wants.evacuating = max(b.clock.Now(), 1)
	}
	b.mu.Unlock()
	b.reportNow()
	b.changed()
}

// frozen reports whether operators have stopped all moving.
func (b *balancer) frozen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.wants.operators.freeze
}

// reportNow has the others hear at once of what this process is.
func (b *balancer) reportNow() {
	for _, p := range b.partitions {
		b.calls.ReportNow(p.number)
		b.beat(p.number)
	}
}

// evacuating reports whether streams are to be handed back, and from when on: the others make room first.
func (b *balancer) evacuating() (is bool, from int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	since := b.mu.wants.evacuating
	return since != 0, since + int64(balance.Lead)
}

// leave has beats report that this process drains, and returns how long to wait for others to see it. It comes after draining reports it.
func (b *balancer) leave(drain time.Duration) time.Duration {
	b.reportNow()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.gated() || !b.knowsLocked() {
		return 0
	}
	return b.mu.share.LeadOf(b.held(), drain)
}
