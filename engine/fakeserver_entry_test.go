package engine

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// read delivers new entries, or none and a channel that is closed when one comes.
func (s *fakeServer) read(n int, me string, count int) (entries []lease.Entry, wait chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[n]
	if !p.group {
		return nil, nil, errNoGroup
	}
	p.consumers[me] = true
	from, _ := slices.BinarySearchFunc(p.input, p.delivered+1, func(e *fakeEntry, seq int) int { return cmp.Compare(e.seq, seq) })
	for _, e := range p.input[from:] {
		if len(entries) == count {
			break
		}
		p.delivered = e.seq
		p.pending[e.id] = &fakePending{entry: e, consumer: me, since: nowMilli(), deliveries: 1}
		entries = append(entries, lease.Entry{Partition: n, ID: e.id, Body: e.body})
	}
	p.peak = max(p.peak, len(p.pending))
	return entries, p.news, nil
}

// forward copies each entry once, as copy.lua does.
func (s *fakeServer) forward(me string, entries []*lease.Entry, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	home := s.parts[entries[0].Home]
	key := fmt.Sprint(entries[0].Partition, " ", me)
	if !again || home.copied[key] == nil {
		if home.copied == nil {
			home.copied = make(map[string]map[string]bool)
		}
		home.copied[key] = make(map[string]bool)
	}
	for _, x := range entries {
		if !home.copied[key][x.ID] {
			home.copied[key][x.ID] = true
			s.addLocked(home, x.Body)
		}
	}
}

func (s *fakeServer) acquire(n int, p *fakePartition, me string, entries []*lease.Entry, set *lease.Settings) (lease.Status, []lease.Take) {
	until, there := p.sessions[me]
	switch {
	case !there:
		return lease.SessionAbsent, nil
	case until <= nowMilli():
		return lease.SessionLost, nil
	case s.settling(p, set):
		return lease.SessionWait, nil
	}
	takes := make([]lease.Take, len(entries))
	for i, x := range entries {
		takes[i] = s.take(n, p, me, x, set)
	}
	return lease.SessionLive, takes
}

func (s *fakeServer) take(n int, p *fakePartition, me string, x *lease.Entry, set *lease.Settings) lease.Take {
	now := nowMilli()
	pending := p.pendingFor(me, x.ID)
	if pending == nil {
		return lease.Take{Verdict: lease.NotPending}
	}
	held := p.lease(x.Key)
	mine := held != nil && held.consumer == me && held.entry == x.ID
	if pending.entry.gone {
		delete(p.pending, x.ID)
		if mine {
			s.freeLease(p, x.Key)
		}
		return lease.Take{Verdict: lease.Gone}
	}
	if x.NotBefore > now {
		return lease.Take{Verdict: lease.Early, Left: time.Duration(x.NotBefore-now) * time.Millisecond}
	}
	if held != nil && !mine {
		own := held.entry == x.ID
		if !own && (held.waiting == "" || lease.CompareIDs(x.ID, held.waiting) > 0) {
			if held.waiting == "" {
				s.signal(p, lease.Signal{Kind: lease.SignalAnnounced, Items: []lease.SignalItem{{Stream: x.Stream, Token: api.Token(held.token)}}})
			}
			held.waiting = x.ID
		}
		return lease.Take{Verdict: lease.HeldByOne, Left: time.Duration(held.until-now) * time.Millisecond,
			Holder: held.consumer + " " + strconv.FormatUint(held.token, 10), Own: own}
	}
	s.granted(n, me, x.ID, x.Stream)
	p.token = max(p.token+1, uint64(time.Now().UnixMicro()))
	p.leases[x.Key] = &fakeLease{consumer: me, token: p.token, entry: x.ID, until: now + set.LeaseTTL.Milliseconds()}
	pending.since, pending.deliveries = now, lease.HeldDeliveries
	take := lease.Take{Verdict: lease.Acquired, Token: api.Token(p.token)}
	p.checkpoints.handOver(x.Key, &take)
	return take
}

