package engine

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

const (
	// savers is how many partitions of one master have checkpoints stored at a time, if WithPipeline allows that many calls in flight.
	savers = 2

	// saveInterval is how long one that has changed waits until it is stored, with all that have waited for saveAge. Those go along with a
	// renewal, too, which goes out anyway. So none is stored again at once.
	saveInterval = time.Second
	saveAge      = saveInterval * 3 / 4

	// lackingPause is how long checkpoints are off where Redis refuses them for good, before that is tried again.
	lackingPause = 30 * time.Second
)

// checkpointStore is what stores checkpoints.
type checkpointStore interface {
	SaveCheckpoints(ctx context.Context, p int, consumer string, number uint64, items []lease.Saving) (verdicts string, err error)
	SaveCheckpointsAlone(ctx context.Context, p int, consumer string, number uint64, items []lease.Saving) []lease.Verdict
	CheckpointsAllowed(ctx context.Context, p int) error
}

// checkpoints has the checkpoints stored that have changed, or may have been forgotten. The renewer's loop says when to look; the work
// queue makes the calls, on the client of everything but renewals. Renewals take some along, once a call has shown that they are
// stored. A checkpoint is in one call at a time, and what is not answered is sent again.
//
// Nothing waits for it but SaveCheckpoint: what it has not stored goes along with the ending of a lease.
type checkpoints struct {
	*env
	store      checkpointStore
	partitions []*partition
	table      *lease.Table
	nudge      func() // has the renewer look at what is due
	work       *workqueue.Queue
	parts      []savingState // by partition
}

// savingState is what is known of storing the checkpoints of one partition. Times are on the clock's axis.
type savingState struct {
	off    atomic.Pointer[error] // why none are stored; nil: they are
	oldest atomic.Int64          // since when the first of those in a call of their own was to be stored; 0: there is no such call

	mu       sync.Mutex
	failures int    // calls in a row
	retryAt  int64  // no call before then
	proven   uint64 // one more than the epoch in which a call of their own was last answered; 0: none was
}

func newCheckpoints(ctx context.Context, e *env, partitions []*partition, table *lease.Table, nudge func(),
	lane func(partition int) int, s checkpointStore) *checkpoints {
	c := &checkpoints{env: e, store: s, partitions: partitions, table: table, nudge: nudge, parts: make([]savingState, len(partitions))}
	c.work = workqueue.New(ctx, len(partitions), min(e.cfg.pipeline.MaxInFlight, savers), lane, c.save)
	return c
}

// attach is called with each new session before anybody else has it.
func (c *checkpoints) attach(s *lease.Session) {
	if why := c.parts[s.Partition()].off.Load(); why != nil {
		s.RefuseCheckpoints(*why)
	}
	s.HookSaving(lease.SavingHooks{
		Wanted: func() { c.work.Add(s.Partition()) },
		TooLong: func(bytes int) {
			c.metrics.Inc(metrics.CheckpointsTooLong)
			c.log.Warn("checkpoints are too long and were not set", 1, "partition", s.Partition(), "bytes", bytes, "max", api.MaxCheckpoint)
		},
	})
}

// look has stored what is due, and returns when there is more to do. The renewer's loop calls it.
func (c *checkpoints) look(now int64) (next int64) {
	next = math.MaxInt64
	for n, p := range c.partitions {
		s, _ := p.view()
		if s == nil {
			continue
		}
		at := int64(math.MaxInt64)
		if first := s.FirstUnsaved(); first != 0 {
			at = first + int64(saveInterval)
		}
		if now >= at || c.parts[n].off.Load() != nil {
			c.work.Add(n)
			at = now + int64(saveInterval) // the work goes on by itself until then
		}
		next = min(next, at)
	}
	return next
}

// save stores what has changed in a partition, if the time for that has come, and what somebody waits for.
func (c *checkpoints) save(ctx context.Context, n int) time.Duration {
	p, x := c.partitions[n], &c.parts[n]
	s, _ := p.view()
	if s == nil || s.Remaining() == 0 {
		return workqueue.Idle
	}
	now := c.clock.Now()
	if wait := c.waiting(x, now); wait > 0 {
		return wait // woken by somebody who waits while Redis does not answer
	}
	if x.off.Load() != nil {
		return c.tryAgain(ctx, p, s)
	}
	limit := lease.SavingLimit{Count: c.cfg.pipeline.MaxMoves(), Weight: lease.MaxSaveWeight, Whole: true, Wanted: s.WantedCheckpoints()}
	if first := s.FirstUnsaved(); first != 0 && now >= first+int64(saveInterval) {
		limit.Before = now - int64(saveAge)
	}
	for ctx.Err() == nil {
		_, epoch := p.view() // before the call
		items, oldest := s.TakeUnsaved(limit)
		if len(items) == 0 {
			break
		}
		x.oldest.Store(oldest)
		verdicts, err := c.send(ctx, p, s, items)
		x.oldest.Store(0)
		all := c.answered(p, epoch, items, verdicts, err)
		if err != nil {
			return c.failed(ctx, p, s, err)
		}
		x.mu.Lock()
		x.failures, x.proven = 0, epoch+1
		if !all {
			x.retryAt = c.clock.Now() + int64(c.cfg.retry) // somebody may wait for what is sent again
		}
		x.mu.Unlock()
	}
	return c.next(x, s)
}

