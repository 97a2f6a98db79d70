package engine

import (
	"context"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
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
	before time.Duration // on the way there
	after  time.Duration // on the way back
	hang   bool          // nothing comes back before the context ends
	skip   bool          // it does not arrive
	err    error         // in the place of the answer
}

var (
	faultHang  = fakeFault{hang: true, skip: true} // nothing arrives, nothing comes back
	faultLose  = fakeFault{hang: true}             // it runs, the answer is lost
	faultError = fakeFault{skip: true, err: errCut}
	faultOOM   = fakeFault{skip: true, err: errOOM}
)

// fakeStore is the store of one engine: calls on a fakeServer, with the faults that a test wants.
type fakeStore struct {
	server *fakeServer
	set    lease.Settings
	every  time.Duration // interval of scans

	mu    sync.Mutex
	fault func(c *fakeCall) fakeFault // nil: none
	calls []*fakeCall
	quiet bool // do not record

	origin *fakeStore // that records and has the faults, of one on other terms; nil: this one
}

var (
	_ store     = (*fakeStore)(nil)
	_ scanStore = fakeScan{}
)

// setFault puts a fault in for every call from now on; f sees each call.
func (s *fakeStore) setFault(f func(c *fakeCall) fakeFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// failAll has every call meet the same fault.
func (s *fakeStore) failAll(f fakeFault) { s.setFault(func(*fakeCall) fakeFault { return f }) }

// failOnly has a fault meet calls of one kind.
func (s *fakeStore) failOnly(f fakeFault, ops ...string) {
	s.setFault(func(c *fakeCall) fakeFault {
		for _, op := range ops {
			if c.op == op {
				return f
			}
		}
		return fakeFault{}
	})
}

// takeCalls returns what was recorded since the last time.
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

// With is the same store on other terms.
func (s *fakeStore) With(t lease.Terms) store {
	other := &fakeStore{server: s.server, set: s.set, every: s.every, origin: s.base()}
	orDefault(&t.SessionTTL, s.set.SessionTTL)
	orDefault(&t.LeaseTTL, s.set.LeaseTTL)
	other.set.SessionTTL, other.set.LeaseTTL, other.set.Reach = t.SessionTTL, t.LeaseTTL, t.Reach
	orDefault(&t.Timeout, s.set.Timeout)
	other.set.Timeout = t.Timeout
	return other
}

func (s *fakeStore) base() *fakeStore {
	if s.origin != nil {
		return s.origin
	}
	return s
}

// do makes one call: the way there, f on the server, the way back.
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

// on makes one call on a partition, locked.
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
		return nil
	})
	return b, err
}

func (s *fakeStore) Beat(ctx context.Context, n int, consumer string, alone bool) (b lease.Beat, err error) {
	err = s.do(ctx, fakeCall{op: "beat", partition: n, consumer: consumer, alone: alone}, func() error {
		s.server.with(n, func(p *fakePartition) {
			status, settling := s.server.touch(p, consumer, &s.set, false)
			b = s.server.beatAnswer(p, status, &s.set, settling)
		})
		if alone {
			b.Due = -1
		}
		return nil
	})
	return b, err
}

