package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// settleRetry is how often acquisitions are retried while a partition settles.
const settleRetry = 250 * time.Millisecond

// parker keeps entries that wait because their streams are owned.
type parker interface {
	// park adds an entry, and reports whether there was room for it. take is the answer that named the owner.
	park(s *lease.Session, x *lease.Entry, take lease.Take) bool
	has(stream string) bool // reports whether entries of a stream are parked
	nudge(stream string)    // acquires the first entry of a stream at once
}

// acquirer acquires the leases of entries, and parks, requeues or restores those that it cannot acquire. All its fields are set
// before it is used.
type acquirer struct {
	*env
	ttls      *ttls
	table     *lease.Table
	sessions  *sessions
	ownership *ownership
	completer *completion.Completer
	busy      func(stream string) bool // reports whether work for an earlier lease of a stream goes on, or waits for a worker
	renewer   beats
	parked    parker
	signals   *signals
	// unreadable is called when Redis refuses to read checkpoints.
	unreadable func(partition int, err error)
}

// acquireWeight is the weight of an entry in a call that acquires it: the call carries the key of its lease and its ID.
func acquireWeight(x **lease.Entry) int { return len((*x).Key) + len((*x).ID) + lease.FieldWeight }

// acquireAll acquires batches, two at a time: the server works on one while this process handles the answer to the other.
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

// parkIfInUse parks an entry if this process owns its stream, has parked entries of it, or still runs a handler for it. It
// reports whether it did.
func (a *acquirer) parkIfInUse(s *lease.Session, x *lease.Entry) bool {
	held := a.table.Get(x.Stream)
	if held == nil && !a.parked.has(x.Stream) && !a.busy(x.Stream) {
		return false
	}
	a.park(s, x, lease.Take{})
	if held != nil {
		a.ownership.supersede(held)
		// It may have been freed between the check above and the parking.
		if a.table.Get(x.Stream) == nil {
			a.parked.nudge(x.Stream)
		}
	} else if !a.busy(x.Stream) {
		a.parked.nudge(x.Stream)
	}
	return true
}

// spillDelay is how long an entry for which the waitlist has no room stays in later, at least; up to as long again is added at
// random.
const spillDelay = 30 * time.Second

// park parks an entry, or requeues it to later if the waitlist is full: reading never pauses for parked entries.
func (a *acquirer) park(s *lease.Session, x *lease.Entry, take lease.Take) {
	if take.Own {
		owned := *x
		owned.OwnedElsewhere = true
		x = &owned
	}
	if !a.parked.park(s, x, take) {
		delay := spillDelay + time.Duration(float64(spillDelay)*a.random())
		a.completer.Requeue(s.Consumer(), x, completion.Target{Dest: lease.ToLater, Delay: delay})
	}
}

// acquire acquires the leases of entries that were read, retrying until there is an answer, ctx ends or the session does.
func (a *acquirer) acquire(ctx context.Context, p *partition, s *lease.Session, entries []*lease.Entry) {
	for attempt := 1; ctx.Err() == nil && s.Remaining() > 0; attempt++ {
		since := a.signals.watch(p.number)
		takes, ok := a.acquireOnce(ctx, p, s, entries)
		if ok {
			for i, x := range entries {
				a.place(s, x, takes[i])
			}
		}
		a.signals.settled(p.number, since, entries)
		if ok {
			return
		}
		wait := a.backoff(attempt)
		p.mu.Lock()
		if p.mu.settling {
			wait = max(wait, settleRetry)
		}
		p.mu.Unlock()
		backoff.Sleep(ctx, wait)
	}
}

