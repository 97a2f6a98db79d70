package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// settleAgain is how often acquisitions are tried while a partition settles.
const settleAgain = 250 * time.Millisecond

// intake finds a place for every entry that was read: its own partition, the dead letters, the waitlist, or the table. It
// returns when each has one, or its session is over: then all of them go back with the session.
func (e *Engine) intake(ctx context.Context, p *partition, s *lease.Session, read []lease.Entry) {
	if len(read) > 0 {
		e.completer.KeepUp(ctx, p.number)
	}
	var free, strange []*lease.Entry
	for i := range read {
		parsed, err := lease.Parse(e.layout, &read[i])
		x := &parsed
		var large error
		if err == nil || errors.Is(err, lease.ErrNameCut) {
			large = e.cfg.limits.Check(x)
		}
		switch {
		case large != nil:
			e.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToDeadLetters, Reason: completion.Reason(lease.DeadTooLarge, large.Error())})
			e.log.Warn("announcements beyond the limits", 1, "partition", p.number, "entry", x.ID, "err", large)
		case err != nil:
			e.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToDeadLetters, Reason: completion.Reason(lease.DeadMalformed, err.Error())})
			e.log.Warn("malformed announcements", 1, "partition", p.number, "entry", x.ID, "err", err)
		case x.Home != p.number:
			strange = append(strange, x)
		default:
			x.Body = nil
			if !e.has(p.number, x.Stream, x.ID) && !e.parkIfOwn(s, x) {
				free = append(free, x)
			}
		}
	}
	e.metrics.Add(metrics.EntriesRead, len(read))
	var elsewhere sync.WaitGroup
	if len(strange) > 0 {
		elsewhere.Go(func() { e.forward(ctx, s, strange) }) // the masters that it asks are no reason for the others to wait
	}
	e.acquireAll(ctx, p, s, lease.Batches(free, e.cfg.pipeline.MaxMoves(), acquireWeight))
	elsewhere.Wait()
}

// acquireWeight is what an entry weighs in a call that acquires it: the key of its lease travels there, and its ID with it.
func acquireWeight(x **lease.Entry) int { return len((*x).Key) + len((*x).ID) + lease.FieldWeight }

// acquireAll has two batches on their way at a time: the server works on one while this process takes in the other.
func (e *Engine) acquireAll(ctx context.Context, p *partition, s *lease.Session, batches [][]*lease.Entry) {
	var next atomic.Int32
	work := func() {
		for i := next.Add(1) - 1; int(i) < len(batches); i = next.Add(1) - 1 {
			e.acquire(ctx, p, s, batches[i])
		}
	}
	var second sync.WaitGroup
	if len(batches) > 1 {
		second.Go(work)
	}
	work()
	second.Wait()
}

// parkIfOwn parks an entry whose stream this process already has to do with.
func (e *Engine) parkIfOwn(s *lease.Session, x *lease.Entry) bool {
	held := e.table.Get(x.Stream)
	if held == nil && !e.parked.list.Has(x.Stream) && !e.dispatcher.Busy(x.Stream) {
		return false
	}
	e.park(s, x, lease.Take{})
	if held != nil {
		e.ownership.supersede(held)
		// It may have been freed between the look and the parking.
		if e.table.Get(x.Stream) == nil {
			e.parked.nudge(x.Stream)
		}
	} else if !e.dispatcher.Busy(x.Stream) {
		e.parked.nudge(x.Stream)
	}
	return true
}

// park parks an entry, or sends it to later where the list has no room: reading never pauses for it.
func (e *Engine) park(s *lease.Session, x *lease.Entry, take lease.Take) {
	if !e.parked.park(s, x, take) {
		delay := parkSpill + time.Duration(float64(parkSpill)*e.random())
		e.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToLater, Delay: delay})
	}
}

