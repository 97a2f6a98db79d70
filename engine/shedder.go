package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// shedderParts are what a shedder works with. All are set.
type shedderParts struct {
	balancer  *balancer
	table     *lease.Table
	ownership *ownership
	draining  func() bool
}

// shedder gives streams back that this process holds too much of, or all of them when it is to be emptied. The balancer says how things
// are, package balance whether and how fast to give; the shedder chooses the streams and notifies their owners. One loop runs it, and
// only that uses its fields.
type shedder struct {
	*env
	shedderParts
	kick    chan struct{}
	decide  *balance.Shedder
	meter   balance.Meter
	pace    balance.Pace
	nextAt  int64 // when to decide again
	leaving []departure
	next    []*lease.Lease // who leave next, the one that leaves first at the end
	listed  int64          // when next was filled
}

// departure is a stream whose owner was notified that it is to leave.
type departure struct {
	lease *lease.Lease
	at    int64
}

const (
	// shedEvery is how often streams are given at most, while some are to be.
	shedEvery = 100 * time.Millisecond
	// shedAtATime is how many are given at a time, unless that takes longer than a beat. They travel in the same few calls, each of which
	// costs the server as much as a stream or two, and find new owners within some 10 ms.
	shedAtATime = balance.Unanswered
	// listEvery is how often it is looked which streams are to leave next. That goes through all that are held.
	listEvery = time.Second
)

func newShedder(e *env, parts shedderParts) *shedder {
	return &shedder{
		env: e, shedderParts: parts, kick: make(chan struct{}, 1), decide: balance.NewShedder(e.cfg.balance, e.random),
	}
}

// nudge makes the loop look now.
func (s *shedder) nudge() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// loop looks once a beat, and more often while streams are given, until ctx ends.
func (s *shedder) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.kick:
		}
		timer.Reset(s.look())
	}
}

// look gives what is to be given now, and returns when to look again.
func (s *shedder) look() time.Duration {
	now := s.clock.Now()
	if s.draining() {
		return s.cfg.beat
	}
	young := s.forget(now)
	held := s.table.Len()
	evacuates, from := s.balancer.evacuating()
	pace := s.pace
	switch {
	case evacuates:
		pace = balance.Pace{Rate: s.cfg.balance.Budget}
		if now < from || s.balancer.frozen() {
			pace.Rate = 0 // the others are about to make room, or operators have stopped all moving
		}
	case now >= s.nextAt:
		s.nextAt = now + int64(s.cfg.beat)
		s.pace = s.decide.Look(s.balancer.look(held))
		s.balancer.notePace(s.pace)
		pace = s.pace
	}
	why := metrics.MoveShed
	if evacuates {
		why = metrics.MoveWish
	}
	if n := s.meter.Next(time.Duration(now), pace, held, young); n > 0 {
		s.release(now, n, evacuates, why)
	}
	if pace.Rate > 0 {
		step := time.Duration(shedAtATime / pace.Rate * float64(time.Second))
		return min(max(step, shedEvery), s.cfg.beat)
	}
	if evacuates {
		return shedEvery
	}
	return s.cfg.beat
}

// forget drops those that have left, and returns how many are still expected to.
func (s *shedder) forget(now int64) (young int) {
	s.leaving = slices.DeleteFunc(s.leaving, func(d departure) bool { return !d.lease.Held() })
	for _, d := range s.leaving {
		if now < d.at+int64(balance.AskAgain) {
			young++
		}
	}
	return young
}

// release notifies the owners of n streams. Those that do not answer are bounded, too, however long they have been asked for.
func (s *shedder) release(now int64, n int, all bool, why metrics.MoveReason) {
	reason := api.ErrRebalanced
	if all {
		reason = api.ErrDraining
	}
	n = min(n, int(s.cfg.balance.Budget)+balance.Unanswered-len(s.leaving))
	if len(s.next) < n && now >= s.listed+int64(listEvery) {
		s.list(now, all)
	}
	for ; n > 0 && len(s.next) > 0; s.next = s.next[:len(s.next)-1] {
		l := s.next[len(s.next)-1]
		if !s.ownership.release(l, reason) {
			continue
		}
		s.leaving = append(s.leaving, departure{l, now})
		s.metrics.Inc(metrics.Rebalanced.With(why))
		n--
	}
}

// list fills next: for a second, from the partitions in proportion to what is held in each, those held longest. Streams that were
// taken a short time ago stay.
func (s *shedder) list(now int64, all bool) {
	s.listed = now
	counts := s.table.Counts(nil)
	byPartition := make([][]*lease.Lease, len(counts))
	for _, l := range s.table.All() {
		old := all || now >= l.Since()+int64(balance.MinHold)
		if old && l.Held() && !l.Releasing() {
			p := l.Session().Partition()
			byPartition[p] = append(byPartition[p], l)
		}
	}
	s.next = s.next[:0]
	for p, n := range balance.Spread(int(s.cfg.balance.Budget)+balance.Unanswered, counts) {
		of := byPartition[p]
		slices.SortFunc(of, func(a, b *lease.Lease) int { return cmp.Compare(a.Since(), b.Since()) })
		s.next = append(s.next, of[:min(n, len(of))]...)
	}
	slices.SortFunc(s.next, func(a, b *lease.Lease) int { return cmp.Compare(b.Since(), a.Since()) })
}
