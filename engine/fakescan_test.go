package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

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

func (s fakeScan) Tally(context.Context, int, string) error { return nil }

// Wishes are those of the server.
func (s fakeScan) Wishes(ctx context.Context) (all []scan.Wish, err error) {
	err = s.on(ctx, "wishes", 0, "", 0, func(*fakePartition) error {
		all = slices.Clone(s.server.wishes)
		return nil
	})
	return all, err
}

func (s fakeScan) Tidy(context.Context, int, string) (int, error) { return 0, nil }

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

// Requeue finds nothing; it is tested on real servers.
func (s fakeScan) Requeue(context.Context, int, string, string, func(string) bool) error {
	return api.ErrNotAnnounced
}

// Backlog counts nothing; it is tested on real servers.
func (s fakeScan) Backlog(_ context.Context, p, _ int) (scan.Backlog, error) {
	return scan.Backlog{Partition: p, Stranded: -1, WithoutBody: -1, LagBy: scan.LagEstimated}, nil
}

func (s fakeScan) EndRuns(ctx context.Context, n int, runs []string) (ended int, err error) {
	err = s.on(ctx, "end runs", n, "", 0, func(p *fakePartition) error {
		now := nowMilli()
		for name, until := range p.sessions {
			for _, run := range runs {
				if until > now && (name == run || strings.HasPrefix(name, run+"-")) {
					p.sessions[name] = now
					ended++
				}
			}
		}
		return nil
	})
	return ended, err
}
