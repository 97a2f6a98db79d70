package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// fakeServer is a model of a Redis server with the scripts on it, as far as an engine can tell: sessions with deadlines,
// leases with a TTL, the group and its pending entries, later, settling, tokens. Its clock is the bubble's. Several
// engines may share one, each through a fakeStore of its own.
type fakeServer struct {
	layout  *cluster.Layout
	granted func(partition int, consumer, entry, stream string) // runs when a lease is granted

	// keeps is how many entries a call looks at that keeps them; 0: all.
	keeps int

	// refuse says why an entry is not moved, or done; empty, or nil: it is.
	refuse func(r *lease.Disposition) string

	mu    sync.Mutex
	other error  // what the service is instead of what the engines take it for; nil: that
	run   string // id
	runs  int
	seq   int
	parts []*fakePartition
}

func (s *fakeServer) agreement() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.other
}

// setAgreement has the service be another one; nil: as the engines take it for.
func (s *fakeServer) setAgreement(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other = err
}

// fakePartition is what one partition has on the server. Times are milliseconds, as in the scripts.
type fakePartition struct {
	keys      *cluster.Keys
	group     bool
	input     []*fakeEntry
	delivered int // seq of the last entry that the group delivered
	pending   map[string]*fakePending
	consumers map[string]bool
	leases    map[string]*fakeLease
	sessions  map[string]int64
	later     []*fakeLater
	dead      []*fakeEntry
	token     uint64
	beat      int64
	ttl       int64
	firm      fakeFirm
	run       string
	since     int64
	scanUntil int64
	restored  map[string]bool // entries announced from memory
	news      chan struct{}   // closed when input grows
	peak      int             // most entries in pending

	copied map[string]map[string]bool // what copy.lua remembers: IDs by where they come from
}

// fakeFirm is what !firm says: what ttl was before it last grew, and from when on the new one may be relied on.
type fakeFirm struct{ ttl, at int64 }

type fakeEntry struct {
	id   string
	seq  int
	body []rueidis.XRangeFieldValue
	gone bool
}

type fakePending struct {
	entry      *fakeEntry
	consumer   string
	since      int64
	deliveries int
}

type fakeLease struct {
	consumer, entry string
	token           uint64
	waiting         string
	until           int64
}

type fakeLater struct {
	due  int64
	body []rueidis.XRangeFieldValue
}

func newFakeServer(layout *cluster.Layout) *fakeServer {
	s := &fakeServer{layout: layout, granted: func(int, string, string, string) {}}
	for n := range layout.Partitions() {
		p := &fakePartition{keys: layout.Keys(n)}
		p.clear()
		s.parts = append(s.parts, p)
	}
	s.restart(true)
	return s
}

func (p *fakePartition) clear() {
	*p = fakePartition{
		keys: p.keys, news: p.news,
		pending: make(map[string]*fakePending), consumers: make(map[string]bool),
		leases: make(map[string]*fakeLease), sessions: make(map[string]int64), restored: make(map[string]bool),
	}
	if p.news == nil {
		p.news = make(chan struct{})
	}
}

func nowMilli() int64 { return time.Now().UnixMilli() }

// restart is a restart or a failover: the id of the server changes. With loss nothing is left.
func (s *fakeServer) restart(loss bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs++
	s.run = fmt.Sprintf("run%d", s.runs)
	if loss {
		for _, p := range s.parts {
			p.clear()
		}
	}
}

// errorReply is an error reply.
func errorReply(text string) error {
	buf := make([]byte, 7, 16+len(text))
	buf = append(buf, '-')
	buf = binary.BigEndian.AppendUint64(buf, uint64(len(text)))
	buf = append(buf, text...)
	var m rueidis.RedisMessage
	if err := m.CacheUnmarshalView(buf); err != nil {
		panic(err)
	}
	return m.Error()
}

var (
	errNoGroup = errorReply("NOGROUP No such key or consumer group")
	errOOM     = errorReply("OOM command not allowed when used memory > 'maxmemory'.")
	errCut     = errors.New("connection reset by peer")
)

