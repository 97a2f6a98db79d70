package engine

import (
	"context"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

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
			if status == lease.SessionLive {
				s.server.exchange(n, p, consumer, s.set.Balance)
			}
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

func (s *fakeStore) Done(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error) {
	return s.returns(ctx, "done", p, consumer, items, s.server.done)
}

func (s *fakeStore) Shut(ctx context.Context, n int, consumer string, l *lease.Lease, open bool) (verdict lease.Verdict, mark string, err error) {
	err = s.on(ctx, "shut", n, consumer, 1, func(p *fakePartition) error {
		verdict, mark = s.server.shut(p, consumer, l, open)
		return nil
	})
	return verdict, mark, err
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
	err = s.do(ctx, c, func() (refused error) {
		s.server.with(n, func(p *fakePartition) {
			if p.checkpoints.moving {
				refused = errTryAgain
				return
			}
			for i := range items {
				if refuse := s.server.refuse; refuse != nil {
					if why := refuse(&items[i]); why != "" {
						out = append(out, lease.Outcome{Verdict: lease.Refused, Reason: why})
						continue
					}
				}
				p.delayed = 0
				mine := p.holds(consumer, &items[i])
				o := lease.Outcome{Verdict: f(p, consumer, &items[i])}
				if o.Verdict == lease.Finished || o.Verdict == lease.Moved {
					p.checkpoints.leave(&items[i], &o, mine)
				}
				if p.delayed > 0 && o.Verdict == lease.Moved {
					o.Reason = strconv.FormatInt(p.delayed, 10)
				}
				out = append(out, o)
			}
		})
		return refused
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *fakeStore) Promote(ctx context.Context, p, limit int) (done lease.Promotion, err error) {
	err = s.on(ctx, "promote", p, "", limit, func(p *fakePartition) error {
		done = s.server.promote(p, limit)
		return nil
	})
	return done, err
}
