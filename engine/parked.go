package engine

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/waitlist"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// parked drives the list of announcements that wait for their streams: it asks Redis for what is due, and requeues what is not to
// wait here any more.
type parked struct {
	e     *Engine
	list  *waitlist.List
	work  *workqueue.Queue
	pages []lease.PageSize // entries that are asked for together, by partition; only the work of a partition uses its own
}

// parkSpill is how long an entry stays in later for which the list had no room.
const parkSpill = 30 * time.Second

// handOn is the delay of what is handed on because a handler here is in its way.
var handOn = backoff.Exponential{First: waitlist.MaxDelayChanged, Max: waitlist.MaxDelay, Jitter: 0.25}

func newParked(ctx context.Context, e *Engine) *parked {
	w := &parked{e: e, list: waitlist.New(waitlist.Config{
		Partitions: len(e.partitions),
		MaxEntries: e.cfg.maxParked,
		MaxBytes:   e.cfg.readMemory / 2,
		LeaseTTL:   e.cfg.leaseTTL,
		Held:       func(stream string) bool { return e.table.Get(stream) != nil },
		Busy:       e.dispatcher.Busy,
		Weight:     pollWeight,
	})}
	w.pages = make([]lease.PageSize, len(e.partitions))
	for n := range w.pages {
		w.pages[n] = lease.NewPageSize(e.cfg.pipeline.MaxMoves())
	}
	w.work = workqueue.New(ctx, len(e.partitions), e.cfg.pipeline.MaxInFlight, e.lanes.of, w.run)
	return w
}

// pollWeight is what an entry weighs in a call that asks for it again. Before Redis 7 the server reads it for that.
func pollWeight(x *lease.Entry) int { return acquireWeight(&x) + x.Size }

// park takes an entry in. take is the answer that named the holder; the zero Take means this process. It reports false
// when the list is full: the entry must go elsewhere.
func (w *parked) park(s *lease.Session, x *lease.Entry, take lease.Take) bool {
	ok, wake := w.list.Park(w.e.clock.Now(), s, x, take, w.e.random())
	if wake {
		w.work.Add(s.Partition())
	}
	return ok
}

// nudge has the first entry of a stream asked for at once.
func (w *parked) nudge(stream string) {
	if partition, wake := w.list.Nudge(w.e.clock.Now(), stream); wake {
		w.work.Add(partition)
	}
}

// run asks for the entries that are due in one partition.
func (w *parked) run(ctx context.Context, partition int) time.Duration {
	room := 0
	if w.e.pressure.of(partition).intake != IntakeStopped {
		room = w.e.reserve(w.e.cfg.pipeline.MaxMoves())
	}
	defer w.e.quota.Release(room)
	now := w.e.clock.Now()
	due := w.list.TakeDue(now, partition, w.pages[partition].Size(), room)
	for _, x := range due.Leave {
		w.requeue(partition, x)
	}
	switch {
	case len(due.Ask) > 0:
		return w.ask(ctx, partition, due.Ask)
	case due.Next == waitlist.Never:
		return workqueue.Idle
	}
	return max(time.Duration(due.Next-now), time.Millisecond)
}

// requeue sends entries to later. They are errands before they leave the list, so that who looks for all that is known here
// finds them (eachKnown).
func (w *parked) requeue(partition int, x waitlist.Leaving) {
	delay := waitlist.MaxDelayChanged
	if x.Handed > 0 {
		delay = handOn.Delay(x.Handed, w.e.random())
	}
	for _, entry := range x.Entries {
		w.e.completer.Requeue(x.Session.Consumer(), entry, completion.Target{Dest: lease.ToLater, Delay: delay})
	}
	if w.list.Moved(w.e.clock.Now(), x) {
		w.work.Add(partition)
	}
}

// ask asks for entries with one call.
func (w *parked) ask(ctx context.Context, partition int, asked []waitlist.Asked) time.Duration {
	entries := make([]*lease.Entry, len(asked))
	for i := range asked {
		entries[i] = asked[i].Entry
	}
	sent := w.e.clock.Now()
	takes, ok := w.e.acquireOnce(ctx, w.e.partitions[partition], asked[0].Session, entries)
	now := w.e.clock.Now()
	alone := w.learn(partition, len(asked), ok, time.Duration(now-sent))
	if !ok {
		w.list.Unanswered(now, partition, asked, settleAgain, alone)
		return settleAgain
	}
	w.list.Answered(partition)
	for i := range asked {
		w.settle(asked[i], takes[i], now)
	}
	return 0
}

// learn learns from how long it took to ask for n entries how many to ask for next: what a call costs the server may be more
// than what is known of the entries says. It reports whether one alone took too long.
func (w *parked) learn(partition, n int, ok bool, took time.Duration) (alone bool) {
	size, limit := &w.pages[partition], w.e.ttls.timeout()
	switch {
	case took > limit/2:
		return !size.Failed(n)
	case ok && took < limit/4 && n > size.Size()/2:
		size.Succeeded()
	}
	return false
}

// settle takes in the answer about one entry.
func (w *parked) settle(asked waitlist.Asked, take lease.Take, now int64) {
	x := asked.Entry
	s := w.list.Settle(now, asked, take, w.e.random())
	if s.Left {
		w.e.took(asked.Session, x, take)
	}
	if take.Verdict == lease.Acquired && s.Waiting {
		if held := w.e.table.Get(x.Stream); held != nil {
			w.e.ownership.supersede(held)
		} else {
			w.nudge(x.Stream)
		}
	}
}