// waiting returns for how long no call is to be made.
func (c *checkpoints) waiting(x *savingState, now int64) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Duration(max(0, x.retryAt-now))
}

// next returns the delay until there is something to be stored.
func (c *checkpoints) next(x *savingState, s *lease.Session) time.Duration {
	now := c.clock.Now()
	if wait := c.waiting(x, now); wait > 0 {
		return wait
	}
	if first := s.FirstUnsaved(); first != 0 {
		return time.Duration(max(first+int64(saveInterval)-now, int64(time.Millisecond)))
	}
	return workqueue.Idle
}

// send makes one call; one for each checkpoint while the slot migrates.
func (c *checkpoints) send(ctx context.Context, p *partition, s *lease.Session, items []lease.Saving) (verdicts string, err error) {
	verdicts, err = c.store.SaveCheckpoints(ctx, p.number, s.Consumer(), s.NextSaving(), items)
	if code, _ := lease.Refusal(err); code != "TRYAGAIN" {
		return verdicts, err
	}
	alone := make([]byte, 0, len(items))
	for _, v := range c.store.SaveCheckpointsAlone(ctx, p.number, s.Consumer(), s.NextSaving(), items) {
		alone = append(alone, byte(v))
	}
	return string(alone), nil
}

// answered gives back checkpoints that were in a call, with a verdict each, and reports whether all are stored. epoch is that before the
// call: what an earlier server has stored says nothing about its successor.
func (c *checkpoints) answered(p *partition, epoch uint64, items []lease.Saving, verdicts string, err error) (all bool) {
	_, now := p.view()
	same := now == epoch
	var counts [metrics.SavingResults]int
	bytes := 0
	var lost []*lease.Lease
	for i, x := range items {
		v := lease.Verdict(0)
		if i < len(verdicts) {
			v = lease.Verdict(verdicts[i])
		}
		result, why := metrics.SavingFailed, error(nil)
		switch {
		case v == lease.Saved && same:
			counts[metrics.SavingStored]++
			bytes += len(x.Value)
			x.Lease.Stored()
			continue
		case v == lease.Lost && same:
			result, why = metrics.SavingRefused, api.ErrLeaseLost
			lost = append(lost, x.Lease)
		case v == lease.Missing && same:
			result = metrics.SavingRefused
			lost = append(lost, x.Lease)
		case v == lease.Stale:
			result = metrics.SavingStale
		case v == lease.SavedLater:
			result = metrics.SavingLater
		case v == lease.Refused:
			why = errUnreadable
			c.log.Warn("checkpoints cannot be stored in the place of those that are there", 1, "partition", p.number, "err", err)
		}
		counts[result]++
		x.Lease.NotStored(why)
	}
	c.metrics.CheckpointsSaved(counts, bytes)
	if len(lost) > 0 {
		c.table.DueNow(lost, c.clock.Now()) // whether a lease is lost is for its renewal to say
		c.nudge()
	}
	return counts[metrics.SavingStored] == len(items)
}

// errUnreadable is what who waits for a checkpoint learns in whose place something is stored that cannot be read.
var errUnreadable = fmt.Errorf("%w: what is stored for the stream is of an unknown kind: upgrade, or delete that field", api.ErrNoCheckpoints)

// failed decides what follows when a call failed: it is made again after a delay, or checkpoints are off for a while.
func (c *checkpoints) failed(ctx context.Context, p *partition, s *lease.Session, err error) time.Duration {
	if ctx.Err() != nil {
		return workqueue.Idle
	}
	if refusesCheckpoints(err) {
		c.turnOff(p, s, err)
		return workqueue.Idle
	}
	x := &c.parts[p.number]
	x.mu.Lock()
	x.failures++
	wait := c.backoff(x.failures)
	x.retryAt = c.clock.Now() + int64(wait)
	x.mu.Unlock()
	c.log.Warn("storing checkpoints fails", 1, "partition", p.number, "err", lease.Explain(err))
	return wait
}

// refusesCheckpoints reports whether Redis refuses them until somebody grants a right or deletes a key.
func refusesCheckpoints(err error) bool {
	_, refused := lease.Refusal(err)
	return refused && !lease.Retryable(err)
}

// noCheckpoints says that Redis refuses the checkpoints of a partition.
func noCheckpoints(partition int, err error) error {
	return fmt.Errorf("%w: partition %d: %w", api.ErrNoCheckpoints, partition, lease.Explain(err))
}