func (s *fakeServer) done(p *fakePartition, me string, r *lease.Disposition) lease.Verdict {
	held := p.lease(r.Key)
	mine := held != nil && held.consumer == me && held.entry == r.Entry && strconv.FormatUint(held.token, 10) == r.Token
	pending := p.pendingFor(me, r.Entry)
	switch {
	case r.IfShut != "" && (mine && held.shut != r.IfShut || held == nil && pending != nil):
		return lease.NotShut
	case pending == nil && mine && p.pending[r.Entry] == nil:
		s.freeLease(p, r.Key)
		if e := p.entry(r.Entry); e != nil {
			p.drop(e)
		}
		return lease.Finished
	case pending == nil:
		if mine {
			s.freeLease(p, r.Key)
		}
		return lease.NotPending
	case held != nil && !mine && r.Token != "":
		return lease.Owned
	}
	delete(p.pending, r.Entry)
	p.drop(pending.entry)
	if mine {
		s.freeLease(p, r.Key)
	}
	return lease.Finished
}

// shut marks a lease as shut.lua does.
func (s *fakeServer) shut(p *fakePartition, me string, l *lease.Lease, open bool) (lease.Verdict, string) {
	held := p.lease(l.Key())
	switch {
	case held == nil:
		return lease.Missing, ""
	case held.consumer != me || held.entry != l.Entry() || held.token != uint64(l.Token()):
		return lease.Lost, ""
	}
	held.shut = ""
	if !open {
		s.marks++
		held.shut = fmt.Sprintf("shut=%d@%s", s.marks, s.run)
	}
	return lease.Kept, held.shut
}

func (s *fakeServer) keep(p *fakePartition, me string, x *lease.Keepable) lease.Verdict {
	held := p.lease(x.Key)
	if x.Token != "" && (held == nil || held.consumer != me || held.entry != x.Entry || strconv.FormatUint(held.token, 10) != x.Token) {
		return lease.Lost
	}
	pending, e := p.pending[x.Entry], p.entry(x.Entry)
	switch {
	case pending != nil && pending.consumer != me && x.Token == "":
		return lease.Lost
	case e == nil:
		return lease.Gone
	case pending != nil && pending.consumer == me:
		return lease.Kept
	case pending == nil && e.seq > p.delivered:
		return lease.Undelivered
	}
	p.pending[x.Entry] = &fakePending{entry: e, consumer: me, since: nowMilli(), deliveries: lease.HeldDeliveries}
	return lease.PendingAgain
}

func (s *fakeServer) restore(p *fakePartition, me string, r *lease.Disposition, m *lease.Memory) lease.Verdict {
	if x := p.pending[r.Entry]; x != nil && x.consumer != me {
		return lease.NotPending
	}
	e, verdict := p.entry(r.Entry), lease.Moved
	if e == nil && m.Stream != "" && p.restored[r.Entry] {
		return lease.FromMemory
	}
	if e == nil && m.Stream != "" {
		p.restored[r.Entry] = true
		e, verdict = &fakeEntry{id: r.Entry, body: fakeBody(m.Stream)}, lease.FromMemory
	}
	if e == nil {
		delete(p.pending, r.Entry)
		return lease.Gone
	}
	p.pending[r.Entry] = &fakePending{entry: e, consumer: me, deliveries: 1}
	if v := s.requeue(p, me, r); v != lease.Moved {
		return v
	}
	return verdict
}