// acquireOnce makes one attempt. What it acquired is in the table when it returns. If ok is false, the outcome is unknown, or
// nothing was decided.
func (a *acquirer) acquireOnce(ctx context.Context, p *partition, s *lease.Session, entries []*lease.Entry) (takes []lease.Take, ok bool) {
	_, epoch := p.view() // before the call: see recheck
	t := a.ttls.forCall(p)
	status, takes, err := t.Acquire(ctx, p.number, s.Consumer(), entries)
	if err != nil {
		if code, _ := lease.Refusal(err); code == "NOGROUP" {
			p.requestReopen()
			a.renewer.beatNow(p.number)
		}
		if ctx.Err() == nil {
			a.log.Warn("acquiring leases failed", len(entries), "partition", p.number, "err", lease.Explain(err))
			// Reading is of no use meanwhile, so the engine is not ready. The next read that ends updates this.
			p.noteRead(err, a.ttls.excused(p))
		}
		return nil, false
	}
	switch status {
	case lease.SessionLive:
	case lease.SessionLost:
		a.sessions.lose(p, s, errSessionDead)
		return nil, false
	default: // absent, or settling: a beat finds out more
		a.renewer.beatNow(p.number)
		return nil, false
	}
	for i, x := range entries {
		if takes[i].Verdict != lease.Acquired {
			continue
		}
		p.raiseFloor(takes[i].Token)
		// The deadline counts from before the call was sent. Added is posted by announce while the table is locked, so that no
		// other notification of the lease comes before it.
		l := lease.New(s, x, takes[i].Token, t.sent, t.lease, a.completer)
		if !a.inherit(l, &takes[i]) {
			continue
		}
		if l.Believed() == 0 || !a.table.Add(l, t.firstRenewal(), a.ownership.announce) {
			// The answer came too late; or our previous lease of the stream has been removed from the server, but not yet from the
			// table. Either way the entry comes back in a moment.
			a.completer.RequeueLost(l)
			continue
		}
		a.metrics.OwnershipBegan(takes[i].Token, x.ID)
		a.recheck(p, s, l, t.sent, epoch)
	}
	a.metrics.Took(takes)
	a.renewer.nudge()
	return takes, true
}

// recheck caps a lease if its server was seen to change after the call that acquired it was sent: until a renewal succeeds, the
// lease lasts no longer than a session whose last beat was sent with that call. It disowns a lease that was added while its
// session was being lost.
func (a *acquirer) recheck(p *partition, s *lease.Session, l *lease.Lease, sent int64, epoch uint64) {
	now, current := p.view()
	if current != epoch {
		a.table.DistrustOne(l, sent+int64(a.cfg.sessionTTL-a.cfg.sessionMargin), a.clock.Now())
		l.Doubt()
	}
	if now != s {
		a.ownership.disown([]*lease.Lease{l}, metrics.CauseSession, errSessionPast)
	}
}

// unreadDelay is how long a stream is not handed out whose checkpoint cannot be read; up to half as long again is added at random.
const unreadDelay = 20 * time.Second

// withheldDelay is the same where Redis refuses for a reason that passes, such as a failover, to say what the checkpoint is.
const withheldDelay = 3 * time.Second

// inherit gives a lease the checkpoint that its acquisition found. It reports false if that is not known: then the stream is given
// back, since its next owner must not start over. Where Redis refuses checkpoints as such, streams are owned without.
func (a *acquirer) inherit(l *lease.Lease, take *lease.Take) bool {
	switch err := take.CheckpointErr; {
	case err == nil:
		l.Inherit(take.Checkpoint)
	case refusesCheckpoints(err):
		l.Blind()
		a.unreadable(l.Partition(), err)
	case passes(err):
		a.log.Warn("a stream is handed out later, since Redis does not give its checkpoint", 1, "partition", l.Partition(), "entry", l.Entry(),
			"err", lease.Explain(err))
		a.withhold(l, withheldDelay)
		return false
	default:
		a.metrics.Inc(metrics.CheckpointsUnreadable)
		a.log.Warn("a stream is not handed out, since its checkpoint cannot be read", 1, "partition", l.Partition(), "entry", l.Entry(),
			"err", lease.Explain(err))
		a.withhold(l, unreadDelay)
		return false
	}
	return true
}

// passes reports whether an error is a refusal, which ends by itself, and not a checkpoint that cannot be read.
func passes(err error) bool {
	code, refused := lease.Refusal(err)
	return refused && code != "BADCHECKPOINT"
}

// withhold gives a stream back that is not to be handed out for a while.
func (a *acquirer) withhold(l *lease.Lease, d time.Duration) {
	a.completer.RequeueUnread(l, d+time.Duration(float64(d)/2*a.random()))
}

// place puts an entry where the answer to its acquisition sends it.
func (a *acquirer) place(s *lease.Session, x *lease.Entry, take lease.Take) {
	switch take.Verdict {
	case lease.HeldByOne, lease.Refused:
		if take.Verdict == lease.Refused {
			a.log.Warn("acquiring a lease was refused", 1, "partition", x.Partition, "entry", x.ID, "err", take.Reason)
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
		// In another consumer's pending list; or acknowledged by hand, while its body is still there.
		a.completer.RestoreEntry(s.Consumer(), x, false)
	case lease.Acquired: // already in the table
	}
}
