package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

const (
	// promotions is how many partitions of one master are promoted at a time, if WithPipeline allows that many calls in flight.
	promotions = 2

	// promotionPause is the least time between two promotions of a partition by one process that were timed: it bounds what many
	// delayed entries, each due at a time of its own, cost.
	promotionPause = 100 * time.Millisecond

	// A process that is the first to promote what is due waits for a random part of minPromotionSpread. One that comes too late
	// waits for twice as long the next time, up to a beat, and then leaves timing to others.
	minPromotionSpread   = 20 * time.Millisecond
	firstPromotionSpread = 40 * time.Millisecond
)

// laterStore is what a promoter asks of Redis.
type laterStore interface {
	// Promote moves up to limit due entries from later to the input stream.
	Promote(ctx context.Context, partition, limit int) (lease.Promotion, error)
}

// promoter requeues delayed entries that are due: it moves them from later to the input stream. Any process may; the script
// moves each entry once.
//
// Beats report what is due, and what will be before the next beat. For the latter the promoter sets a timer, one a partition, so
// that an entry need not wait for a beat. In a fleet every process would promote the same entry at the same time. So each
// delays its timer at random, and adapts: those that found nothing to do wait longer the next time, until only one or two
// still set a timer. The others find what is due by their beats if those die, stand still, or get no answer, and then wait less
// the next time.
type promoter struct {
	*env
	store      laterStore
	partitions []*partition
	work       *workqueue.Queue
	timing     []timing // by partition
}

// timing is when a partition is promoted next without a beat that asks for it.
type timing struct {
	mu     sync.Mutex
	timer  *time.Timer   // made when first needed
	at     int64         // when it rings; 0: it is not set
	timed  bool          // it rang, and that promotion has not ended
	last   int64         // when the last promotion began; 0: there was none
	spread time.Duration // the longest random delay
	ended  bool
}

func newPromoter(ctx context.Context, e *env, partitions []*partition, lane func(partition int) int, s laterStore) *promoter {
	p := &promoter{env: e, store: s, partitions: partitions, timing: make([]timing, len(partitions))}
	for n := range p.timing {
		p.timing[n].spread = firstPromotionSpread
	}
	p.work = workqueue.New(ctx, len(partitions), min(e.cfg.pipeline.MaxInFlight, promotions), lane, p.promote)
	return p
}

// stop ends the promoter; it waits for what is on its way.
func (p *promoter) stop() {
	for n := range p.timing {
		t := &p.timing[n]
		t.mu.Lock()
		t.ended = true
		if t.timer != nil {
			t.timer.Stop()
		}
		t.mu.Unlock()
	}
	p.work.Stop()
}

// due has a partition promoted now, since a beat reports that entries are due; or when the timer rings, if that is soon.
func (p *promoter) due(partition int) {
	t := &p.timing[partition]
	t.mu.Lock()
	soon := t.at != 0 && t.at <= p.clock.Now()+int64(promotionPause)
	t.mu.Unlock()
	if !soon {
		p.work.Add(partition)
	}
}

// soon has a partition promoted when the next entry is due, in that time from now; 0: nothing is known to be due soon. What is due
// after the next beat is left to that.
func (p *promoter) soon(partition int, in time.Duration) {
	if in <= 0 || in > lease.LookAhead {
		return
	}
	t := &p.timing[partition]
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.spread >= p.cfg.beat {
		return // others are faster
	}
	now := p.clock.Now()
	at := now + int64(in) + int64(p.random()*float64(t.spread))
	if t.last != 0 {
		at = max(at, t.last+int64(promotionPause))
	}
	if t.at != 0 && t.at <= at {
		return // it looks again then
	}
	t.at = at
	wait := time.Duration(at - now)
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, func() { p.ring(partition) })
	} else {
		t.timer.Reset(wait)
	}
}

func (p *promoter) ring(partition int) {
	t := &p.timing[partition]
	t.mu.Lock()
	t.at, t.timed = 0, true
	t.mu.Unlock()
	p.work.Add(partition)
}

// begin notes that a promotion begins, and returns whether the timer asked for it. If a beat did, the timer is not needed any more:
// the answer says what is due next.
func (p *promoter) begin(partition int) (timed bool) {
	t := &p.timing[partition]
	t.mu.Lock()
	defer t.mu.Unlock()
	timed, t.timed = t.timed, false
	if t.at != 0 && t.timer.Stop() {
		t.at = 0
	}
	t.last = p.clock.Now()
	return timed
}

// adapt notes whether a promotion found anything to do: if not, somebody else was faster.
func (p *promoter) adapt(partition int, timed, found bool) {
	t := &p.timing[partition]
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case found:
		t.spread = max(t.spread/2, minPromotionSpread)
	case timed:
		t.spread = min(2*t.spread, p.cfg.beat)
	}
}

// promote requeues one batch of a partition, and returns the delay before the next. Without a session it does nothing: the timer may
// ring when the service has been stopped to be changed.
func (p *promoter) promote(ctx context.Context, partition int) time.Duration {
	timed := p.begin(partition)
	if s, _ := p.partitions[partition].view(); s == nil || s.Remaining() == 0 {
		return workqueue.Idle
	}
	done, err := p.store.Promote(ctx, partition, p.cfg.pipeline.MaxMoves())
	if done.Moved > 0 {
		p.metrics.Observe(metrics.PromotionLateness, done.Late.Seconds())
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("promoting fails", 1, "partition", partition, "err", lease.Explain(err))
	}
	aside := errors.Is(err, lease.ErrSetAside)
	if aside {
		p.metrics.Refused(lease.Blames(err))
	}
	if err != nil && !aside {
		return workqueue.Idle // the next beat reports it again
	}
	p.adapt(partition, timed, done.Moved > 0 || aside)
	if done.Due > 0 {
		return 0
	}
	p.partitions[partition].due.Store(0)
	p.soon(partition, done.Next)
	return workqueue.Idle
}
