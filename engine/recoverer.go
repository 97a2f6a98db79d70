package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// recoveryStore is what the engine asks of Redis about the dead. scan.Store is the real one.
type recoveryStore interface {
	Turn(ctx context.Context, p int, me string) (bool, error)
	Dead(ctx context.Context, p int, me string, adopt bool) ([]string, error)
	Recover(ctx context.Context, p int, me, dead string) (scan.Recovered, error)
	Requeue(ctx context.Context, p int, me, stream string, own func(consumer string) bool) error
	Backlog(ctx context.Context, p, limit int) (scan.Backlog, error)
}

var _ recoveryStore = (*scan.Store)(nil)

// How long a dead consumer is left alone after it was looked at: it may be somebody else's to recover.
const (
	lookAgain     = time.Second
	lookAgainMost = 30 * time.Second
)

// recoverer recovers what dead consumers left: soon after a beat tells of one, and at an interval as the safety net. It
// has a goroutine of its own, so that renewal never feels it.
type recoverer struct {
	e    *Engine
	work *workqueue.Queue

	mu struct {
		sync.Mutex
		parts []recoveryState // by partition
	}
}

// recoveryState is when a partition is looked at next.
type recoveryState struct {
	alarm int64            // after a beat told of the dead; 0: none did
	full  int64            // at the interval
	tried map[string]tried // dead consumers that were looked at
}

type tried struct {
	next  int64
	delay time.Duration
}

func newRecoverer(ctx context.Context, e *Engine) *recoverer {
	c := &recoverer{e: e}
	c.mu.parts = make([]recoveryState, len(e.partitions))
	for n := range c.mu.parts {
		c.mu.parts[n].tried = make(map[string]tried)
	}
	c.work = workqueue.New(ctx, len(e.partitions), 1, e.lanes.of, c.run)
	return c
}

// begin has every partition looked at for the first time, spread over a beat.
func (c *recoverer) begin() {
	now := c.e.clock.Now()
	c.mu.Lock()
	for n := range c.mu.parts {
		c.mu.parts[n].full = now + int64(float64(c.e.cfg.beat)*c.e.random())
	}
	c.mu.Unlock()
	for n := range c.e.partitions {
		c.work.Add(n)
	}
}

// alarm is called when a beat told of dead sessions. Everybody hears of them at about the same time, so each waits a
// random part of a quarter of a beat.
func (c *recoverer) alarm(partition int) {
	c.mu.Lock()
	s := &c.mu.parts[partition]
	first := s.alarm == 0
	if first {
		s.alarm = c.e.clock.Now() + int64(float64(c.e.cfg.beat)/4*c.e.random())
	}
	c.mu.Unlock()
	if first {
		c.work.Add(partition)
	}
}

// lookNow has a partition looked at as a whole.
func (c *recoverer) lookNow(partition int) {
	c.mu.Lock()
	s := &c.mu.parts[partition]
	begun := s.full != 0
	if begun {
		s.full = c.e.clock.Now()
	}
	c.mu.Unlock()
	if begun {
		c.work.Add(partition)
	}
}

// run looks at a partition if it is time to.
func (c *recoverer) run(ctx context.Context, partition int) time.Duration {
	now := c.e.clock.Now()
	c.mu.Lock()
	s := &c.mu.parts[partition]
	alarmed, full := s.alarm != 0 && now >= s.alarm, s.full != 0 && now >= s.full
	if alarmed {
		s.alarm = 0
	}
	if full {
		s.full = now + int64(float64(c.e.cfg.recovery.Interval)*(0.9+0.2*c.e.random()))
	}
	c.mu.Unlock()
	if alarmed || full {
		c.look(ctx, c.e.partitions[partition], full)
	}
	return c.next(partition)
}

// next is how long there is nothing to do.
func (c *recoverer) next(partition int) time.Duration {
	now := c.e.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.parts[partition]
	at := s.full
	if s.alarm != 0 {
		at = min(at, s.alarm)
	}
	if at == 0 {
		return workqueue.Idle
	}
	return max(time.Duration(at-now), time.Millisecond)
}

