package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// fakeServer is a model of a Redis server with the scripts on it, as far as an engine can tell: sessions with deadlines,
// leases with a TTL, the group and its pending entries, later, settling, tokens. Its clock is the bubble's. Several
// engines may share one, each through a fakeStore of its own.
type fakeServer struct {
	layout  *cluster.Layout
	granted func(partition int, consumer, entry, stream string) // runs when a lease is granted

	// keeps is how many entries a call of Keep examines; 0: all.
	keeps int

	// refuse returns why an entry is not moved, or done; if it is nil or returns "", the entry is.
	refuse func(r *lease.Disposition) string

	mu     sync.Mutex
	other  error  // how the service differs from what the engines expect; nil: it does not
	run    string // id
	runs   int
	marks  int // that were set
	wishes []scan.Wish
	seq    int
	ahead  time.Duration // of the bubble's clock, as beats answer it
	parts  []*fakePartition
}

func (s *fakeServer) agreement() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.other
}

// setAgreement makes the service differ from what the engines expect; nil: it does not.
func (s *fakeServer) setAgreement(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other = err
}

// fakePartition is the state of one partition on the server. Times are milliseconds, as in the scripts.
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
	delayed   int64 // ms until the entry is due that the last requeue delayed; 0: it did not delay any
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
	peak      int             // the most entries that were in pending

	signals        []lease.Signal
	signalsRefused error // why signals can be neither read nor looked for; nil: they can
	checkpoints    fakeCheckpoints
	fleet          fakeFleet

	copied map[string]map[string]bool // what copy.lua remembers: IDs by their source
}

// fakeFirm is the field !firm: what ttl was before it last grew, and since when the new one may be relied on.
type fakeFirm struct{ ttl, at int64 }

type fakeEntry struct {
	id    string
	seq   int
	added int64
	body  []rueidis.XRangeFieldValue
	gone  bool
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
	shut            string
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

// restart is a restart or a failover: the id of the server changes. With loss, no data is left.
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

// fakeBody is the body of an entry as producers write it.
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

// addMalformed adds an entry to a partition that is not an announcement.
func (s *fakeServer) addMalformed(partition int) string { return s.add(partition, malformedBody()) }

func malformedBody() []rueidis.XRangeFieldValue {
	return []rueidis.XRangeFieldValue{{Field: "mine", Value: "x"}}
}

func (s *fakeServer) addLocked(p *fakePartition, body []rueidis.XRangeFieldValue) string {
	s.seq++
	e := &fakeEntry{id: fmt.Sprintf("%d-%d", nowMilli(), s.seq), seq: s.seq, added: nowMilli(), body: body}
	p.input = append(p.input, e)
	close(p.news)
	p.news = make(chan struct{})
	return e.id
}

// count is the number of entries in each place. G2 says that the sum of all but the dead letters never falls except by Done.
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

// counts is count as a slice: undelivered, pending, later, dead.
func (s *fakeServer) counts() []int {
	undelivered, pending, later, dead := s.count()
	return []int{undelivered, pending, later, dead}
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

// forgetLeases deletes all leases of a partition.
func (s *fakeServer) forgetLeases(partition int) {
	s.with(partition, func(p *fakePartition) { clear(p.leases) })
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

// entry is an entry of the input stream, nil if it is gone.
func (p *fakePartition) entry(id string) *fakeEntry {
	for _, e := range p.input {
		if e.id == id {
			return e
		}
	}
	return nil
}

// acknowledge is an XACK by hand; nothing is deleted.
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

// snapshot is everything that a server knows of sessions, leases and reads at one moment.
type snapshot struct {
	sessions  []map[string]int64
	leases    []map[string]*fakeLease
	ttl, beat []int64
	firm      []fakeFirm
	pending   []map[string]*fakePending
	delivered []int

	checkpoints []map[string]fakeCheckpoint
}

func (s *fakeServer) snapshot() (x snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		leases := make(map[string]*fakeLease)
		for key, l := range p.leases {
			held := *l
			leases[key] = &held
		}
		x.sessions, x.leases = append(x.sessions, maps.Clone(p.sessions)), append(x.leases, leases)
		pending := make(map[string]*fakePending)
		for id, read := range p.pending {
			held := *read
			pending[id] = &held
		}
		x.pending, x.delivered = append(x.pending, pending), append(x.delivered, p.delivered)
		x.checkpoints = append(x.checkpoints, maps.Clone(p.checkpoints.fields))
		x.ttl, x.beat, x.firm = append(x.ttl, p.ttl), append(x.beat, p.beat), append(x.firm, p.firm)
	}
	return x
}

// failover fails over to a replica that has none of the writes since a snapshot.
func (s *fakeServer) failover(x snapshot) {
	s.restart(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, p := range s.parts {
		p.pending, p.delivered, p.checkpoints.fields = x.pending[n], x.delivered[n], x.checkpoints[n]
		p.sessions, p.leases, p.ttl, p.beat, p.firm = x.sessions[n], x.leases[n], x.ttl[n], x.beat[n], x.firm[n]
	}
}

// refuseMoves makes the server refuse to move the entries for which a predicate holds, in every way but by reference, or in that
// way, too.
func (s *fakeServer) refuseMoves(why string, references bool, entries func(id string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = func(r *lease.Disposition) string {
		if entries(r.Entry) && (references || r.Dest != lease.ToReference) {
			return why
		}
		return ""
	}
}

// refuseNothing ends that.
func (s *fakeServer) refuseNothing() { s.refuseMoves("", false, func(string) bool { return false }) }

// removeConsumers is XGROUP DELCONSUMER of all consumers.
func (s *fakeServer) removeConsumers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		clear(p.pending)
		clear(p.consumers)
	}
}
