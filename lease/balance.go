package lease

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

// Role says what a consumer does about sharing the streams of its service. Only one that has RoleShares counts in the sums of the
// fleet.
type Role string

const (
	RoleShares     Role = "shares"     // it takes streams
	RoleFull       Role = "full"       // it holds as many as it is to hold
	RoleBehind     Role = "behind"     // its handlers, or its renewals, are behind
	RolePaused     Role = "paused"     // it is to take no more
	RoleEvacuating Role = "evacuating" // it hands back what it holds, and goes on running
	RoleDraining   Role = "draining"   // it shuts down
)

// stays reports whether the streams that a consumer with this role holds stay with it, although it does not share: nobody else can get
// them.
func (r Role) stays() bool { return r == RoleFull || r == RoleBehind || r == RolePaused }

// Standing is what a process reports about itself in a partition.
type Standing struct {
	Role   Role
	Weight float64   // how much it is to hold, compared with others
	Held   int       // streams of the whole process
	Here   int       // of those, the ones of this partition
	Over   time.Time // since when it holds too much; zero: it does not
	Waits  bool      // it wants to know how long entries wait
}

// thousandths is how weights are stored: integers add up exactly.
const thousandths = 1000

// row is the standing as lua/parts/fleet.lua describes it, and fill how full the process is.
func (s *Standing) row() (fill, row string) {
	away, over := 0, int64(0)
	if s.Role.stays() {
		away = s.Here
	}
	if !s.Over.IsZero() {
		over = s.Over.UnixMilli()
	}
	weight := max(int64(s.Weight*thousandths+.5), 1)
	fill = strconv.FormatFloat(float64(s.Held)*thousandths/float64(weight), 'f', 3, 64)
	row = strconv.FormatInt(weight, 10) + " " + strconv.Itoa(away) + " " + strconv.FormatInt(over, 10) + " " + string(s.Role)
	return fill, row
}

// Fleet is what a call answers about all that share a partition's streams.
type Fleet struct {
	Total   int           // streams that they have or may take: held, parked, not yet delivered
	Weight  float64       // sum of their weights
	Least   float64       // the least fill of any of them: streams of the whole process for a weight of 1. Negative: not known
	Changes int64         // differs when a consumer has joined or left
	Waited  time.Duration // how long the oldest entry that nobody has read has waited; negative: there is none, or nobody asked
	Crashes int           // how often processes with this consumer ID have crashed lately; only opening a session asks
}

// Balance has calls report this process's standing and tells what they answer about the others. The stores of one process share one. All
// methods may be called from any goroutine. A nil *Balance has no part in anything.
type Balance struct {
	optional
	layout   *cluster.Layout
	standing func(p int) Standing
	answered func(p int, f Fleet)
	last     []lastReport   // by partition
	crashes  []atomic.Int64 // until when crashes are left out of calls, on the clock's axis, by partition
}

// lastReport is what was last reported in a partition. What is reported again need not be sent again: a call costs the server a third of
// it then.
type lastReport struct {
	at atomic.Int64 // when, on the clock's axis; 0: the next call reports

	mu        sync.Mutex
	fill, row string // as they were sent; known is the fill that was answered
	known     string
	whole     int64 // when it was last sent as a whole, and answered since; 0: it is to be
	pending   int64 // when it was sent as a whole, and not answered since; 0: it is not
}

// wholeEvery is how often a report is sent as a whole even so: a server may have forgotten it, or somebody has deleted it by hand.
const wholeEvery = 10 * time.Second

// reportEvery is how often renewals report, which go out many times a second.
const reportEvery = 900 * time.Millisecond

// NewBalance returns what calls report with. standing is called before a call, and answered after one that was answered; both must be
// quick, since renewals go through them. onRefuse, which may be nil, is called when the keys are refused, and left out for the next
// 30 s.
func NewBalance(layout *cluster.Layout, clock Clock, standing func(p int) Standing, answered func(p int, f Fleet),
	onRefuse func(p int, err error)) *Balance {
	keys := func(p int) []string {
		k := layout.Keys(p)
		return []string{k.Input, k.Books, k.Load, k.Fleet}
	}
	n := layout.Partitions()
	return &Balance{
		optional: optional{clock: clock, keys: keys, onRefuse: onRefuse, leftOut: make([]atomic.Int64, n)},
		layout:   layout, standing: standing, answered: answered, last: make([]lastReport, n), crashes: make([]atomic.Int64, n),
	}
}

// ReportNow has the next call for a partition report, whatever it is, and send the whole of it.
func (b *Balance) ReportNow(p int) {
	if b == nil {
		return
	}
	last := &b.last[p]
	last.mu.Lock()
	last.whole, last.pending = 0, 0
	last.mu.Unlock()
	last.at.Store(0)
}

