package engine

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/quota"
	"github.com/streamlease/streamlease/engine/internal/waitlist"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// parkedParts are what parked works with. All are set.
type parkedParts struct {
	partitions []*partition
	table      *lease.Table
	ttls       *ttls
	pressure   *pressure
	streams    *quota.Streams
	ownership  *ownership
	completer  *completion.Completer
	acquirer   *acquirer
	busy       func(stream string) bool // reports whether a handler of a stream runs, or is queued to run
	lane       func(partition int) int  // partitions with the same lane share a master
	signals    *signals
}

// parked drives the waitlist, the announcements whose streams are owned: it tries to acquire what is due, and requeues what should
// not wait here any longer.
type parked struct {
	*env
	parkedParts
	list  *waitlist.List
	work  *workqueue.Queue
	pages []lease.PageSize // entries per call, by partition; each is used only by the work of its partition
}

// handedOnDelays are the delays of entries that are handed on to other processes because a handler of their stream still runs here.
var handedOnDelays = backoff.Exponential{First: waitlist.MaxDelayChanged, Max: waitlist.MaxDelay, Jitter: 0.25}

func newParked(ctx context.Context, e *env, parts parkedParts) *parked {
	w := &parked{env: e, parkedParts: parts, list: waitlist.New(waitlist.Config{
		Partitions: len(parts.partitions),
		MaxEntries: e.cfg.maxParked,
		MaxBytes:   e.cfg.readMemory / 2,
		LeaseTTL:   e.cfg.leaseTTL,
		// List.TakeDue calls Held and Busy with its mutex held (List.mu → table.mu): what is parked of a stream must not change while
		// it is checked whether the stream is free here.
		Held:   func(stream string) bool { return parts.table.Get(stream) != nil },
		Busy:   parts.busy,
		Weight: pollWeight,
	})}
	w.pages = make([]lease.PageSize, len(parts.partitions))
	for n := range w.pages {
		w.pages[n] = lease.NewPageSize(e.cfg.pipeline.MaxMoves())
	}
	w.work = workqueue.New(ctx, len(parts.partitions), e.cfg.pipeline.MaxInFlight, parts.lane, w.run)
	return w
}

// pollWeight is the weight of a parked entry in a call that tries to acquire it. Before Redis 7, the server reads its body for that.
func pollWeight(x *lease.Entry) int { return acquireWeight(&x) + x.Size }

// park adds an entry to the list, and reports whether there was room for it. take is the answer that named the owner; the zero Take
// means this process.
func (w *parked) park(s *lease.Session, x *lease.Entry, take lease.Take) bool {
	ok, wake := w.list.Park(w.clock.Now(), s, x, take, w.random())
	if wake {
		w.work.Add(s.Partition())
	}
	return ok
}

// has reports whether entries of a stream are parked.
func (w *parked) has(stream string) bool { return w.list.Has(stream) }

// nudge makes the first entry of a stream due at once.
func (w *parked) nudge(stream string) {
	if partition, wake := w.list.Nudge(w.clock.Now(), stream); wake {
		w.work.Add(partition)
	}
}

// freedElsewhere makes the first entry of a stream due at once, since another process has freed the stream.
func (w *parked) freedElsewhere(stream string) {
	if partition, wake := w.list.Freed(stream); wake {
		w.work.Add(partition)
	}
}

// hasten makes everything that is parked in a partition due within that time.
func (w *parked) hasten(partition int, within time.Duration) {
	if w.list.Hasten(w.clock.Now(), partition, within, w.random) {
		w.work.Add(partition)
	}
}

// run tries to acquire the entries that are due in one partition, as many as there is room for, and requeues those that leave.
func (w *parked) run(ctx context.Context, partition int) time.Duration {
	room := 0
	if w.pressure.of(partition).intake != IntakeStopped {
		room = w.pressure.reserve(w.cfg.pipeline.MaxMoves())
	}
	defer w.streams.Release(room)
	now := w.clock.Now()
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

// requeue requeues the entries of a stream to later. Their completions are under way before they leave the list, so that
// inventory.each finds them.
func (w *parked) requeue(partition int, x waitlist.Leaving) {
	delay := waitlist.MaxDelayChanged
	if x.Handed > 0 {
		delay = handedOnDelays.Delay(x.Handed, w.random())
	}
	for _, entry := range x.Entries {
		w.completer.Requeue(x.Session.Consumer(), entry, completion.Target{Dest: lease.ToLater, Delay: delay})
	}
	if w.list.Moved(w.clock.Now(), x) {
		w.work.Add(partition)
	}
}

// ask tries to acquire entries with one call, and returns when the partition is to run again.
func (w *parked) ask(ctx context.Context, partition int, asked []waitlist.Asked) time.Duration {
	entries := make([]*lease.Entry, len(asked))
	for i := range asked {
		entries[i] = asked[i].Entry
	}
	since := w.signals.watch(partition)
	defer w.signals.settled(partition, since, entries)
	sent := w.clock.Now()
	takes, ok := w.acquirer.acquireOnce(ctx, w.partitions[partition], asked[0].Session, entries)
	now := w.clock.Now()
	alone := w.adjustPage(partition, len(asked), ok, time.Duration(now-sent))
	if !ok {
		w.list.Unanswered(now, partition, asked, settleRetry, alone)
		return settleRetry
	}
	w.list.Answered(partition)
	for i := range asked {
		w.settle(asked[i], takes[i], now)
	}
	return 0
}

// adjustPage sets how many entries the next call asks for, given how long a call for n entries took: it may cost the server more
// than can be seen in the entries. It reports whether a call for a single entry took too long.
func (w *parked) adjustPage(partition, n int, ok bool, took time.Duration) (alone bool) {
	size, limit := &w.pages[partition], w.ttls.timeout()
	switch {
	case took > limit/2:
		return !size.Failed(n)
	case ok && took < limit/4 && n > size.Size()/2:
		size.Succeeded()
	}
	return false
}

// settle applies the answer about one entry.
func (w *parked) settle(asked waitlist.Asked, take lease.Take, now int64) {
	x := asked.Entry
	s := w.list.Settle(now, asked, take, w.random())
	if s.Left {
		w.acquirer.place(asked.Session, x, take)
	}
	if take.Verdict == lease.Acquired && s.Waiting {
		if held := w.table.Get(x.Stream); held != nil {
			w.ownership.supersede(held)
		} else {
			w.nudge(x.Stream)
		}
	}
}