// look recovers the dead of a partition. With full it also adopts who has no session, if it is this process's turn.
func (c *recoverer) look(ctx context.Context, p *partition, full bool) {
	var err error
	e := c.e
	s, _ := p.view()
	if s == nil || s.Remaining() == 0 || e.maintenance.holdsOff(p) || !e.breakers.allow(p.number) {
		return
	}
	defer func() { e.breakers.asked(p.number, err) }()
	adopt := false
	if full {
		if adopt, err = e.scan.Turn(ctx, p.number, s.Consumer()); err != nil {
			c.failed(ctx, p, err)
		}
	}
	if adopt {
		defer e.measure(ctx, p)
	}
	var dead []string
	dead, err = e.scan.Dead(ctx, p.number, s.Consumer(), adopt)
	if err != nil {
		c.failed(ctx, p, err)
		return
	}
	c.forget(p, dead)
	for _, name := range dead {
		// What this process lost itself goes back by its own hand, and counts no crash.
		if e.completer.IsRetiring(p.number, name) || !c.mayTry(p, name) || !e.legacy.mayRecover(ctx, p.number, name) {
			continue
		}
		if !c.recover(ctx, p, s.Consumer(), name) {
			return
		}
	}
}

// recover recovers one dead consumer. It reports false when it is of no use to go on with the next one.
func (c *recoverer) recover(ctx context.Context, p *partition, me, name string) bool {
	began := time.Now()
	done, err := c.e.scan.Recover(ctx, p.number, me, name)
	c.e.metrics.Recovered(done)
	if done.Entries+done.Gone > 0 {
		c.e.log.Info("recovered a dead consumer", "partition", p.number, "consumer", name, "entries", done.Entries,
			"dead letters", done.DeadLetters, "took", time.Since(began))
	}
	if done.Suspected > 0 {
		c.e.event(api.EventCrashLoop, p.number, nil, fmt.Sprintf("%d announcements of %s have seen more than %d of their owners die, "+
			"and nothing shows which of them are to blame: find out why processes die (memory, a probe, a fault that all streams share); "+
			"they are handed out again after up to %v", done.Suspected, name, c.e.cfg.recovery.MaxCrashes, c.e.cfg.recovery.MaxCrashDelay*3/2))
	}
	switch {
	case err == nil:
	case errors.Is(err, scan.ErrBusy):
		c.waitFor(p, name, scan.ClaimTime)
	case errors.Is(err, scan.ErrNotMine):
	default:
		c.failed(ctx, p, err)
		if _, refused := lease.Refusal(err); !refused && !errors.Is(err, scan.ErrRefused) {
			return false // no answer: the alarm comes again when there are answers
		}
	}
	return ctx.Err() == nil
}

// waitFor has a dead consumer looked at again after a time, in case who recovers it dies too.
func (c *recoverer) waitFor(p *partition, name string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.parts[p.number].tried[name] = tried{next: c.e.clock.Now() + int64(d), delay: d}
}

// forget drops what is known of consumers that are no longer listed.
func (c *recoverer) forget(p *partition, dead []string) {
	listed := make(map[string]bool, len(dead))
	for _, name := range dead {
		listed[name] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.mu.parts[p.number].tried {
		if !listed[name] {
			delete(c.mu.parts[p.number].tried, name)
		}
	}
}

// mayTry reports whether it is time to look at a dead consumer, and backs off for the next time.
func (c *recoverer) mayTry(p *partition, name string) bool {
	now := c.e.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.mu.parts[p.number].tried[name]
	if now < t.next {
		return false
	}
	t.delay = min(max(2*t.delay, lookAgain), lookAgainMost)
	t.next = now + int64(t.delay)
	c.mu.parts[p.number].tried[name] = t
	return true
}

func (c *recoverer) failed(ctx context.Context, p *partition, err error) {
	if ctx.Err() == nil {
		c.e.log.Warn("recovery fails", 1, "partition", p.number, "err", lease.Explain(err))
	}
}
