package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/dispatch"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// settleAgain is how often acquisitions are tried while a partition settles.
const settleAgain = 250 * time.Millisecond

// parking is where entries wait whose streams are owned.
type parking interface {
	// park takes an entry in; false when there is no room. take is the answer that named the owner.
	park(s *lease.Session, x *lease.Entry, take lease.Take) bool
	has(stream string) bool
	nudge(stream string) // asks for the first entry of a stream at once
}

// acquirer takes the leases of entries, and finds a place for those whose streams it cannot have.
type acquirer struct {
	*env
	ttls       *ttls
	table      *lease.Table
	sessions   *sessions
	ownership  *ownership
	completer  *completion.Completer
	dispatcher *dispatch.Dispatcher
	renewer    beats
	parked     parking
}

// acquireWeight is what an entry weighs in a call that acquires it: the key of its lease travels there, and its ID with it.
func acquireWeight(x **lease.Entry) int { return len((*x).Key) + len((*x).ID) + lease.FieldWeight }

// acquireAll has two batches on their way at a time: the server works on one while this process takes in the other.
func (a *acquirer) acquireAll(ctx context.Context, p *partition, s *lease.Session, batches [][]*lease.Entry) {
	var next atomic.Int32
	work := func() {
		for i := next.Add(1) - 1; int(i) < len(batches); i = next.Add(1) - 1 {
			a.acquire(ctx, p, s, batches[i])
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
func (a *acquirer) parkIfOwn(s *lease.Session, x *lease.Entry) bool {
	held := a.table.Get(x.Stream)
	if held == nil && !a.parked.has(x.Stream) && !a.dispatcher.Busy(x.Stream) {
		return false
	}
	a.park(s, x, lease.Take{})
	if held != nil {
		a.ownership.supersede(held)
		// It may have been freed between the look and the parking.
		if a.table.Get(x.Stream) == nil {
			a.parked.nudge(x.Stream)
		}
	} else if !a.dispatcher.Busy(x.Stream) {
		a.parked.nudge(x.Stream)
	}
	return true
}

// parkSpill is how long an entry stays in later for which the list had no room.
const parkSpill = 30 * time.Second

// park parks an entry, or sends it to later where the list has no room: reading never pauses for it.
func (a *acquirer) park(s *lease.Session, x *lease.Entry, take lease.Take) {
	if !a.parked.park(s, x, take) {
		delay := parkSpill + time.Duration(float64(parkSpill)*a.random())
		a.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToLater, Delay: delay})
	}
}

// acquire takes the leases of entries that were read, asking until there is an answer.
func (a *acquirer) acquire(ctx context.Context, p *partition, s *lease.Session, entries []*lease.Entry) {
	for attempt := 1; ctx.Err() == nil && s.Remaining() > 0; attempt++ {
		takes, ok := a.acquireOnce(ctx, p, s, entries)
		if ok {
			for i, x := range entries {
				a.place(s, x, takes[i])
			}
			return
		}
		wait := a.backoff(attempt)
		p.mu.Lock()
		if p.mu.settling {
			wait = max(wait, settleAgain)
		}
		p.mu.Unlock()
		backoff.Sleep(ctx, wait)
	}
}

// acquireOnce asks once. What it took is in the table when it returns. Not ok means that nothing is known yet.
func (a *acquirer) acquireOnce(ctx context.Context, p *partition, s *lease.Session, entries []*lease.Entry) ([]lease.Take, bool) {
	_, epoch := p.view()
	t := a.ttls.forCall(p)
	status, takes, err := t.Acquire(ctx, p.number, s.Consumer(), entries)
	if err != nil {
		if code, _ := lease.Refusal(err); code == "NOGROUP" {
			p.wantOpen()
			a.renewer.beatNow(p.number)
		}
		if ctx.Err() == nil {
			a.log.Warn("acquiring fails", len(entries), "partition", p.number, "err", lease.Explain(err))
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
		a.sessions.lose(p, s, errSessionDead)
		return nil, false
	default: // absent, or settling: a beat tells more
		a.renewer.beatNow(p.number)
		return nil, false
	}
	for i, x := range entries {
		if takes[i].Verdict != lease.Acquired {
			continue
		}
		p.raise(takes[i].Token)
		l := lease.New(s, x, takes[i].Token, t.sent, t.lease, a.completer)
		if l.Believed() == 0 || !a.table.Add(l, t.firstRenewal(), a.ownership.announce) {
			// The answer came too late; or our last lease of the stream is off the server and not off the table yet.
			// Either way the entry comes back in a moment.
			a.completer.RequeueLost(l)
			continue
		}
		a.confirm(p, s, l, t.sent, epoch)
	}
	a.metrics.Took(takes)
	a.renewer.nudge()
	return takes, true
}

// confirm caps a lease that was asked for before its server was seen to change: it lasts no longer than the session
// that was alive then, until a renewal succeeds. One that was added while its session was being lost goes too.
func (a *acquirer) confirm(p *partition, s *lease.Session, l *lease.Lease, sent int64, epoch uint64) {
	now, current := p.view()
	if current != epoch {
		l.Cap(sent + int64(a.cfg.sessionTTL-a.cfg.sessionMargin))
		a.table.Retry([]*lease.Lease{l}, a.clock.Now())
	}
	if now != s {
		a.ownership.disown([]*lease.Lease{l}, metrics.CauseSession, errSessionPast)
	}
}

// place finds a place for an entry that was asked for.
func (a *acquirer) place(s *lease.Session, x *lease.Entry, take lease.Take) {
	switch take.Verdict {
	case lease.HeldByOne, lease.Refused:
		if take.Verdict == lease.Refused {
			a.log.Warn("acquiring is refused", 1, "partition", x.Partition, "entry", x.ID, "err", take.Reason)
		}
		if held := a.table.Get(x.Stream); held != nil {
			a.park(s, x, lease.Take{})
			a.ownership.supersede(held)
			return
		}
		a.park(s, x, take)
	case lease.Early:
		a.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToLater, At: x.NotBefore})
	case lease.Gone:
		a.metrics.Inc(metrics.EntriesGone)
		a.completer.RestoreEntry(s.Consumer(), x, true)
	case lease.NotPending:
		// Somebody else's, whose pending list it is in; or acknowledged by hand, and the body is there still.
		a.completer.RestoreEntry(s.Consumer(), x, false)
	case lease.Acquired: // in the table
	}
}
