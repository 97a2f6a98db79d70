package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/streamlease/streamlease/lease"
)

// signal adds a signal to a partition, as scripts and producers do.
func (s *fakeServer) signal(p *fakePartition, x lease.Signal) {
	s.seq++
	x.ID = fmt.Sprintf("%d-%d", nowMilli(), s.seq)
	p.signals = append(p.signals, x)
}

// signalUser sends a signal as a producer does.
func (s *fakeServer) signalUser(partition int, stream, payload string) {
	s.signalUsers(partition, payload, stream)
}

// signalUsers sends one signal to the owners of several streams.
func (s *fakeServer) signalUsers(partition int, payload string, streams ...string) {
	x := lease.Signal{Kind: lease.SignalUser, Payload: []byte(payload)}
	for _, stream := range streams {
		x.Items = append(x.Items, lease.SignalItem{Stream: stream})
	}
	s.with(partition, func(p *fakePartition) { s.signal(p, x) })
}

// freeLease deletes a lease, and says so where another entry waits.
func (s *fakeServer) freeLease(p *fakePartition, key string) {
	if held := p.leases[key]; held != nil && held.waiting != "" {
		s.signal(p, lease.Signal{Kind: lease.SignalFreed, Items: []lease.SignalItem{{Stream: key[len(p.keys.Lease("")):]}}})
	}
	delete(p.leases, key)
}

// lookForSignals is what a beat answers about signals.
func (s *fakeServer) lookForSignals(p *fakePartition, set *lease.Settings, alone bool, b *lease.Beat) {
	switch position := set.Signals.Position(p.keys.Partition); {
	case position == "", lease.CompareIDs(position, fmt.Sprintf("%d-18446744073709551615", nowMilli())) > 0 && strings.HasSuffix(position, "-18446744073709551615"):
		b.SignalsFrom = fmt.Sprintf("%d-18446744073709551615", nowMilli()-1)
	case alone || set.Signals.LeftOut(p.keys.Partition):
	case p.signalsRefused != nil:
		b.SignalsErr = p.signalsRefused
	default:
		for _, x := range p.signals {
			if lease.CompareIDs(x.ID, position) > 0 {
				b.Signal = x.ID
				return
			}
		}
	}
}

func (s *fakeStore) Signals(ctx context.Context, n int, position string, count int) (page lease.SignalPage, err error) {
	err = s.on(ctx, "signals", n, "", count, func(p *fakePartition) error {
		page.Gone = !strings.HasSuffix(position, "-18446744073709551615")
		for _, x := range p.signals {
			switch c := lease.CompareIDs(x.ID, position); {
			case c == 0:
				page.Gone = false
			case c > 0 && len(page.Signals) == count:
				page.More = true
			case c > 0:
				page.Signals = append(page.Signals, x)
			}
		}
		return p.signalsRefused
	})
	return page, err
}
