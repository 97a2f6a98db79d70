package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// recoveryStore is what a recoverer asks of Redis. scan.Store is the real one.
type recoveryStore interface {
	Turn(ctx context.Context, p int, me string) (bool, error)
	Dead(ctx context.Context, p int, me string, adopt bool) ([]string, error)
	Tidy(ctx context.Context, p int, me string) (deleted int, err error)
	Tally(ctx context.Context, p int, me string) error
	Recover(ctx context.Context, p int, me, dead string) (scan.Recovered, error)
	Requeue(ctx context.Context, p int, me, stream string, own func(consumer string) bool) error
}

// serverGate keeps work that can wait away from servers that do not answer.
type serverGate interface {
	// allow reports whether the server of a partition may be called now.
	allow(partition int) bool
	// asked records the outcome of a call that was allowed.
	asked(partition int, err error)
}

// lookDelays are the delays between looks at one dead consumer: somebody else may have to recover it.
var lookDelays = backoff.Exponential{First: time.Second, Max: 30 * time.Second}

// recovererConfig is what a recoverer needs. All are set.
type recovererConfig struct {
	store      recoveryStore
	past       *predecessors
	partitions []*partition
	lane       func(partition int) int
	gate       serverGate
	holdsOff   func(p *partition) bool                                        // whether a maintenance window holds off recovery
	isRetiring func(partition int, consumer string) bool                      // whether this process requeues for that consumer itself
	mayRecover func(ctx context.Context, partition int, consumer string) bool // whether no legacy consumer is in the way
	measure    func(ctx context.Context, partition int)                       // measures the backlog
	left       func(ctx context.Context, partition int, consumer string)      // is called before a dead consumer is recovered
}

// recoverer recovers what dead consumers left: soon after a beat has reported one, and at an interval as a safety net. It has
// goroutines of its own, so it never delays renewals.
type recoverer struct {
	*env
	recovererConfig
	work      *workqueue.Queue
	takeovers *takeovers

	mu struct {
		sync.Mutex
		parts []recoveryState // by partition
	}
}

// recoveryState is when a partition is looked at next.
type recoveryState struct {
	alarm int64            // because a beat reported dead sessions; 0: none did
	full  int64            // for the safety net; 0: recovery has not begun
	tried map[string]tried // dead consumers that were looked at
}

// tried is when a dead consumer may be looked at again.
type tried struct {
	next   int64
	looks  int // counted by delays
	delays backoff.Exponential
}

func newRecoverer(ctx context.Context, e *env, c recovererConfig) *recoverer {
	r := &recoverer{env: e, recovererConfig: c, takeovers: newTakeovers(e)}
	r.mu.parts = make([]recoveryState, len(c.partitions))
	for n := range r.mu.parts {
		r.mu.parts[n].tried = make(map[string]tried)
	}
	r.work = workqueue.New(ctx, len(c.partitions), 1, c.lane, r.run)
	return r
}

// begin schedules the first look at every partition, spread over a beat.
func (r *recoverer) begin() {
	now := r.clock.Now()
	r.mu.Lock()
	for n := range r.mu.parts {
		r.mu.parts[n].full = now + int64(float64(r.cfg.beat)*r.random())
	}
	r.mu.Unlock()
	for n := range r.partitions {
		r.work.Add(n)
	}
}

// alarm is called when a beat has reported dead sessions. All processes find out at about the same time, so each waits a random
// part of a quarter of a beat.
func (r *recoverer) alarm(partition int) {
	r.mu.Lock()
	s := &r.mu.parts[partition]
	first := s.alarm == 0
	if first {
		s.alarm = r.clock.Now() + int64(float64(r.cfg.beat)/4*r.random())
	}
	r.mu.Unlock()
	if first {
		r.work.Add(partition)
	}
}

// lookNow schedules an immediate full look at a partition. Before begin it does nothing.
func (r *recoverer) lookNow(partition int) {
	r.mu.Lock()
	s := &r.mu.parts[partition]
	begun := s.full != 0
	if begun {
		s.full = r.clock.Now()
	}
	r.mu.Unlock()
	if begun {
		r.work.Add(partition)
	}
}

// run looks at a partition if that is due, and returns the delay before the next look.
func (r *recoverer) run(ctx context.Context, partition int) time.Duration {
	now := r.clock.Now()
	r.mu.Lock()
	s := &r.mu.parts[partition]
	begun := s.full != 0
	alarmed, full := s.alarm != 0 && now >= s.alarm, begun && now >= s.full
	if alarmed {
		s.alarm = 0
	}
	if full {
		s.full = now + int64(float64(r.cfg.recovery.Interval)*(0.9+0.2*r.random()))
	}
	r.mu.Unlock()
	proven := begun && r.past.due(partition, now)
	if alarmed || full || proven {
		r.look(ctx, r.partitions[partition], full, proven)
	}
	return r.next(partition)
}

// next returns the delay before the next look.
func (r *recoverer) next(partition int) time.Duration {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.mu.parts[partition]
	at := s.full
	if s.alarm != 0 {
		at = min(at, s.alarm)
	}
	if proven := r.past.at(partition); proven != 0 && at != 0 {
		at = min(at, proven)
	}
	if at == 0 {
		return workqueue.Idle
	}
	return max(time.Duration(at-now), time.Millisecond)
}