// ReportSoon has the next call for a partition report, whatever it is.
func (b *Balance) ReportSoon(p int) {
	if b != nil {
		b.last[p].at.Store(0)
	}
}

func (b *Balance) extra() *optional {
	if b == nil {
		return nil
	}
	return &b.optional
}

// crashKept is how long crashes are remembered after the last one.
const crashKept = 10 * time.Minute

// crashesOf is the key that counts the crashes of the process to which a consumer belongs. Where it is refused, nobody needs to know: a
// process that keeps crashing takes its whole share again each time.
func (b *Balance) crashesOf(consumer string) *optional {
	if b == nil {
		return nil
	}
	id := ConsumerID(consumer)
	keys := func(p int) []string { return []string{b.layout.Keys(p).Crashed(id)} }
	return &optional{clock: b.clock, keys: keys, leftOut: b.crashes}
}

// ConsumerID returns the ID of the process to which a consumer belongs: its name without the suffix that tells runs and their sessions
// apart, as the runs of an engine name them.
func ConsumerID(consumer string) string {
	if dot := strings.LastIndexByte(consumer, '.'); dot >= 0 {
		return consumer[:dot]
	}
	return consumer
}

// noReport are the arguments of a call that reports nothing.
var noReport = []string{"", ""}

// report returns the last two arguments of a call for a partition: what is reported, and the group if it is asked how long entries wait.
func (b *Balance) report(p int) []string {
	if b == nil || b.isLeftOut(p) {
		return noReport
	}
	s, now := b.standing(p), max(b.clock.Now(), 1)
	fill, row := s.row()
	group := ""
	if s.Waits {
		group = b.layout.Group()
	}
	last := &b.last[p]
	last.at.Store(now)
	last.mu.Lock()
	defer last.mu.Unlock()
	switch {
	case row != last.row || last.whole == 0 || now >= last.whole+int64(wholeEvery):
		last.fill, last.row, last.whole, last.pending = fill, row, 0, now
		return []string{fill + " " + row, group}
	case fill != last.known:
		last.fill = fill
		return []string{fill, group}
	}
	return []string{"=", group}
}

// reportIfDue is report for calls of which there are many a second.
func (b *Balance) reportIfDue(p int) []string {
	if b == nil {
		return noReport
	}
	if last := b.last[p].at.Load(); last != 0 && b.clock.Now() < last+int64(reportEvery) {
		return noReport
	}
	return b.report(p)
}

// take takes in what a call has answered.
func (b *Balance) take(p int, part *rueidis.RedisMessage) {
	if b == nil {
		return
	}
	if part.IsString() {
		if text, _ := part.ToString(); strings.HasPrefix(text, "!") {
			b.refuse(p, refusedItem(text[1:]))
		}
		return
	}
	parts, err := part.ToArray()
	if err != nil || len(parts) < 4 {
		return
	}
	f := parseFleet(parts)
	last := &b.last[p]
	last.mu.Lock()
	last.known = last.fill
	if last.pending != 0 {
		last.whole, last.pending = last.pending, 0
	}
	last.mu.Unlock()
	b.answered(p, f)
}

// parseFleet reads what report_balance in lua/parts/balance.lua returns, and what lua/open.lua adds to it. What is no number counts as 0,
// or as not known: somebody has written it by hand, and scans put it right.
func parseFleet(parts []rueidis.RedisMessage) Fleet {
	number := func(i int, otherwise float64) float64 {
		if i >= len(parts) {
			return otherwise
		}
		if parts[i].IsInt64() {
			n, _ := parts[i].ToInt64()
			return float64(n)
		}
		n, err := parts[i].AsFloat64()
		if err != nil || math.IsNaN(n) {
			return otherwise
		}
		return n
	}
	var weight, full, joins, silent float64
	if text, err := parts[2].ToString(); err == nil {
		if n, _ := fmt.Sscan(text, &weight, &full, &joins, &silent); n < 4 {
			weight, full, joins, silent = 0, 0, 0, 0
		}
	}
	return Fleet{
		Total: int(max(number(0, 0)-full, 0)), Waited: time.Duration(number(1, -1)) * time.Millisecond,
		Weight: weight/thousandths + silent, // a consumer whose version writes no row counts as one of weight 1
		Least:  number(3, -1), Changes: int64(joins), Crashes: int(number(4, 0)),
	}
}

// Standing returns what the process reports in a partition now. Like Answered it is for stores that make no calls, in tests.
func (b *Balance) Standing(p int) Standing { return b.standing(p) }

// Answered takes in an answer.
func (b *Balance) Answered(p int, f Fleet) { b.answered(p, f) }
