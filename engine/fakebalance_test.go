package engine

import (
	"context"
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
	refused error // why they cannot be used; nil: they can
}

// exchange notes what a process reports, and tells it about the others, as parts/balance.lua does.
func (s *fakeServer) exchange(n int, p *fakePartition, me string, b *lease.Balance) {
	if b == nil || p.fleet.refused != nil {
		return
	}
	standing := b.Standing(n)
	if p.fleet.rows == nil {
		p.fleet.rows = make(map[string]fakeRow)
	}
	if _, there := p.fleet.rows[me]; !there {
		p.fleet.changes++
	}
	p.fleet.rows[me] = fakeRow{standing, float64(standing.Held) / standing.Weight}
	f := lease.Fleet{Total: len(p.input), Least: -1, Changes: p.fleet.changes, Waited: -1}
	for _, r := range p.fleet.rows {
		switch r.Part {
		case lease.PartShares:
			f.Weight += r.Weight
			if f.Least < 0 || r.fill < f.Least {
				f.Least = r.fill
			}
		case lease.PartFull, lease.PartBehind, lease.PartPaused:
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

// leave takes a consumer whose session is over out of the fleet.
func (p *fakePartition) leave(consumer string) {
	if p.sessions[consumer] > nowMilli() {
		return
	}
	if _, there := p.fleet.rows[consumer]; there {
		p.fleet.changes++
		delete(p.fleet.rows, consumer)
	}
}

func (s *fakeStore) Leave(ctx context.Context, n int, consumer string) error {
	return s.on(ctx, "leave", n, consumer, 0, func(p *fakePartition) error {
		p.leave(consumer)
		return nil
	})
}
