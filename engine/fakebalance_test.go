package engine

import (
	"context"
	"strings"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// fakeRow is what a consumer is, as parts/fleet.lua keeps it.
type fakeRow struct {
	lease.Standing
	fill float64
}

// fakeFleet are the keys of the balance in one partition.
type fakeFleet struct {
	rows    map[string]fakeRow
	changes int64
	refused error                  // why they cannot be used; nil: they can
	crashed map[string]fakeCrashes // by consumer ID
}

// fakeCrashes are the crashes that a consumer ID had, until when they are remembered.
type fakeCrashes struct {
	count int
	until int64
}

// idOf is the consumer ID of a consumer.
func idOf(consumer string) string { return consumer[:strings.LastIndexByte(consumer, '.')] }

// exchange notes what a process reports, and tells it about the others, as parts/balance.lua does.
func (s *fakeServer) exchange(n int, p *fakePartition, me string, b *lease.Balance) {
	if b == nil || p.fleet.refused != nil {
		return
	}
	standing := b.Standing(n)
	if p.fleet.rows == nil {
		p.fleet.rows = make(map[string]fakeRow)
	}
	_, there := p.fleet.rows[me]
	if !there {
		p.fleet.changes++
	}
	p.fleet.rows[me] = fakeRow{standing, float64(standing.Held) / standing.Weight}
	f := lease.Fleet{Total: len(p.input), Least: -1, Changes: p.fleet.changes, Waited: -1}
	if c := p.fleet.crashed[idOf(me)]; !there && c.until > nowMilli() { // it opens
		f.Crashes = c.count
	}
	for _, r := range p.fleet.rows {
		switch r.Role {
		case lease.RoleShares:
			f.Weight += r.Weight
			if f.Least < 0 || r.fill < f.Least {
				f.Least = r.fill
			}
		case lease.RoleFull, lease.RoleBehind, lease.RolePaused:
			f.Total -= r.Here
		}
	}
	if standing.Waits {
		for _, x := range p.input {
			if x.seq > p.delivered {
				f.Waited = time.Duration(nowMilli()-x.added) * time.Millisecond
				break
			}
		}
	}
	b.Answered(n, f)
}

// leave takes a consumer whose session is over out of the fleet, and counts a crash if it was not closed, as leave.lua does.
func (p *fakePartition) leave(consumer string) {
	if p.sessions[consumer] > nowMilli() {
		return
	}
	if _, there := p.fleet.rows[consumer]; !there {
		return
	}
	p.fleet.changes++
	delete(p.fleet.rows, consumer)
	if p.sessions[consumer] == 0 {
		return
	}
	if p.fleet.crashed == nil {
		p.fleet.crashed = make(map[string]fakeCrashes)
	}
	c := p.fleet.crashed[idOf(consumer)]
	if c.until <= nowMilli() {
		c.count = 0
	}
	p.fleet.crashed[idOf(consumer)] = fakeCrashes{c.count + 1, nowMilli() + (10 * time.Minute).Milliseconds()}
}

func (s *fakeStore) Leave(ctx context.Context, n int, consumer string) error {
	return s.on(ctx, "leave", n, consumer, 0, func(p *fakePartition) error {
		p.leave(consumer)
		return nil
	})
}