// announcement is the body of an entry as producers write it.
func fakeBody(stream string, fields ...string) []rueidis.XRangeFieldValue {
	text, err := lease.EncodeAnnouncement(stream, []byte(`{"k":"v"}`))
	if err != nil {
		panic(err)
	}
	body := []rueidis.XRangeFieldValue{{Field: lease.FieldAnnouncement, Value: text}}
	for i := 0; i+1 < len(fields); i += 2 {
		body = append(body, rueidis.XRangeFieldValue{Field: fields[i], Value: fields[i+1]})
	}
	return body
}

func (s *fakeServer) announce(streams ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range streams {
		s.addLocked(s.parts[s.layout.Of(stream)], fakeBody(stream))
	}
}

func (s *fakeServer) add(partition int, body []rueidis.XRangeFieldValue) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addLocked(s.parts[partition], body)
}

func (s *fakeServer) addLocked(p *fakePartition, body []rueidis.XRangeFieldValue) string {
	s.seq++
	e := &fakeEntry{id: fmt.Sprintf("%d-%d", nowMilli(), s.seq), seq: s.seq, body: body}
	p.input = append(p.input, e)
	close(p.news)
	p.news = make(chan struct{})
	return e.id
}

// count is the number of entries that the service has anywhere but among the dead letters: G2 says that it never falls
// but for Done.
func (s *fakeServer) count() (undelivered, pending, later, dead int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		for _, e := range p.input {
			if e.seq > p.delivered {
				undelivered++
			}
		}
		pending += len(p.pending)
		later += len(p.later)
		dead += len(p.dead)
	}
	return undelivered, pending, later, dead
}

// leaseOf is the lease of a stream, nil if there is none.
func (s *fakeServer) leaseOf(stream string) *fakeLease {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.layout.Of(stream)
	if l := s.parts[n].lease(s.layout.Keys(n).Lease(stream)); l != nil {
		held := *l
		return &held
	}
	return nil
}

// with runs f on a partition, locked.
func (s *fakeServer) with(partition int, f func(p *fakePartition)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.parts[partition])
}

func (p *fakePartition) lease(key string) *fakeLease {
	l := p.leases[key]
	if l != nil && l.until <= nowMilli() {
		delete(p.leases, key)
		return nil
	}
	return l
}

func (p *fakePartition) pendingFor(consumer, id string) *fakePending {
	if x := p.pending[id]; x != nil && x.consumer == consumer {
		return x
	}
	return nil
}

// drop removes an entry from the input stream.
func (p *fakePartition) drop(e *fakeEntry) {
	e.gone = true
	if i := slices.Index(p.input, e); i >= 0 {
		p.input = slices.Delete(p.input, i, i+1)
	}
}

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

func (s *fakeServer) beatAnswer(p *fakePartition, status lease.Status, set *lease.Settings, settling bool) lease.Beat {
	b := lease.Beat{Status: status, Settling: settling}
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
	for _, x := range p.later {
		if x.due <= now {
			b.Due++
		}
	}
	return b
}

func (s *fakeServer) open(p *fakePartition, me string, floor uint64, set *lease.Settings) lease.Beat {
	fresh := floor == 0 && !p.group
	p.group = true
	status, settling := s.touch(p, me, set, fresh)
	p.token = max(p.token, floor)
	p.consumers[me] = true
	return s.beatAnswer(p, status, set, settling)
}

