package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// ender carries endings out: what users end, what the engine hands back, and what must never stay pending for nobody.
// It asks until Redis answers; an unknown outcome is asked again. Endings of a partition travel in batches that form
// while the batch before them is on its way.
type ender struct {
	e    *Engine
	crew *crew

	mu struct {
		sync.Mutex
		queues  [][]errand
		debts   [][]*debt
		entries map[entryKey]struct{} // that an errand is under way for
		failed  []int                 // attempts in a row, by partition
		retryAt []int64               // not before then
		expect  []int                 // endings likely to wait when the next batch goes out, by partition
		fresh   []int                 // errands under way that were never refused, by partition
		closed  bool
	}
	idle signal // something was settled
	more signal // an ending was queued
}

// entryKey names an entry of the service.
type entryKey struct {
	partition int
	id        string
}

// errand is one entry to be ended.
type errand struct {
	lease.Return
	consumer string
	finish   bool         // done with, else given up
	lease    *lease.Lease // whose ending waits for the outcome; nil when nobody does
	tried    bool         // an attempt had an unknown outcome
	refused  int          // how often Redis refused this very errand
	after    int64        // refused: not asked again before then
}

// debt is a session that is over, or is being closed: all that is pending for it goes back.
type debt struct {
	session *lease.Session
	by      int64 // when to close the session though a read may still deliver to it; 0: never. With the ender's mutex
}

func newEnder(ctx context.Context, e *Engine) *ender {
	d := &ender{e: e}
	n := len(e.partitions)
	d.mu.queues = make([][]errand, n)
	d.mu.debts = make([][]*debt, n)
	d.mu.failed = make([]int, n)
	d.mu.retryAt = make([]int64, n)
	d.mu.expect = make([]int, n)
	d.mu.fresh = make([]int, n)
	d.mu.entries = make(map[entryKey]struct{})
	d.crew = newCrew(ctx, n, e.cfg.pipeline.MaxInFlight, d.run)
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
		Return: lease.Return{
			Key: l.Key(), Entry: l.Entry(), Token: tokenText(l.Token()), Dest: lease.ToInput,
			Retries: lease.KeepCount, Crashes: lease.KeepCount,
		},
	}
	if ending.Kind == lease.EndFailed {
		d.e.sentence(&x.Return, l.Attempt(), ending.Why)
	}
	d.push(l.Partition(), x)
}

// giveUp re-queues the entry of a lease that was lost; it counts no retry.
func (d *ender) giveUp(l *lease.Lease) {
	d.push(l.Partition(), errand{consumer: l.Session().Consumer(), Return: lease.Return{
		Key: l.Key(), Entry: l.Entry(), Token: lease.AnyToken, Dest: lease.ToInput,
		Retries: lease.KeepCount, Crashes: lease.KeepCount,
	}})
}

// giveBack returns an entry that was never held, for dest, where at is a time of the server's clock in ms.
func (d *ender) giveBack(consumer string, x *lease.Entry, dest lease.Dest, at int64, delay time.Duration, reason string) {
	key := x.Key
	if key == "" {
		key = d.e.layout.Keys(x.Partition).Lease("")
	}
	dest, at = notBefore(x, dest, at)
	d.push(x.Partition, errand{consumer: consumer, Return: lease.Return{
		Key: key, Entry: x.ID, Token: lease.AnyToken, Dest: dest, At: at, Delay: delay,
		Retries: lease.KeepCount, Crashes: lease.KeepCount, Reason: reason,
	}})
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
		Return: lease.Return{Key: d.e.layout.Keys(x.Partition).Lease(""), Entry: x.ID}})
}

func (d *ender) push(partition int, x errand) {
	d.mu.Lock()
	d.mu.fresh[partition]++
	if d.mu.closed {
		d.mu.Unlock()
		d.settle(partition, x, api.ErrClosed)
		return
	}
	d.mu.queues[partition] = append(d.mu.queues[partition], x)
	d.mu.entries[entryKey{partition, x.Entry}] = struct{}{}
	d.mu.Unlock()
	d.more.broadcast()
	d.crew.wake(partition)
}

