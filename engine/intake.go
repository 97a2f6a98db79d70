package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/quota"
	"github.com/streamlease/streamlease/lease"
)

// intake decides what becomes of every entry that was read: its lease is acquired, or it is parked, forwarded to its own partition,
// or dead-lettered. All its fields are set before it is used.
type intake struct {
	*env
	layout    *cluster.Layout
	streams   *quota.Streams
	inventory *inventory
	completer *completion.Completer
	acquirer  *acquirer
	forwarder *forwarder
}

// accept finds a place for every entry that was read: the table, the waitlist, its own partition, or the dead letters. It
// returns when each has one, or when its session has ended: then all of them are requeued with the session.
func (i *intake) accept(ctx context.Context, p *partition, s *lease.Session, read []lease.Entry) {
	if len(read) > 0 {
		i.completer.KeepUp(ctx, p.number)
	}
	var free, misrouted []*lease.Entry
	for n := range read {
		parsed, err := lease.Parse(i.layout, &read[n])
		x := &parsed
		var large error
		if err == nil || errors.Is(err, lease.ErrNameCut) {
			large = i.cfg.limits.Check(x)
		}
		switch {
		case large != nil:
			i.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToDeadLetters, Reason: completion.Reason(lease.DeadTooLarge, large.Error())})
			i.log.Warn("announcement exceeds the limits", 1, "partition", p.number, "entry", x.ID, "err", large)
		case err != nil:
			i.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToDeadLetters, Reason: completion.Reason(lease.DeadMalformed, err.Error())})
			i.log.Warn("malformed announcement", 1, "partition", p.number, "entry", x.ID, "err", err)
		case x.Home != p.number:
			misrouted = append(misrouted, x)
		default:
			x.Body = nil
			if !i.inventory.has(p.number, x.Stream, x.ID) && !i.acquirer.parkIfInUse(s, x) {
				free = append(free, x)
			}
		}
	}
	i.metrics.Add(metrics.EntriesRead, len(read))
	var forwarding sync.WaitGroup
	if len(misrouted) > 0 {
		// Concurrently: the others must not wait for other masters.
		forwarding.Go(func() { i.forwarder.forward(ctx, s, misrouted) })
	}
	i.acquirer.acquireAll(ctx, p, s, lease.Batches(free, i.cfg.pipeline.MaxMoves(), acquireWeight))
	forwarding.Wait()
}

// requeueExcess returns the entries that there is still room for, after requeueing the others: the limit on streams may have been
// lowered since room was reserved for the read.
func (i *intake) requeueExcess(p *partition, s *lease.Session, read []lease.Entry, reserved int) []lease.Entry {
	left := i.streams.Left(reserved)
	if len(read) <= left {
		return read
	}
	for n := left; n < len(read); n++ {
		x, _ := lease.Parse(i.layout, &read[n])
		if i.inventory.has(p.number, x.Stream, x.ID) {
			continue
		}
		i.completer.Requeue(s.Consumer(), &x, completion.Target{})
	}
	return read[:left]
}