// turnOff stores no checkpoints of a partition for a while, and has those who wait for that return why.
func (c *checkpoints) turnOff(p *partition, s *lease.Session, err error) {
	x := &c.parts[p.number]
	why := noCheckpoints(p.number, err)
	x.mu.Lock()
	x.off.Store(&why)
	x.retryAt, x.proven = c.clock.Now()+int64(lackingPause), 0
	x.mu.Unlock()
	s.RefuseCheckpoints(why) // before they are taken: nothing is listed from here on
	for {
		items, _ := s.TakeUnsaved(lease.AllUnsaved)
		if len(items) == 0 {
			break
		}
		for _, x := range items {
			x.Lease.NotStored(why)
		}
	}
	c.log.Warn("checkpoints are off: Redis refuses them", 1, "partition", p.number, "err", lease.Explain(err))
}

// tryAgain asks whether Redis still refuses checkpoints. If not, those of all leases are stored.
func (c *checkpoints) tryAgain(ctx context.Context, p *partition, s *lease.Session) time.Duration {
	x := &c.parts[p.number]
	if err := c.store.CheckpointsAllowed(ctx, p.number); err != nil {
		x.mu.Lock()
		x.retryAt = c.clock.Now() + int64(lackingPause)
		x.mu.Unlock()
		return workqueue.Idle
	}
	x.off.Store(nil)
	s.RefuseCheckpoints(nil)
	c.table.DoubtCheckpoints(s)
	c.log.Info("checkpoints are stored again", "partition", p.number)
	return 0
}

// refused notes that a call that carried a checkpoint for another reason had it refused. It may be called from any goroutine.
func (c *checkpoints) refused(partition int, err error) {
	p := c.partitions[partition]
	if s, _ := p.view(); s != nil && refusesCheckpoints(err) && c.parts[partition].off.Load() == nil {
		c.turnOff(p, s, err)
	}
}

// ride takes checkpoints along with a renewal that has so much room, if it is time for that.
func (c *checkpoints) ride(p *partition, s *lease.Session, epoch uint64, room int) lease.Savings {
	x, now := &c.parts[p.number], c.clock.Now()
	x.mu.Lock()
	may := x.proven == epoch+1 && x.off.Load() == nil && now >= x.retryAt
	x.mu.Unlock()
	if !may || room <= 0 {
		return lease.Savings{}
	}
	items, _ := s.TakeUnsaved(lease.SavingLimit{Count: c.cfg.pipeline.MaxMoves(), Weight: min(room, lease.MaxSaveWeight),
		Before: now - int64(saveAge)})
	if len(items) == 0 {
		return lease.Savings{}
	}
	return lease.Savings{Number: s.NextSaving(), Items: items}
}

// verifying takes the checkpoints of leases along that are to be verified, since a server that forgot a lease may have forgotten that,
// too.
func (c *checkpoints) verifying(p *partition, s *lease.Session, leases []*lease.Lease) lease.Savings {
	x := &c.parts[p.number]
	x.mu.Lock()
	may := x.proven != 0 && x.off.Load() == nil
	x.mu.Unlock()
	var items []lease.Saving
	for room, i := lease.MaxSaveWeight, 0; may && i < len(leases); i++ {
		if item, _, ok := leases[i].Send(room); ok {
			room -= item.Weight()
			items = append(items, item)
		}
	}
	if len(items) == 0 {
		return lease.Savings{}
	}
	return lease.Savings{Number: s.NextSaving(), Items: items}
}

// rode gives back what went along with another call. err is why that was refused, or why the call failed.
func (c *checkpoints) rode(p *partition, epoch uint64, saves lease.Savings, verdicts string, err error) {
	if len(saves.Items) == 0 {
		return
	}
	c.answered(p, epoch, saves.Items, verdicts, err)
	if err != nil {
		// Those that go by themselves find out what is wrong. Until then renewals carry none.
		x := &c.parts[p.number]
		x.mu.Lock()
		x.proven = 0
		x.mu.Unlock()
	}
}

// emit emits the gauges of a partition.
func (c *checkpoints) emit(n int, emit metrics.Emit) {
	x := &c.parts[n]
	count, oldest, off := 0, x.oldest.Load(), 0.0
	if s, _ := c.partitions[n].view(); s != nil {
		waiting, since := 0, int64(0)
		if waiting, since = s.Unsaved(); since != 0 && (oldest == 0 || since < oldest) {
			oldest = since
		}
		count = waiting
	}
	age := time.Duration(0)
	if oldest != 0 {
		age = time.Duration(c.clock.Now() - oldest)
	}
	if x.off.Load() != nil {
		off = 1
	}
	emit(metrics.CheckpointsUnsaved, n, float64(count))
	emit(metrics.CheckpointsOldest, n, age.Seconds())
	emit(metrics.CheckpointsOff, n, off)
}