func (s *fakeServer) requeue(p *fakePartition, me string, r *lease.Disposition) lease.Verdict {
	held := p.lease(r.Key)
	mine := held != nil && held.consumer == me && held.entry == r.Entry
	if mine && r.Token != lease.AnyToken && strconv.FormatUint(held.token, 10) != r.Token {
		return lease.Owned
	}
	if mine {
		defer s.freeLease(p, r.Key)
	}
	pending := p.pendingFor(me, r.Entry)
	if pending == nil {
		return lease.NotPending
	}
	delete(p.pending, r.Entry)
	if pending.entry.gone {
		return lease.Gone
	}
	if r.Dest == lease.ToReference {
		p.dead = append(p.dead, &fakeEntry{id: r.Entry, body: []rueidis.XRangeFieldValue{
			{Field: lease.FieldReference, Value: r.Entry}, {Field: lease.FieldReason, Value: r.Reason},
		}})
		return lease.Referred
	}
	var copied []rueidis.XRangeFieldValue
	for _, f := range pending.entry.body {
		if r.Retries != lease.KeepCount && f.Field == lease.FieldRetries || f.Field == lease.FieldNotBefore {
			continue
		}
		copied = append(copied, f)
	}
	if r.Retries > 0 {
		copied = append(copied, rueidis.XRangeFieldValue{Field: lease.FieldRetries, Value: strconv.Itoa(r.Retries)})
	}
	due := nowMilli() + r.Delay.Milliseconds()
	if r.Delay >= 10*time.Second {
		due = (due + 999) / 1000 * 1000 // as due_after in entry.lua
	}
	due = max(r.At, due)
	switch {
	case r.Dest == lease.ToDeadLetters:
		copied = append(copied, rueidis.XRangeFieldValue{Field: lease.FieldReason, Value: r.Reason})
		p.dead = append(p.dead, &fakeEntry{id: r.Entry, body: copied})
	case r.Dest == lease.ToLater && due > nowMilli():
		p.later = append(p.later, &fakeLater{due: due, body: copied})
		p.delayed = due - nowMilli()
	case r.Dest == lease.ToInput, r.Dest == lease.ToLater:
		s.addLocked(p, copied)
	default:
		panic(fmt.Sprintf("requeue to %q", r.Dest))
	}
	p.drop(pending.entry)
	return lease.Moved
}

func (s *fakeServer) promote(p *fakePartition, limit int) (done lease.Promotion) {
	now := nowMilli()
	slices.SortStableFunc(p.later, func(a, b *fakeLater) int { return cmp.Compare(a.due, b.due) })
	for len(p.later) > 0 && p.later[0].due <= now && done.Moved < limit {
		s.addLocked(p, p.later[0].body)
		done.Late = max(done.Late, time.Duration(now-p.later[0].due)*time.Millisecond)
		p.later = p.later[1:]
		done.Moved++
	}
	done.Due, done.Next = p.lookAhead()
	return done
}

// lookAhead is the function of that name in later.lua.
func (p *fakePartition) lookAhead() (due int, next time.Duration) {
	now, first := nowMilli(), int64(math.MaxInt64)
	for _, x := range p.later {
		if x.due <= now {
			due++
		}
		first = min(first, x.due)
	}
	if ahead := time.Duration(first-now) * time.Millisecond; due == 0 && len(p.later) > 0 && first-now <= lease.LookAhead.Milliseconds() {
		next = (ahead + 39*time.Millisecond).Truncate(40 * time.Millisecond)
	}
	return due, next
}

func (s *fakeServer) pendingPage(n int, p *fakePartition, me, after string, count int, idle time.Duration) []lease.PendingEntry {
	var page []lease.PendingEntry
	for _, id := range slices.SortedFunc(maps.Keys(p.pending), lease.CompareIDs) {
		x := p.pending[id]
		since := time.Duration(nowMilli()-x.since) * time.Millisecond
		if x.consumer != me || after != "" && lease.CompareIDs(id, after) <= 0 || since < idle || len(page) == count {
			continue
		}
		e := lease.PendingEntry{Idle: since, Deliveries: x.deliveries, Gone: x.entry.gone}
		e.Partition, e.ID = n, id
		if !e.Gone {
			e.Body = x.entry.body
		}
		page = append(page, e)
	}
	return page
}