// owe takes on handing back all that is pending for a session that is over. by is when to close it though a read with an
// unknown outcome may still deliver to it, which others would recover; 0: not before that read cannot.
func (d *ender) owe(s *lease.Session, by int64) {
	d.mu.Lock()
	if !d.mu.closed {
		d.mu.debts[s.Partition()] = append(d.mu.debts[s.Partition()], &debt{session: s, by: by})
	}
	d.mu.Unlock()
	d.crew.wake(s.Partition())
}

// hasten has the debts that there are paid by then, as owe does.
func (d *ender) hasten(by int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, debts := range d.mu.debts {
		for _, x := range debts {
			x.by = by
		}
	}
}

// owing is the number of debts.
func (d *ender) owing() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, debts := range d.mu.debts {
		n += len(debts)
	}
	return n
}

// owes says whether a session is still to be handed back.
func (d *ender) owes(partition int, consumer string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.mu.debts[partition], func(x *debt) bool { return x.session.Consumer() == consumer })
}

// ending says whether an errand is under way for an entry.
func (d *ender) ending(partition int, id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.mu.entries[entryKey{partition, id}]
	return ok
}

// pending is the number of endings under way.
func (d *ender) pending() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mu.entries)
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
		if err := d.carryOut(ctx, partition, batch); err != nil {
			return d.failing(ctx, partition, err)
		}
		d.mu.Lock()
		d.mu.failed[partition] = 0
		d.mu.Unlock()
	}
	return sooner(d.payDebts(ctx, partition), d.nextRefused(partition))
}

// nextRefused is how long it takes until an errand that was refused is asked again.
func (d *ender) nextRefused(partition int) time.Duration {
	now := d.e.clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	next := nothingMore
	for i := range d.mu.queues[partition] {
		next = sooner(next, time.Duration(max(0, d.mu.queues[partition][i].after-now)))
	}
	return next
}

// sooner is the shorter of two times after which a crew's work wants to run again.
func sooner(a, b time.Duration) time.Duration {
	if a == nothingMore || b != nothingMore && b < a {
		return b
	}
	return a
}

// gather waits, for no longer than linger, until as many endings wait as are likely to: the callers that the batch
// before them let go, and those that had queued up behind it. Without that the callers split into two halves which take
// turns for ever.
func (d *ender) gather(ctx context.Context, partition int) {
	enough := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.mu.queues[partition]) >= d.mu.expect[partition]
	}
	if enough() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, linger)
	defer cancel()
	d.more.wait(ctx, enough)
}

// take takes the first errands that can travel in one script. Those that were refused wait aside for their time.
func (d *ender) take(partition int) []errand {
	now := d.e.clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	queue := d.mu.queues[partition]
	var batch, skipped []errand
	n := 0
	for ; n < len(queue) && len(batch) < d.e.cfg.pipeline.MaxBatch; n++ {
		x := &queue[n]
		if x.after > now || len(batch) > 0 && (x.consumer != batch[0].consumer || x.finish != batch[0].finish) {
			skipped = append(skipped, *x)
			continue
		}
		batch = append(batch, *x)
	}
	// Only what was skipped moves: a long queue is not copied for every batch of it.
	n -= len(skipped)
	copy(queue[n:], skipped)
	clear(queue[:n])
	d.mu.queues[partition] = queue[n:]
	d.mu.expect[partition] = 0
	return batch
}

