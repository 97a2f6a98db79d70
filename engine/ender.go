package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/cond"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// ender carries endings out: what users end, what the engine hands back, and what must never stay pending for nobody.
// It asks until Redis answers; an unknown outcome is asked again. Endings of a partition travel in batches that form
// while the batch before them is on its way.
type ender struct {
	e    *Engine
	work *workqueue.Queue

	mu struct {
		sync.Mutex
		queues  []errands // by partition
		debts   [][]*debt
		entries map[entryKey]struct{} // that an errand is under way for
		failed  []int                 // attempts in a row, by partition
		retryAt []int64               // not before then
		expect  []int                 // endings likely to wait when the next batch goes out, by partition
		fresh   []int                 // errands under way that were never refused, by partition
		strays  []int                 // errands under way that were refused and that no owner waits for, by partition
		pages   []lease.PageSize      // errands a call, by partition
		again   []lease.PageSize      // the same of those that were refused: they make no other calls smaller
		closed  bool
	}
	notHandedBack atomic.Int64 // hand-backs of the drain that moved nothing

	idle cond.Cond // something was settled
	more cond.Cond // an ending was queued
}

// entryKey names an entry of the service.
type entryKey struct {
	partition int
	id        string
}

func newEnder(ctx context.Context, e *Engine) *ender {
	d := &ender{e: e}
	n := len(e.partitions)
	d.mu.queues = make([]errands, n)
	d.mu.debts = make([][]*debt, n)
	d.mu.failed = make([]int, n)
	d.mu.retryAt = make([]int64, n)
	d.mu.expect = make([]int, n)
	d.mu.fresh = make([]int, n)
	d.mu.strays = make([]int, n)
	d.mu.pages = make([]lease.PageSize, n)
	d.mu.again = make([]lease.PageSize, n)
	for p := range d.mu.pages {
		d.mu.pages[p] = lease.NewPageSize(e.cfg.pipeline.MaxMoves())
		d.mu.again[p] = d.mu.pages[p]
	}
	d.mu.entries = make(map[entryKey]struct{})
	d.work = workqueue.New(ctx, n, e.cfg.pipeline.MaxInFlight, e.lane, d.run)
	return d
}

// linger is how long a small batch waits at most for more when the one before it had several: who called in parallel
// then is likely to call again.
const linger = time.Millisecond

// End takes on an ending that a user or the engine has made. It implements lease.Ender.
func (d *ender) End(l *lease.Lease) {
	ending := l.Ending()
	x := errand{
		consumer: l.Session().Consumer(),
		lease:    l,
		finish:   ending.Kind == lease.EndDone,
		Disposition: lease.Disposition{
			Key: l.Key(), Entry: l.Entry(), Token: tokenText(l.Token()), Dest: lease.ToInput,
			Retries: lease.KeepCount, Crashes: lease.KeepCount,
		},
	}
	if ending.Kind == lease.EndFailed {
		d.e.sentence(&x.Disposition, l.Attempt(), ending.Why)
	}
	d.push(l.Partition(), x)
}

// giveUp re-queues the entry of a lease that was lost; it counts no retry.
func (d *ender) giveUp(l *lease.Lease) {
	d.push(l.Partition(), errand{consumer: l.Session().Consumer(), stray: stray{was: l}, Disposition: lease.Disposition{
		Key: l.Key(), Entry: l.Entry(), Token: lease.AnyToken, Dest: lease.ToInput,
		Retries: lease.KeepCount, Crashes: lease.KeepCount,
	}})
}

// giveBack returns an entry that was never held, for dest, where at is a time of the server's clock in ms. One that nobody
// can read becomes a dead letter wherever it was to go.
func (d *ender) giveBack(consumer string, x *lease.Entry, dest lease.Dest, at int64, delay time.Duration, reason string) {
	var malformed error
	if x.Stream == "" && dest != lease.ToDeadLetters {
		_, malformed = lease.Parse(d.e.layout, x)
	}
	r := lease.RequeueEntry(x, malformed, d.e.layout.Keys(x.Partition).Lease(""))
	if r.Dest != lease.ToDeadLetters {
		r.Dest, r.At = notBefore(x, dest, at)
		r.Delay, r.Reason = delay, reason
	}
	d.push(x.Partition, errand{consumer: consumer, stray: stray{entry: remembered(x)}, Disposition: r})
}

// notBefore has an entry wait for the time that its producer set: a copy in the input stream would not carry it.
func notBefore(x *lease.Entry, dest lease.Dest, at int64) (lease.Dest, int64) {
	if x.NotBefore == 0 || dest == lease.ToDeadLetters {
		return dest, at
	}
	return lease.ToLater, max(at, x.NotBefore)
}

// forwarded acknowledges an entry that was copied to its own partition.
func (d *ender) forwarded(consumer string, x *lease.Entry) {
	d.push(x.Partition, errand{consumer: consumer, finish: true,
		Disposition: lease.Disposition{Key: d.e.layout.Keys(x.Partition).Lease(""), Entry: x.ID}})
}

