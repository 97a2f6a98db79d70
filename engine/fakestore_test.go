package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

// fakeCall is one call of a store, as it was recorded.
type fakeCall struct {
	at        time.Time
	op        string
	partition int
	consumer  string
	n         int // leases or entries
	batches   int // of a renewal
	entries   []string
	alone     bool
	err       error
	ended     time.Time // zero while it runs
}

// fakeFault is what goes wrong with a call.
type fakeFault struct {
	before time.Duration // delay of the request
	after  time.Duration // delay of the answer
	hang   bool          // no answer comes before the context ends
	skip   bool          // the request does not arrive
	err    error         // in place of the answer
	deaf   chan struct{} // the call does not return before this is closed, whatever its context does; nil: none
}

var (
	faultHang  = fakeFault{hang: true, skip: true} // the request does not arrive, nor does an answer
	faultLose  = fakeFault{hang: true}             // the call is carried out, the answer is lost
	faultError = fakeFault{skip: true, err: errCut}
	faultOOM   = fakeFault{skip: true, err: errOOM}
)

// fakeStore is the store of one engine: it calls a fakeServer, with the faults that a test injects.
type fakeStore struct {
	server *fakeServer
	set    lease.Settings
	every  time.Duration // interval of recovery

	mu    sync.Mutex
	fault func(c *fakeCall) fakeFault // nil: none
	calls []*fakeCall
	quiet bool // calls are not recorded

	origin *fakeStore // the store that records and has the faults, of one made by With; nil: this one
}

var (
	_ store     = (*fakeStore)(nil)
	_ scanStore = fakeScan{}
)

// setFault decides from now on what goes wrong with each call; nil: nothing.
func (s *fakeStore) setFault(f func(c *fakeCall) fakeFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// failAll makes every call fail in the same way.
func (s *fakeStore) failAll(f fakeFault) { s.setFault(func(*fakeCall) fakeFault { return f }) }

// failWhen makes the calls for which a condition holds fail in the same way.
func (s *fakeStore) failWhen(f fakeFault, when func(c *fakeCall) bool) {
	s.setFault(func(c *fakeCall) fakeFault {
		if when(c) {
			return f
		}
		return fakeFault{}
	})
}

// failOnly makes calls of some kinds fail.
func (s *fakeStore) failOnly(f fakeFault, ops ...string) {
	s.failWhen(f, func(c *fakeCall) bool { return slices.Contains(ops, c.op) })
}

// failEntry makes calls of some kinds fail that carry an entry.
func (s *fakeStore) failEntry(f fakeFault, entry string, ops ...string) {
	s.failWhen(f, func(c *fakeCall) bool { return slices.Contains(ops, c.op) && slices.Contains(c.entries, entry) })
}

// takeCalls returns the calls that were recorded since it was last called.
func (s *fakeStore) takeCalls() []fakeCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]fakeCall, len(s.calls))
	for i, c := range s.calls {
		out[i] = *c
	}
	s.calls = nil
	return out
}

// With is the same store with other terms.
func (s *fakeStore) With(t lease.Terms) store {
	other := &fakeStore{server: s.server, set: s.set, every: s.every, origin: s.base()}
	other.set.SessionTTL = cmp.Or(t.SessionTTL, s.set.SessionTTL)
	other.set.LeaseTTL = cmp.Or(t.LeaseTTL, s.set.LeaseTTL)
	other.set.Timeout = cmp.Or(t.Timeout, s.set.Timeout)
	other.set.Reach = t.Reach
	return other
}

func (s *fakeStore) base() *fakeStore {
	if s.origin != nil {
		return s.origin
	}
	return s
}