// carryOut asks Redis once for a batch. What it leaves open goes back to the queue; an error says that all of it did. An
// errand that is refused by itself, as one for dead letters of another type, holds up no other.
func (d *ender) carryOut(ctx context.Context, partition int, batch []errand) error {
	items := make([]lease.Return, len(batch))
	for i := range batch {
		items[i] = batch[i].Return
	}
	ask := d.e.store.Requeue
	if batch[0].finish {
		ask = d.e.store.Done
	}
	outcomes, err := ask(ctx, partition, batch[0].consumer, items)
	if err != nil {
		if _, refused := lease.Refusal(err); !refused {
			for i := range batch {
				batch[i].tried = true
			}
		}
		d.again(partition, batch)
		return err
	}
	d.mu.Lock()
	if n := len(batch) + len(d.mu.queues[partition]); n > 1 {
		d.mu.expect[partition] = min(n, d.e.cfg.pipeline.MaxBatch)
	}
	d.mu.Unlock()
	var open, refused []errand
	for i, x := range batch {
		switch o := outcomes[i]; o.Verdict {
		case lease.Refused:
			refused = append(refused, d.refuse(partition, x, o.Err()))
		case lease.TooWide:
			x.Dest, x.Reason = lease.ToDeadLetters, reason(deadTooWide, "more fields than can be copied")
			open = append(open, x)
			d.crew.wake(partition)
		default:
			d.outcome(partition, x, o.Verdict)
		}
	}
	d.again(partition, open)
	d.mu.Lock()
	d.mu.queues[partition] = append(d.mu.queues[partition], refused...)
	d.mu.Unlock()
	return nil
}

// refuse puts one errand off.
func (d *ender) refuse(partition int, x errand, why error) errand {
	if code, _ := lease.Refusal(why); code == "NOGROUP" {
		// The reader, which would notice, may have no room to read.
		d.e.partitions[partition].wantOpen()
		d.e.renewer.beatNow(partition)
	}
	if x.refused == 0 {
		d.mu.Lock()
		d.mu.fresh[partition]--
		d.mu.Unlock()
		d.idle.broadcast()
	}
	x.refused++
	x.tried = true // what comes last in the script may be what was refused
	x.after = d.e.clock.Now() + int64(d.e.backoff(x.refused))
	d.e.log.warn("endings are refused", 1, "partition", partition, "entry", x.Entry, "err", lease.Explain(why))
	return x
}

// again puts errands back in front.
func (d *ender) again(partition int, batch []errand) {
	if len(batch) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.queues[partition] = append(batch, d.mu.queues[partition]...)
}

func (d *ender) failing(ctx context.Context, partition int, err error) time.Duration {
	if ctx.Err() != nil {
		return nothingMore
	}
	d.mu.Lock()
	d.mu.failed[partition]++
	wait := d.e.backoff(d.mu.failed[partition])
	d.mu.retryAt[partition] = d.e.clock.Now() + int64(wait)
	d.mu.Unlock()
	d.e.log.warn("endings fail", 1, "partition", partition, "err", lease.Explain(err))
	return wait
}

// outcome judges what Redis said of one errand.
func (d *ender) outcome(partition int, x errand, v lease.Verdict) {
	var err error
	switch v {
	case lease.Finished, lease.Moved:
	case lease.Gone:
		d.e.metrics.gone(1)
	case lease.Full:
		d.e.metrics.deadLettersFull()
	case lease.NotPending:
		// Asked again after a lost answer, this is our own success, if nobody can have had the stream in between.
		sure := x.lease != nil && x.lease.Believed() > 0
		switch {
		case x.tried && sure:
		case x.tried:
			err = api.ErrOutcomeUnknown
		default:
			err = api.ErrLeaseLost
		}
	default:
		err = api.ErrLeaseLost
	}
	if x.Dest == lease.ToDeadLetters && v == lease.Moved {
		d.e.metrics.deadLetter(x.Reason)
	}
	d.settle(partition, x, err)
	if v == lease.Owned && x.lease != nil {
		// The stream went to somebody else meanwhile; the entry is pending here still, and not the business of anybody.
		d.giveUp(x.lease)
	}
}

// settle ends an errand.
func (d *ender) settle(partition int, x errand, err error) {
	if l := x.lease; l != nil {
		d.e.metrics.ended(l.Ending().Kind, err)
		if d.e.table.Remove(l) {
			d.e.freed(l.Stream())
		}
		l.Ending().Settle(err)
	}
	d.mu.Lock()
	delete(d.mu.entries, entryKey{partition, x.Entry})
	if x.refused == 0 {
		d.mu.fresh[partition]--
	}
	d.mu.Unlock()
	d.idle.broadcast()
}

