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

// intake takes in what was read.
type intake struct {
	*env
	layout    *cluster.Layout
	streams   *quota.Streams
	inventory *inventory
	completer *completion.Completer
	acquirer  *acquirer
	forwarder *forwarder
}

// take finds a place for every entry that was read: its own partition, the dead letters, the waitlist, or the table. It
// returns when each has one, or its session is over: then all of them go back with the session.
func (i *intake) take(ctx context.Context, p *partition, s *lease.Session, read []lease.Entry) {
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
			i.log.Warn("announcements beyond the limits", 1, "partition", p.number, "entry", x.ID, "err", large)
		case err != nil:
			i.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToDeadLetters, Reason: completion.Reason(lease.DeadMalformed, err.Error())})
			i.log.Warn("malformed announcements", 1, "partition", p.number, "entry", x.ID, "err", err)
		case x.Home != p.number:
			misrouted = append(misrouted, x)
		default:
			x.Body = nil
			if !i.inventory.has(p.number, x.Stream, x.ID) && !i.acquirer.parkIfOwn(s, x) {
				free = append(free, x)
			}
		}
	}
	i.metrics.Add(metrics.EntriesRead, len(read))
	var elsewhere sync.WaitGroup
	if len(misrouted) > 0 {
		elsewhere.Go(func() { i.forwarder.forward(ctx, s, misrouted) }) // the masters that it asks are no reason for the others to wait
	}
	i.acquirer.acquireAll(ctx, p, s, lease.Batches(free, i.cfg.pipeline.MaxMoves(), acquireWeight))
	elsewhere.Wait()
}

// fit requeues what there is no room for any more: fewer streams are wanted than when the read was sent with room reserved.
func (i *intake) fit(p *partition, s *lease.Session, read []lease.Entry, reserved int) []lease.Entry {
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