// acquire takes the leases of entries that were read, asking until there is an answer.
func (e *Engine) acquire(ctx context.Context, p *partition, s *lease.Session, entries []*lease.Entry) {
	for attempt := 1; ctx.Err() == nil && s.Remaining() > 0; attempt++ {
		takes, ok := e.acquireOnce(ctx, p, s, entries)
		if ok {
			for i, x := range entries {
				e.took(s, x, takes[i])
			}
			return
		}
		wait := e.backoff(attempt)
		p.mu.Lock()
		if p.mu.settling {
			wait = max(wait, settleAgain)
		}
		p.mu.Unlock()
		backoff.Sleep(ctx, wait)
	}
}

// acquireOnce asks once. What it took is in the table when it returns. Not ok means that nothing is known yet.
func (e *Engine) acquireOnce(ctx context.Context, p *partition, s *lease.Session, entries []*lease.Entry) ([]lease.Take, bool) {
	_, epoch := p.view()
	t := e.ttls.forCall(p)
	status, takes, err := t.Acquire(ctx, p.number, s.Consumer(), entries)
	if err != nil {
		if code, _ := lease.Refusal(err); code == "NOGROUP" {
			p.wantOpen()
			e.renewer.beatNow(p.number)
		}
		if ctx.Err() == nil {
			e.log.Warn("acquiring fails", len(entries), "partition", p.number, "err", lease.Explain(err))
			// What is read comes to nothing: not ready. The end of the next read says so or otherwise.
			p.mu.Lock()
			p.mu.unread = err
			p.mu.Unlock()
		}
		return nil, false
	}
	switch status {
	case lease.SessionLive:
	case lease.SessionLost:
		e.sessions.lose(p, s, errSessionDead)
		return nil, false
	default: // absent, or settling: a beat tells more
		e.renewer.beatNow(p.number)
		return nil, false
	}
	for i, x := range entries {
		if takes[i].Verdict != lease.Acquired {
			continue
		}
		p.raise(takes[i].Token)
		l := lease.New(s, x, takes[i].Token, t.sent, t.lease, e.completer)
		if l.Believed() == 0 || !e.table.Add(l, t.firstRenewal(), e.ownership.announce) {
			// The answer came too late; or our last lease of the stream is off the server and not off the table yet.
			// Either way the entry comes back in a moment.
			e.completer.RequeueLost(l)
			continue
		}
		e.confirm(p, s, l, t.sent, epoch)
	}
	e.metrics.Took(takes)
	e.renewer.nudge()
	return takes, true
}

// confirm doubts a lease that was asked for before its server was seen to change: it lasts no longer than the session
// does that was alive then, until a renewal succeeds. One that was added while its session was being lost goes too.
func (e *Engine) confirm(p *partition, s *lease.Session, l *lease.Lease, sent int64, epoch uint64) {
	now, current := p.view()
	if current != epoch {
		l.Cap(sent + int64(e.cfg.sessionTTL-e.cfg.sessionMargin))
		e.table.Retry([]*lease.Lease{l}, e.clock.Now())
	}
	if now != s {
		e.ownership.disown([]*lease.Lease{l}, metrics.CauseSession, errSessionPast)
	}
}

// took gives an entry that was asked for its place.
func (e *Engine) took(s *lease.Session, x *lease.Entry, take lease.Take) {
	switch take.Verdict {
	case lease.HeldByOne, lease.Refused:
		if take.Verdict == lease.Refused {
			e.log.Warn("acquiring is refused", 1, "partition", x.Partition, "entry", x.ID, "err", take.Reason)
		}
		if held := e.table.Get(x.Stream); held != nil {
			e.park(s, x, lease.Take{})
			e.ownership.supersede(held)
			return
		}
		e.park(s, x, take)
	case lease.Early:
		e.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToLater, At: x.NotBefore})
	case lease.Gone:
		e.metrics.Inc(metrics.EntriesGone)
		e.completer.RestoreEntry(s.Consumer(), x, true)
	case lease.NotPending:
		// Somebody else's, whose pending list it is in; or acknowledged by hand, and the body is there still.
		e.completer.RestoreEntry(s.Consumer(), x, false)
	case lease.Acquired: // in the table
	}
}