// backlogReads is how many full reads of errands may be under way before the next read is taken in.
const backlogReads = 4

// keepUp waits, unless ctx ends first, until a partition has no more errands under way than it should: giving an entry
// back takes the server longer than reading it, so a flood of announcements would otherwise pile up here. Errands that
// are refused do not count, or some bad entries would stop the reading for ever.
func (d *ender) keepUp(ctx context.Context, partition int) {
	d.idle.wait(ctx, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.mu.fresh[partition] < backlogReads*d.e.cfg.readBatch
	})
}

// payDebts hands back page by page what is pending for sessions that are over, and closes them.
func (d *ender) payDebts(ctx context.Context, partition int) time.Duration {
	for {
		d.mu.Lock()
		if len(d.mu.debts[partition]) == 0 {
			d.mu.Unlock()
			return nothingMore
		}
		s, by := d.mu.debts[partition][0].session, d.mu.debts[partition][0].by
		d.mu.Unlock()
		paid, err := d.pay(ctx, partition, s, by)
		if err != nil {
			return d.failing(ctx, partition, err)
		}
		if !paid {
			return min(d.e.cfg.retry, unblockTime)
		}
		d.mu.Lock()
		d.mu.debts[partition] = d.mu.debts[partition][1:]
		d.mu.failed[partition] = 0
		d.mu.Unlock()
		d.idle.broadcast()
	}
}

// pay hands back what is pending for a session, and closes it. It reports false while more may come.
func (d *ender) pay(ctx context.Context, partition int, s *lease.Session, by int64) (bool, error) {
	consumer := s.Consumer()
	for ctx.Err() == nil {
		page, err := d.e.store.Pending(ctx, partition, consumer, "", d.e.cfg.pipeline.MaxBatch, 0)
		if code, _ := lease.Refusal(err); code == "NOGROUP" {
			break
		}
		if err != nil {
			return false, err
		}
		if len(page) == 0 {
			break
		}
		if err := d.handBack(ctx, partition, consumer, page); err != nil {
			return false, err
		}
	}
	now := d.e.clock.Now()
	if !d.e.partitions[partition].quiet(consumer, now) && (by == 0 || now < by) {
		return false, nil
	}
	if d.e.partitions[partition].leave(s) {
		// A beat that arrives after the session was closed would make it again.
		d.e.renewer.crew.rest(ctx, partition)
	}
	left, err := d.e.store.Close(ctx, partition, consumer)
	return left == 0, err
}

func (d *ender) handBack(ctx context.Context, partition int, consumer string, page []lease.PendingEntry) error {
	items := make([]lease.Return, len(page))
	for i := range page {
		x, err := lease.ParseEntry(d.e.layout, partition, page[i].ID, page[i].Body)
		key := x.Key
		if err != nil {
			key = d.e.layout.Keys(partition).Lease("")
		}
		dest, at := notBefore(&x, lease.ToInput, 0)
		items[i] = lease.Return{Key: key, Entry: page[i].ID, Token: lease.AnyToken, Dest: dest, At: at,
			Retries: lease.KeepCount, Crashes: lease.KeepCount}
	}
	outcomes, err := d.e.store.Requeue(ctx, partition, consumer, items)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		switch o.Verdict {
		case lease.Refused:
			return o.Err()
		case lease.TooWide:
			items[i].Dest, items[i].Reason = lease.ToDeadLetters, reason(deadTooWide, "more fields than can be copied")
			if _, err := d.e.store.Requeue(ctx, partition, consumer, items[i:i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// stop ends all errands and debts that are open with an error.
func (d *ender) stop() {
	d.mu.Lock()
	d.mu.closed = true
	d.mu.Unlock()
	d.crew.stop()
	for p := range d.mu.queues {
		for _, x := range d.mu.queues[p] {
			d.settle(p, x, fmt.Errorf("%w before Redis answered", api.ErrClosed))
		}
	}
}

// pause waits, unless ctx ends first; it reports whether it waited.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