func (d *ender) push(partition int, x errand) {
	d.weigh(partition, &x)
	d.mu.Lock()
	d.mu.fresh[partition]++
	if d.mu.closed {
		d.mu.Unlock()
		d.settle(partition, x, api.ErrClosed)
		return
	}
	d.mu.queues[partition].put(x)
	d.mu.entries[entryKey{partition, x.Entry}] = struct{}{}
	d.mu.Unlock()
	d.more.Broadcast()
	d.work.Add(partition)
}

// weigh counts what an errand holds among what was read and has no place, until it is settled.
func (d *ender) weigh(partition int, x *errand) {
	n := x.weight()
	d.e.reading.add(partition, n-x.held)
	x.held = n
}

// ending says whether an errand is under way for an entry.
func (d *ender) ending(partition int, id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.mu.entries[entryKey{partition, id}]
	return ok
}

// under is the IDs of the entries of a partition that an errand is under way for.
func (d *ender) under(partition int) (ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.mu.entries {
		if key.partition == partition {
			ids = append(ids, key.id)
		}
	}
	return ids
}

// pending is the number of endings under way.
func (d *ender) pending() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mu.entries)
}

// unrefused is the number of endings under way that were never refused.
func (d *ender) unrefused() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, fresh := range d.mu.fresh {
		n += fresh
	}
	return n
}

// run carries out what is queued for one partition, then its debts.
func (d *ender) run(ctx context.Context, partition int) time.Duration {
	d.mu.Lock()
	early := d.mu.retryAt[partition] - d.e.clock.Now()
	d.mu.Unlock()
	if early > 0 {
		// Woken by a new ending while Redis does not answer.
		return time.Duration(early)
	}
	for {
		d.gather(ctx, partition)
		batch := d.take(partition)
		if len(batch) == 0 {
			break
		}
		err := d.carryOut(ctx, partition, batch)
		d.e.room.Broadcast() // there may be room for what is read
		if err != nil {
			return d.failing(ctx, partition, err)
		}
		d.mu.Lock()
		d.mu.failed[partition] = 0
		d.mu.Unlock()
	}
	return workqueue.Sooner(d.payDebts(ctx, partition), d.nextRefused(partition))
}

// nextRefused is how long it takes until an errand that was refused is asked again.
func (d *ender) nextRefused(partition int) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, some := d.mu.queues[partition].refusedAt()
	if !some {
		return workqueue.Idle
	}
	return time.Duration(max(0, at-d.e.clock.Now()))
}

// gather waits, for no longer than linger, until as many endings wait as are likely to: the callers that the batch
// before them let go, and those that had queued up behind it. Without that the callers split into two halves which take
// turns for ever.
func (d *ender) gather(ctx context.Context, partition int) {
	enough := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.mu.queues[partition].fresh.len() >= d.mu.expect[partition]
	}
	if enough() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, linger)
	defer cancel()
	d.more.Wait(ctx, enough)
}

// take takes what travels in the next script.
func (d *ender) take(partition int) []errand {
	now := d.e.clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.expect[partition] = 0
	return d.mu.queues[partition].take(now, d.mu.pages[partition].Size(), d.mu.again[partition].Size())
}

// pageLocked is how many errands go into calls like that of a batch.
func (d *ender) pageLocked(partition int, batch []errand) *lease.PageSize {
	if batch[0].refused > 0 {
		return &d.mu.again[partition]
	}
	return &d.mu.pages[partition]
}

// backlogReads is how many full reads of errands may be under way before the next read is taken in, and how many that were
// refused before there is no next read.
const backlogReads = 4

// keepUp waits, unless ctx ends first, until a partition has no more errands under way than it should: giving an entry
// back takes the server longer than reading it, so a flood of announcements would otherwise pile up here. Errands that
// are refused do not count, or some bad entries would stop the reading for ever: very many of them do (clogged).
func (d *ender) keepUp(ctx context.Context, partition int) {
	d.idle.Wait(ctx, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.mu.fresh[partition] < backlogReads*d.e.cfg.readBatch
	})
}

// clogged reports whether so many entries of a partition wait that Redis refuses to move, and that nobody owns, that nothing
// more is to be read: what is refused is asked again, and more of it would pile up.
func (d *ender) clogged(partition int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.strays[partition] >= backlogReads*d.e.cfg.readBatch
}

// stop ends all errands and debts that are open with an error.
func (d *ender) stop() {
	d.mu.Lock()
	d.mu.closed = true
	d.mu.Unlock()
	d.work.Stop()
	for p := range d.mu.queues {
		for x := range d.mu.queues[p].all {
			d.settle(p, *x, fmt.Errorf("%w before Redis answered", api.ErrClosed))
		}
	}
}