func (s *fakeStore) Renew(ctx context.Context, n int, consumer string, floor api.Token, batches [][]*lease.Lease, out []lease.Renewal) []lease.Renewal {
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
			for _, batch := range batches {
				answers = append(answers, s.server.renew(p, consumer, floor, batch, &s.set))
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

func (s *fakeStore) Verify(ctx context.Context, p int, consumer string, leases []*lease.Lease) (verdicts string, err error) {
	err = s.on(ctx, "verify", p, consumer, len(leases), func(p *fakePartition) error {
		verdicts = s.server.verify(p, consumer, leases, &s.set)
		return nil
	})
	return verdicts, err
}

func (s *fakeStore) Read(ctx context.Context, n int, consumer string, count int, block time.Duration) (entries []lease.Entry, err error) {
	ctx, cancel := bounded(ctx, block+s.set.Timeout)
	defer cancel()
	err = s.do(ctx, fakeCall{op: "read", partition: n, consumer: consumer, n: count}, func() error {
		timer := time.NewTimer(block)
		defer timer.Stop()
		for {
			var news chan struct{}
			var err error
			entries, news, err = s.server.read(n, consumer, count)
			if err != nil || len(entries) > 0 {
				return err
			}
			select {
			case <-news:
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

func (s *fakeStore) Acquire(ctx context.Context, n int, consumer string, entries []*lease.Entry) (status lease.Status, takes []lease.Take, err error) {
	c := fakeCall{op: "acquire", partition: n, consumer: consumer, n: len(entries)}
	for _, x := range entries {
		c.entries = append(c.entries, x.ID)
	}
	err = s.do(ctx, c, func() (err error) {
		s.server.with(n, func(p *fakePartition) {
			if !p.group {
				err = errNoGroup
				return
			}
			status, takes = s.server.acquire(n, p, consumer, entries, &s.set)
		})
		return err
	})
	if err != nil {
		return lease.SessionLost, nil, err
	}
	return status, takes, nil
}

func (s *fakeStore) ReadOn(ctx context.Context, n int, consumer string, count, bytes int, patience time.Duration) (entries []lease.Entry, more bool, err error) {
	ctx, cancel := bounded(ctx, patience+s.set.Timeout)
	defer cancel()
	err = s.do(ctx, fakeCall{op: "read on", partition: n, consumer: consumer, n: count}, func() error {
		for more = true; more && len(entries) < count && bytes > 0; {
			one, _, err := s.server.read(n, consumer, 1)
			if err != nil {
				return err
			}
			if more = len(one) > 0; more {
				bytes -= one[0].Held()
			}
			entries = append(entries, one...)
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return entries, more, nil
}

func (s *fakeStore) Forward(ctx context.Context, consumer string, entries []*lease.Entry, again bool) (out []lease.Outcome, err error) {
	c := fakeCall{op: "copy", partition: api.NoPartition, consumer: consumer, n: len(entries)}
	for _, x := range entries {
		c.entries = append(c.entries, x.ID)
	}
	err = s.do(ctx, c, func() error {
		s.server.forward(consumer, entries, again)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out = make([]lease.Outcome, len(entries))
	for i := range out {
		out[i].Verdict = lease.Moved
	}
	return out, nil
}

func (s *fakeStore) Whole(ctx context.Context, e *lease.Entry) (lease.Entry, bool, error) {
	err := s.on(ctx, "whole", e.Partition, "", 1, func(*fakePartition) error { return nil })
	return *e, err == nil, err
}

func (s *fakeStore) Pending(ctx context.Context, n int, consumer, after string, count int, idle time.Duration) (page []lease.PendingEntry, err error) {
	err = s.on(ctx, "pending", n, consumer, count, func(p *fakePartition) error {
		if !p.group {
			return errNoGroup
		}
		page = s.server.pendingPage(n, p, consumer, after, count, idle)
		return nil
	})
	return page, err
}

func (s *fakeStore) PendingIDs(ctx context.Context, n int, consumer, after string, count int) (page lease.IDPage, err error) {
	err = s.on(ctx, "ids", n, consumer, count, func(p *fakePartition) error {
		if !p.group {
			return errNoGroup
		}
		if after == "" {
			page.Length, page.Pending = len(p.input), len(p.pending)
			if len(p.input) > 0 {
				page.First = p.input[0].id
			}
		}
		for _, x := range s.server.pendingPage(n, p, consumer, after, count, 0) {
			page.IDs = append(page.IDs, x.ID)
		}
		return nil
	})
	return page, err
}

func (s *fakeStore) Keep(ctx context.Context, n int, consumer string, items []lease.Keepable) (status lease.Status, out []lease.Outcome, err error) {
	c := fakeCall{op: "keep", partition: n, consumer: consumer, n: len(items)}
	for i := range items {
		c.entries = append(c.entries, items[i].Entry)
	}
	err = s.do(ctx, c, func() error {
		s.server.with(n, func(p *fakePartition) {
			if p.sessions[consumer] <= nowMilli() {
				return
			}
			status = lease.SessionLive
			for i := range items {
				o := lease.Outcome{Verdict: lease.Left}
				if i < s.server.keeps || s.server.keeps == 0 {
					o.Verdict = s.server.keep(p, consumer, &items[i])
				}
				out = append(out, o)
			}
		})
		return nil
	})
	if err != nil {
		return lease.SessionLost, nil, err
	}
	return status, out, nil
}

func (s *fakeStore) Restore(ctx context.Context, n int, consumer string, items []lease.Restorable) ([]lease.Outcome, error) {
	returns := make([]lease.Disposition, len(items))
	memories := make(map[*lease.Disposition]*lease.Memory)
	for i := range items {
		returns[i] = items[i].Disposition
		memories[&returns[i]] = &items[i].Memory
	}
	return s.returns(ctx, "restore", n, consumer, returns, func(p *fakePartition, me string, r *lease.Disposition) lease.Verdict {
		return s.server.restore(p, me, r, memories[r])
	})
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

func (s *fakeStore) Done(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error) {
	return s.returns(ctx, "done", p, consumer, items, s.server.done)
}

func (s *fakeStore) Requeue(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error) {
	return s.returns(ctx, "requeue", p, consumer, items, s.server.requeue)
}

func (s *fakeStore) returns(ctx context.Context, op string, n int, consumer string, items []lease.Disposition,
	f func(p *fakePartition, me string, r *lease.Disposition) lease.Verdict) (out []lease.Outcome, err error) {
	c := fakeCall{op: op, partition: n, consumer: consumer, n: len(items)}
	for i := range items {
		c.entries = append(c.entries, items[i].Entry)
	}
	err = s.do(ctx, c, func() error {
		s.server.with(n, func(p *fakePartition) {
			for i := range items {
				if refuse := s.server.refuse; refuse != nil {
					if why := refuse(&items[i]); why != "" {
						out = append(out, lease.Outcome{Verdict: lease.Refused, Reason: why})
						continue
					}
				}
				out = append(out, lease.Outcome{Verdict: f(p, consumer, &items[i])})
			}
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *fakeStore) Promote(ctx context.Context, p, limit int) (moved, due int, err error) {
	err = s.on(ctx, "promote", p, "", limit, func(p *fakePartition) error {
		moved, due = s.server.promote(p, limit)
		return nil
	})
	return moved, due, err
}

func (s *fakeStore) Close(ctx context.Context, p int, consumer string) (left int, err error) {
	err = s.on(ctx, "close", p, consumer, 0, func(p *fakePartition) error {
		left = s.server.close(p, consumer)
		return nil
	})
	return left, err
}

// fakeScan is the scanStore of one engine.
type fakeScan struct{ *fakeStore }

func (s fakeScan) Turn(ctx context.Context, p int, me string) (mine bool, err error) {
	err = s.on(ctx, "turn", p, me, 0, func(p *fakePartition) error {
		if mine = p.scanUntil <= nowMilli(); mine {
			p.scanUntil = nowMilli() + (s.every * 9 / 10).Milliseconds()
		}
		return nil
	})
	return mine, err
}

func (s fakeScan) Dead(ctx context.Context, n int, me string, adopt bool) (dead []string, err error) {
	err = s.on(ctx, "dead", n, me, 0, func(p *fakePartition) error {
		now := nowMilli()
		if p.sessions[me] <= now || s.server.settling(p, &s.set) {
			return nil
		}
		for name := range p.consumers {
			if _, there := p.sessions[name]; adopt && !there {
				p.sessions[name] = now + s.set.SessionTTL.Milliseconds()
			}
		}
		for name, until := range p.sessions {
			if until <= now {
				dead = append(dead, name)
			}
		}
		return nil
	})
	return dead, err
}

func (s fakeScan) Recover(ctx context.Context, n int, me, dead string) (done scan.Recovered, err error) {
	err = s.on(ctx, "recover", n, me, 0, func(p *fakePartition) error {
		until, there := p.sessions[dead]
		if !there || until > nowMilli() || s.server.settling(p, &s.set) {
			return scan.ErrNotMine
		}
		for _, x := range s.server.pendingPage(n, p, dead, "", 1<<20, 0) {
			parsed, err := lease.ParseEntry(s.server.layout, n, x.ID, x.Body)
			key := parsed.Key
			if err != nil {
				key = p.keys.Lease("")
			}
			s.server.requeue(p, dead, &lease.Disposition{Key: key, Entry: x.ID, Token: lease.AnyToken, Dest: lease.ToInput, Retries: lease.KeepCount})
			done.Entries++
		}
		s.server.close(p, dead)
		done.Removed = true
		return nil
	})
	return done, err
}
