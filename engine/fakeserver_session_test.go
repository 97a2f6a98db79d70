package engine

import (
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

func (s *fakeServer) settling(p *fakePartition, set *lease.Settings) bool {
	return set.Settle && (p.run != s.run || nowMilli() < p.since+p.ttl)
}

// touch is the function of that name in session.lua.
func (s *fakeServer) touch(p *fakePartition, me string, set *lease.Settings, fresh bool) (status lease.Status, settling bool) {
	now, ttl := nowMilli(), set.SessionTTL.Milliseconds()
	if reach := max(ttl, set.Reach.Milliseconds()); reach > p.ttl {
		switch {
		case p.ttl == 0:
			p.firm = fakeFirm{reach, 0}
		case now >= p.firm.at:
			p.firm = fakeFirm{p.ttl, now + p.ttl}
		default:
			p.firm.at = max(p.firm.at, now+p.ttl)
		}
		p.ttl = reach
	}
	changed := false
	if set.Settle {
		if p.run != s.run {
			changed = true
			p.since = now
			if fresh && p.run == "" {
				p.since = 1
			}
			p.run = s.run
			for name, until := range p.sessions {
				if until > 0 {
					p.sessions[name] = now + p.ttl
				}
			}
		}
		settling = now < p.since+p.ttl
	}
	if gap := now - p.beat; p.beat > 0 && !changed && gap > set.Gap.Milliseconds() {
		for name, until := range p.sessions {
			if until > p.beat {
				p.sessions[name] = until + gap
			}
		}
	}
	p.beat = now
	until, there := p.sessions[me]
	switch {
	case !there:
		status = lease.SessionMade
	case until <= now:
		return lease.SessionLost, settling
	default:
		status = lease.SessionLive
	}
	p.sessions[me] = now + ttl
	return status, settling
}

func (s *fakeServer) beatAnswer(p *fakePartition, status lease.Status, set *lease.Settings, settling, alone bool) lease.Beat {
	b := lease.Beat{Status: status, Settling: settling, Time: time.Now().Add(s.ahead).UnixMicro()}
	s.lookForSignals(p, set, alone, &b)
	if set.Settle {
		b.Server = s.run
	}
	now := nowMilli()
	b.Firm = time.Duration(p.firm.ttl) * time.Millisecond
	if now >= p.firm.at {
		b.Firm = time.Duration(p.ttl) * time.Millisecond
	}
	for _, until := range p.sessions {
		if until <= now {
			b.Dead++
		}
	}
	b.Due, b.Next = p.lookAhead()
	return b
}

func (s *fakeServer) open(p *fakePartition, me string, floor uint64, set *lease.Settings) lease.Beat {
	fresh := floor == 0 && !p.group
	p.group = true
	status, settling := s.touch(p, me, set, fresh)
	p.token = max(p.token, floor)
	p.consumers[me] = true
	return s.beatAnswer(p, status, set, settling, false)
}

func (s *fakeServer) renew(p *fakePartition, me string, floor api.Token, batch []*lease.Lease, set *lease.Settings) lease.Renewal {
	status, settling := s.touch(p, me, set, false)
	r := lease.Renewal{Beat: s.beatAnswer(p, status, set, settling, false)}
	if status == lease.SessionLost {
		return r
	}
	p.token = max(p.token, uint64(floor))
	verdicts := make([]byte, len(batch))
	for i, l := range batch {
		held := p.lease(l.Key())
		switch {
		case held == nil && settling:
			verdicts[i] = byte(lease.Missing)
		case held != nil && held.consumer == me && held.token == uint64(l.Token()) && held.entry == l.Entry():
			held.until = nowMilli() + set.LeaseTTL.Milliseconds()
			verdicts[i] = byte(lease.Kept)
			if held.waiting != "" {
				r.Waiting = append(r.Waiting, i)
			}
		default:
			verdicts[i] = byte(lease.Lost)
		}
	}
	r.Verdicts = string(verdicts)
	return r
}

func (s *fakeServer) verify(p *fakePartition, me string, leases []*lease.Lease, set *lease.Settings) string {
	if until := p.sessions[me]; until <= nowMilli() {
		return ""
	}
	settling := s.settling(p, set)
	verdicts := make([]byte, len(leases))
	for i, l := range leases {
		verdicts[i] = byte(lease.Lost)
		held := p.lease(l.Key())
		mine := held != nil && held.consumer == me && held.token == uint64(l.Token()) && held.entry == l.Entry()
		free := held == nil && settling && p.pendingFor(me, l.Entry()) != nil
		if mine || free {
			verdicts[i] = byte(lease.Kept)
			p.leases[l.Key()] = &fakeLease{consumer: me, token: uint64(l.Token()), entry: l.Entry(),
				until: nowMilli() + set.LeaseTTL.Milliseconds()}
			p.token = max(p.token, uint64(l.Token()))
		} else if held == nil && settling && p.pending[l.Entry()] == nil && p.entry(l.Entry()) == nil {
			verdicts[i] = byte(lease.Gone)
		}
	}
	return string(verdicts)
}

func (s *fakeServer) close(p *fakePartition, me string) (left int) {
	if _, there := p.sessions[me]; there {
		p.sessions[me] = 0
	}
	for _, x := range p.pending {
		if x.consumer == me {
			left++
		}
	}
	if left == 0 {
		delete(p.consumers, me)
		delete(p.sessions, me)
	}
	return left
}