// do makes one call: the delay of the request, f on the server, the delay of the answer.
func (s *fakeStore) do(ctx context.Context, c fakeCall, f func() error) (err error) {
	if c.op != "read" && c.op != "read on" {
		var cancel context.CancelFunc
		ctx, cancel = bounded(ctx, s.set.Timeout)
		defer cancel()
	}
	s = s.base()
	c.at = time.Now()
	s.mu.Lock()
	if !s.quiet {
		s.calls = append(s.calls, &c)
	}
	fault := fakeFault{}
	if s.fault != nil {
		fault = s.fault(&c)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		c.err, c.ended = err, time.Now()
		s.mu.Unlock()
	}()
	if fault.deaf != nil {
		if !fault.skip {
			err = f()
		}
		<-fault.deaf
		return cmp.Or(fault.err, err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if fault.before > 0 && !backoff.Sleep(ctx, fault.before) {
		return ctx.Err()
	}
	if !fault.skip {
		err = f()
	}
	if fault.after > 0 && !backoff.Sleep(ctx, fault.after) {
		return ctx.Err()
	}
	if fault.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if fault.err != nil {
		return fault.err
	}
	return err
}

// on makes one call to a partition, which is locked meanwhile.
func (s *fakeStore) on(ctx context.Context, op string, p int, consumer string, n int, f func(p *fakePartition) error) error {
	return s.do(ctx, fakeCall{op: op, partition: p, consumer: consumer, n: n}, func() (err error) {
		s.server.with(p, func(p *fakePartition) { err = f(p) })
		return err
	})
}

func (s *fakeStore) Agree(ctx context.Context) error {
	return s.do(ctx, fakeCall{op: "agree", partition: api.NoPartition}, func() error { return s.server.agreement() })
}

func (s *fakeStore) Confirm(ctx context.Context) error {
	return s.do(ctx, fakeCall{op: "confirm", partition: api.NoPartition}, func() error { return s.server.agreement() })
}

func (s *fakeStore) Legacy(ctx context.Context, p int) (alive string, err error) {
	return "", s.on(ctx, "legacy", p, "", 0, func(*fakePartition) error { return nil })
}

func (s *fakeStore) Open(ctx context.Context, p int, consumer string, floor api.Token) (b lease.Beat, err error) {
	err = s.on(ctx, "open", p, consumer, 0, func(p *fakePartition) error {
		b = s.server.open(p, consumer, uint64(floor), &s.set)
		if b.Status != lease.SessionLost {
			s.server.exchange(p.keys.Partition, p, consumer, s.set.Balance)
		}
		return nil
	})
	return b, err
}

func (s *fakeStore) Beat(ctx context.Context, n int, consumer string, alone bool) (b lease.Beat, err error) {
	err = s.do(ctx, fakeCall{op: "beat", partition: n, consumer: consumer, alone: alone}, func() error {
		s.server.with(n, func(p *fakePartition) {
			status, settling := s.server.touch(p, consumer, &s.set, false)
			b = s.server.beatAnswer(p, status, &s.set, settling, alone)
			if !alone && status != lease.SessionLost {
				s.server.exchange(n, p, consumer, s.set.Balance)
			}
		})
		if alone {
			b.Due, b.Next = -1, 0
		}
		return nil
	})
	return b, err
}

func (s *fakeStore) Renew(ctx context.Context, n int, consumer string, floor api.Token, batches [][]*lease.Lease, saves []lease.Savings, out []lease.Renewal) []lease.Renewal {
	c := fakeCall{op: "renew", partition: n, consumer: consumer, batches: len(batches)}
	for _, batch := range batches {
		c.n += len(batch)
		for _, l := range batch {
			c.entries = append(c.entries, l.Entry())
		}
	}
	var answers []lease.Renewal
	err := s.do(ctx, c, func() error {
		s.server.with(n, func(p *fakePartition) {
			for i, batch := range batches {
				a := s.server.renew(p, consumer, floor, batch, &s.set)
				if a.Status != lease.SessionLost {
					s.server.exchange(n, p, consumer, s.set.Balance)
				}
				if saves != nil && a.Status != lease.SessionLost {
					if a.SaveErr = p.checkpoints.refuse; a.SaveErr == nil {
						a.Saved = s.server.save(p, consumer, saves[i])
						p.checkpoints.rides += len(saves[i].Items)
					}
				}
				answers = append(answers, a)
			}
		})
		return nil
	})
	if err != nil {
		answers = make([]lease.Renewal, len(batches))
		for i := range answers {
			answers[i].Err = err
		}
	}
	return append(out, answers...)
}

func (s *fakeStore) Extend(ctx context.Context, consumer string, leases []*lease.Lease) []lease.Verdict {
	verdicts := make([]lease.Verdict, len(leases))
	if len(leases) == 0 {
		return verdicts
	}
	n := leases[0].Partition()
	err := s.on(ctx, "extend", n, consumer, len(leases), func(p *fakePartition) error {
		for i, l := range leases {
			switch held := p.lease(l.Key()); {
			case held == nil:
				verdicts[i] = lease.Missing
			case held.consumer != consumer || held.token != uint64(l.Token()) || held.entry != l.Entry():
				verdicts[i] = lease.Lost
			default:
				held.until = nowMilli() + s.set.LeaseTTL.Milliseconds()
				verdicts[i] = lease.Kept
			}
		}
		return nil
	})
	if err != nil {
		clear(verdicts)
	}
	return verdicts
}

func (s *fakeStore) Verify(ctx context.Context, p int, consumer string, leases []*lease.Lease, saves lease.Savings) (answer lease.Verified, err error) {
	err = s.on(ctx, "verify", p, consumer, len(leases), func(p *fakePartition) error {
		answer.Verdicts = s.server.verify(p, consumer, leases, &s.set)
		if len(saves.Items) > 0 && answer.Verdicts != "" {
			answer.Saved = s.server.save(p, consumer, saves)
		}
		return nil
	})
	return answer, err
}

func (s *fakeStore) Attend(ctx context.Context, n int, consumer string) (pending int, err error) {
	err = s.on(ctx, "attend", n, consumer, 0, func(p *fakePartition) error {
		if !p.group {
			return errNoGroup
		}
		p.consumers[consumer] = true
		for _, x := range p.pending {
			if x.consumer == consumer {
				pending++
			}
		}
		return nil
	})
	return pending, err
}

func (s *fakeStore) Close(ctx context.Context, p int, consumer string) (left int, err error) {
	err = s.on(ctx, "close", p, consumer, 0, func(p *fakePartition) error {
		left = s.server.close(p, consumer)
		p.leave(consumer)
		return nil
	})
	return left, err
}

// bounded gives a call the timeout that every call of the real store has.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}