func (s *fakeServer) renew(p *fakePartition, me string, floor api.Token, batch []*lease.Lease, set *lease.Settings) lease.Renewal {
	status, settling := s.touch(p, me, set, false)
	r := lease.Renewal{Beat: s.beatAnswer(p, status, set, settling)}
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

// read delivers what is new, or nil and what to wait for.
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
			delete(p.leases, x.Key)
		}
		return lease.Take{Verdict: lease.Gone}
	}
	if x.NotBefore > now {
		return lease.Take{Verdict: lease.Early, Left: time.Duration(x.NotBefore-now) * time.Millisecond}
	}
	if held != nil && !mine {
		if held.waiting == "" || lease.CompareIDs(x.ID, held.waiting) > 0 {
			held.waiting = x.ID
		}
		return lease.Take{Verdict: lease.HeldByOne, Left: time.Duration(held.until-now) * time.Millisecond,
			Holder: held.consumer + " " + strconv.FormatUint(held.token, 10)}
	}
	s.granted(n, me, x.ID, x.Stream)
	p.token = max(p.token+1, uint64(time.Now().UnixMicro()))
	p.leases[x.Key] = &fakeLease{consumer: me, token: p.token, entry: x.ID, until: now + set.LeaseTTL.Milliseconds()}
	pending.since, pending.deliveries = now, lease.HeldDeliveries
	return lease.Take{Verdict: lease.Acquired, Token: api.Token(p.token)}
}

func (s *fakeServer) done(p *fakePartition, me string, r *lease.Disposition) lease.Verdict {
	held := p.lease(r.Key)
	mine := held != nil && held.consumer == me && held.entry == r.Entry && strconv.FormatUint(held.token, 10) == r.Token
	pending := p.pendingFor(me, r.Entry)
	switch {
	case pending == nil && mine && p.pending[r.Entry] == nil:
		delete(p.leases, r.Key)
		if e := p.entry(r.Entry); e != nil {
			p.drop(e)
		}
		return lease.Finished
	case pending == nil:
		if mine {
			delete(p.leases, r.Key)
		}
		return lease.NotPending
	case held != nil && !mine && r.Token != "":
		return lease.Owned
	}
	delete(p.pending, r.Entry)
	p.drop(pending.entry)
	if mine {
		delete(p.leases, r.Key)
	}
	return lease.Finished
}

// entry is the body of an entry, nil if it is gone.
func (p *fakePartition) entry(id string) *fakeEntry {
	for _, e := range p.input {
		if e.id == id {
			return e
		}
	}
	return nil
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

// acknowledge is XACK by hand; nothing is deleted.
func (s *fakeServer) acknowledge(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		for _, id := range ids {
			delete(p.pending, id)
		}
	}
}

// trim deletes all bodies.
func (s *fakeServer) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		for len(p.input) > 0 {
			p.drop(p.input[0])
		}
	}
}

func (s *fakeServer) requeue(p *fakePartition, me string, r *lease.Disposition) lease.Verdict {
	held := p.lease(r.Key)
	mine := held != nil && held.consumer == me && held.entry == r.Entry
	if mine && r.Token != lease.AnyToken && strconv.FormatUint(held.token, 10) != r.Token {
		return lease.Owned
	}
	if mine {
		defer delete(p.leases, r.Key)
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
	due := max(r.At, nowMilli()+r.Delay.Milliseconds())
	switch {
	case r.Dest == lease.ToDeadLetters:
		copied = append(copied, rueidis.XRangeFieldValue{Field: lease.FieldReason, Value: r.Reason})
		p.dead = append(p.dead, &fakeEntry{id: r.Entry, body: copied})
	case r.Dest == lease.ToLater && due > nowMilli():
		p.later = append(p.later, &fakeLater{due: due, body: copied})
	default:
		s.addLocked(p, copied)
	}
	p.drop(pending.entry)
	return lease.Moved
}

func (s *fakeServer) promote(p *fakePartition, limit int) (moved, due int) {
	now := nowMilli()
	slices.SortStableFunc(p.later, func(a, b *fakeLater) int { return cmp.Compare(a.due, b.due) })
	for len(p.later) > 0 && p.later[0].due <= now && moved < limit {
		s.addLocked(p, p.later[0].body)
		p.later = p.later[1:]
		moved++
	}
	for _, x := range p.later {
		if x.due <= now {
			due++
		}
	}
	return moved, due
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

// bounded is the timeout that every call of the real store has.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}