// look recovers the dead consumers of a partition. A full look also adopts consumers that have no session, if it is this
// process's turn. With proven, predecessors that are proven to have ended are among the dead.
func (r *recoverer) look(ctx context.Context, p *partition, full, proven bool) {
	var err error
	s, _ := p.view()
	if s == nil || s.Remaining() == 0 || r.holdsOff(p) || !r.gate.allow(p.number) {
		return
	}
	defer func() { r.gate.asked(p.number, err) }()
	if proven {
		if err = r.past.end(ctx, p.number); err != nil {
			r.failed(ctx, p, err)
		}
	}
	adopt := false
	if full {
		if adopt, err = r.store.Turn(ctx, p.number, s.Consumer()); err != nil {
			r.failed(ctx, p, err)
		}
	}
	if adopt {
		defer r.measure(ctx, p.number)
	}
	var dead []string
	dead, err = r.store.Dead(ctx, p.number, s.Consumer(), adopt)
	if err != nil {
		r.failed(ctx, p, err)
		return
	}
	if adopt {
		defer r.tidy(ctx, p, s.Consumer())
	}
	r.forget(p, dead)
	for _, name := range dead {
		// This process requeues what its own lost sessions left, without counting a crash.
		if r.isRetiring(p.number, name) || !r.mayTry(p, name) || !r.mayRecover(ctx, p.number, name) {
			continue
		}
		if !r.recover(ctx, p, s.Consumer(), name) {
			return
		}
	}
}

// tidy deletes checkpoints that nobody needs any more, and adds up again what the consumers of the partition have on record.
func (r *recoverer) tidy(ctx context.Context, p *partition, me string) {
	if _, err := r.store.Tidy(ctx, p.number, me); err != nil && ctx.Err() == nil {
		r.log.Warn("old checkpoints are not deleted", 1, "partition", p.number, "err", lease.Explain(err))
	}
	err := r.store.Tally(ctx, p.number, me)
	switch code, _ := lease.Refusal(err); {
	case err == nil, ctx.Err() != nil:
	case code == "NOPERM", code == "TRYAGAIN":
		// Beats report the missing right, and a slot does not migrate forever.
		r.log.Debug("the sums of the balance are not checked", "partition", p.number, "err", err)
	default:
		r.log.Warn("the sums of the balance are not checked", 1, "partition", p.number, "err", lease.Explain(err))
	}
}

// recover recovers one dead consumer. It reports whether to go on with the next one.
func (r *recoverer) recover(ctx context.Context, p *partition, me, name string) bool {
	began := r.clock.Now()
	r.left(ctx, p.number, name)
	done, err := r.store.Recover(ctx, p.number, me, name)
	r.metrics.Recovered(done)
	r.takeovers.add(name, p.number, began, done)
	if done.Suspected > 0 {
		r.event(api.EventCrashLoop, p.number, nil, fmt.Sprintf("%d announcements of %s have seen more than %d of their owners die, "+
			"and nothing shows which of them are to blame: find out why processes die (memory, a probe, a fault that all streams share); "+
			"they are handed out again after up to %v", done.Suspected, name, r.cfg.recovery.MaxCrashes, r.cfg.recovery.MaxCrashDelay*3/2))
	}
	switch {
	case err == nil:
	case errors.Is(err, scan.ErrBusy):
		r.waitFor(p, name, scan.ClaimTime)
	case errors.Is(err, scan.ErrNotMine):
	default:
		r.failed(ctx, p, err)
		if _, refused := lease.Refusal(err); !refused && !errors.Is(err, scan.ErrRefused) {
			return false // no answer: beats report the dead again once the server answers
		}
	}
	return ctx.Err() == nil
}

// requeue requeues the announcement of one stream that a dead consumer left in a partition; see Engine.Requeue.
func (r *recoverer) requeue(ctx context.Context, partition int, stream string) error {
	s, _ := r.partitions[partition].view()
	if s == nil || s.Remaining() == 0 {
		return fmt.Errorf("%w: no session in partition %d", api.ErrNotReady, partition)
	}
	err := r.store.Requeue(ctx, partition, s.Consumer(), stream, func(consumer string) bool {
		return r.isRetiring(partition, consumer)
	})
	switch {
	case err == nil:
		r.metrics.Recovered(scan.Recovered{Entries: 1})
	case errors.Is(err, scan.ErrDeadLetter):
		r.metrics.Recovered(scan.Recovered{Entries: 1, DeadLetters: 1})
	}
	return err
}

// waitFor defers the next look at a dead consumer that another process recovers, in case that process dies, too.
func (r *recoverer) waitFor(p *partition, name string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.parts[p.number].tried[name] = tried{
		next: r.clock.Now() + int64(d), looks: 1, delays: backoff.Exponential{First: d, Max: lookDelays.Max},
	}
}

// forget drops what is known of consumers that are no longer listed.
func (r *recoverer) forget(p *partition, dead []string) {
	listed := make(map[string]bool, len(dead))
	for _, name := range dead {
		listed[name] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.mu.parts[p.number].tried {
		if !listed[name] {
			delete(r.mu.parts[p.number].tried, name)
		}
	}
}

// mayTry reports whether a look at a dead consumer is due; if so, it schedules the next one, with a longer delay.
func (r *recoverer) mayTry(p *partition, name string) bool {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.mu.parts[p.number].tried[name]
	if now < t.next {
		return false
	}
	if t.looks == 0 {
		t.delays = lookDelays
	}
	t.looks++
	t.next = now + int64(t.delays.Delay(t.looks, 0))
	r.mu.parts[p.number].tried[name] = t
	return true
}

func (r *recoverer) failed(ctx context.Context, p *partition, err error) {
	if ctx.Err() == nil {
		r.log.Warn("recovery fails", 1, "partition", p.number, "err", lease.Explain(err))
	}
}
