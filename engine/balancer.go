package engine

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/quota"
	"github.com/streamlease/streamlease/lease"
)

// balancerParts are what a balancer works with. All are set.
type balancerParts struct {
	partitions []*partition
	table      *lease.Table
	streams    *quota.Streams
	behind     func() bool              // reports whether nothing is read, since handlers cannot keep up
	stopped    func(partition int) bool // reports whether a partition is not read, since its renewals are late
	draining   func() bool
	changed    func()              // called when more may be read than before
	beat       func(partition int) // has a beat sent soon; does nothing before the start
}

// balancer knows how the streams of the service are spread over the fleet, as far as this process's beats say, and from that how many
// more it may read. What it reports about this process is what the others know. Calls go through it, so it never waits.
//
// It moves nothing: see shedder.
type balancer struct {
	*env
	balancerParts
	calls *lease.Balance // has calls report

	taking  atomic.Int64 // announcements that were read, and are neither held nor elsewhere yet
	waiting atomic.Bool  // a reader has no room

	mu struct {
		sync.Mutex
		views    []view         // by partition
		parts    []balance.Part // what partsLocked returned last, to be used again: each answer asks for it
		share    balance.Share
		wants    wants
		full     bool // the limit was reached, and is not far off yet
		newcomer balance.Newcomer
		taken    int          // announcements read since the start
		over     time.Time    // since when too much is held; zero: it is not
		pace     balance.Pace // as it was last decided
		opened   int64        // when a call was first answered, on the clock's axis; 0: none was
		crashes  int          // that this process's consumer ID had lately, by the partition that knows of most
	}
}

// view is what is known of one partition.
type view struct {
	lease.Fleet
	apart    bool    // this process shares in others, but not in this one
	at       int64   // when it was answered, on the clock's axis; 0: never
	first    int64   // changes at the first answer
	leftover int64   // when leftovers were last read
	asking   bool    // a call is to report soon, to find out whether there is room
	asked    int     // how often in a row that found nothing new
	total    int     // streams at the last time
	sent     float64 // how much weight this process has reported
	mine     float64 // how much of what was answered that is
}

func newBalancer(e *env, parts balancerParts) *balancer {
	b := &balancer{env: e, balancerParts: parts}
	b.mu.views = make([]view, len(parts.partitions))
	b.mu.wants.program.weight = e.cfg.weight
	b.mu.share.Open = true
	return b
}

// gated reports whether the gate is on.
func (b *balancer) gated() bool { return b.cfg.balance.Gate == balance.On }

// held is how many streams this process has or is about to have.
func (b *balancer) held() int { return b.table.Len() + int(b.taking.Load()) }

// standing returns what this process reports in a partition. It is called before each call that reports.
func (b *balancer) standing(partition int) lease.Standing {
	held := b.held()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := lease.Standing{
		Role: b.roleLocked(partition, held), Weight: b.ownWeightLocked(), Held: held, Here: b.table.Count(partition), Over: b.mu.over,
	}
	v := &b.mu.views[partition]
	v.sent, v.apart = 0, s.Role != lease.RoleShares && b.processLocked(held) == lease.RoleShares
	if s.Role == lease.RoleShares {
		v.sent = s.Weight
	}
	s.Waits = b.gated() && s.Role == lease.RoleShares && b.roomLocked(held) <= 0
	return s
}

// fullShare is how much of its limit a process that was full may hold and count as full: it would leave and join the sums with every
// stream that ends.
const fullShare = 0.95

// roleLocked returns the role of this process in sharing the streams of a partition. One whose renewals are late takes nothing
// there, and goes on elsewhere.
func (b *balancer) roleLocked(partition, held int) lease.Role {
	role := b.processLocked(held)
	if role == lease.RoleShares && b.stopped(partition) {
		return lease.RoleBehind
	}
	return role
}

// processLocked returns the role of this process in all partitions.
func (b *balancer) processLocked(held int) lease.Role {
	switch {
	case b.draining():
		return lease.RoleDraining
	case b.mu.wants.role() != "":
		return b.mu.wants.role()
	}
	limit, limited := b.streams.Limit()
	b.mu.full = limited && (held >= limit || b.mu.full && float64(held) > fullShare*float64(limit))
	behind, weight := b.behind(), b.ownWeightLocked()
	switch {
	case !b.mu.full && !behind, !balance.Full(weight, held, b.partsLocked(weight)):
		return lease.RoleShares
	case b.mu.full:
		return lease.RoleFull
	}
	return lease.RoleBehind
}

// partsLocked returns what is known of all partitions in which this process shares, as if all of them had heard by now that it has a
// weight.
func (b *balancer) partsLocked(weight float64) []balance.Part {
	b.mu.parts = b.mu.parts[:0]
	for _, v := range b.mu.views {
		if v.at != 0 && !v.apart {
			b.mu.parts = append(b.mu.parts, balance.Part{Total: v.Total, Weight: max(v.Weight-v.mine+weight, 0), Least: v.Least})
		}
	}
	return b.mu.parts
}

// sharedLocked returns how many of the streams that are held count as part of the share: those of partitions in which this process
// does not share stay where they are.
func (b *balancer) sharedLocked(held int) int {
	for n, v := range b.mu.views {
		if v.apart {
			held -= b.table.Count(n)
		}
	}
	return held
}

// rampLocked returns how much of its weight this process has: not all of it for some time after crashes. It is in whole percents, since
// what is reported is sent as a whole whenever it changes. A session is opened with all of the weight, as crashes are not known before;
// the next beat or acquisition reports less.
func (b *balancer) rampLocked() float64 {
	if !b.gated() || b.mu.crashes == 0 {
		return 1
	}
	return math.Floor(100*balance.Ramp(b.mu.crashes, time.Duration(b.clock.Now()-b.mu.opened))) / 100
}

// ownWeightLocked returns the weight that is reported, in thousandths as it is stored.
func (b *balancer) ownWeightLocked() float64 {
	weight, ramp := b.mu.wants.weight(), b.rampLocked()
	if ramp == 1 {
		return weight
	}
	return max(math.Round(1000*weight*ramp), 1) / 1000
}

// crashedLocked notes how many crashes a call has answered, and returns how long this process does without all of its weight from now on;
// 0: that is as before.
func (b *balancer) crashedLocked(crashes int, now int64) time.Duration {
	if b.mu.opened == 0 {
		b.mu.opened = max(now, 1)
	}
	if crashes <= b.mu.crashes {
		return 0
	}
	b.mu.crashes = crashes
	if !b.gated() {
		return 0
	}
	return max(balance.RampTime(crashes)-time.Duration(now-b.mu.opened), 0)
}

// answered takes in what a call has answered about a partition.
func (b *balancer) answered(partition int, f lease.Fleet) {
	held, now := b.held(), b.clock.Now()
	b.mu.Lock()
	ramp := b.crashedLocked(f.Crashes, now)
	v := &b.mu.views[partition]
	if v.at == 0 {
		v.first = f.Changes
	}
	v.Fleet, v.at, v.mine = f, max(now, 1), v.sent
	weight := 0.0
	if b.processLocked(held) == lease.RoleShares {
		weight = b.ownWeightLocked()
	}
	b.mu.share = balance.ShareOf(weight, b.partsLocked(weight))
	b.mu.newcomer.Answered(time.Duration(now), b.changesLocked())
	b.mu.Unlock()
	if ramp > 0 {
		b.log.Info("this process has crashed lately, and takes fewer streams for some time", "crashes", f.Crashes, "time", ramp)
	}
	if b.waiting.Swap(false) {
		b.changed()
	}
}

// changesLocked returns a number that is another one when a process has joined or left.
func (b *balancer) changesLocked() (n int64) {
	for _, v := range b.mu.views {
		n += v.Changes - v.first
	}
	return n
}

// knowsLocked reports whether anything is known of the fleet that is not too old.
func (b *balancer) knowsLocked() bool {
	newest := int64(0)
	for _, v := range b.mu.views {
		newest = max(newest, v.at)
	}
	return newest != 0 && b.clock.Now() <= newest+int64(balance.Stale)
}

// roomLocked returns how many more streams this process may take.
func (b *balancer) roomLocked(held int) int {
	switch {
	case b.mu.wants.role() != "", b.mu.pace.Rate > 0:
		return 0 // what it gives must not come back
	case !b.gated() || !b.knowsLocked():
		return math.MaxInt
	}
	return min(b.mu.newcomer.Room(b.mu.share.Total, b.mu.taken), b.mu.share.Room(b.sharedLocked(held)))
}

// allow returns how many of n streams the reader of a partition may take, and whether only what is there now: what nobody else has
// read for too long.
func (b *balancer) allow(partition, n int) (allowed int, leftover bool) {
	held := b.held()
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := b.roomLocked(held); room > 0 {
		return min(n, balance.PerRead(room, len(b.partitions))), false
	}
	b.waiting.Store(true)
	b.askSoonLocked(partition)
	v := &b.mu.views[partition]
	if b.mu.wants.role() != "" || v.Waited < 0 || b.clock.Now() < v.leftover+int64(leftoverEvery) {
		return 0, false
	}
	n = min(n, b.mu.share.Leftover(b.sharedLocked(held), v.Waited), b.mu.newcomer.Room(b.mu.share.Total, b.mu.taken))
	return n, n > 0
}

const (
	// askFirst is how soon a process without room asks again what its share is, besides its beats: what is announced meanwhile makes
	// shares greater, and a small fleet that grows would take a few streams a beat.
	askFirst = 100 * time.Millisecond
	// askRate is how many such calls a second all processes of a fleet make at most, in all partitions.
	askRate = 500
)

// askSoonLocked has a call report soon, whose answer wakes the readers that wait for room; less and less soon while nothing is new.
func (b *balancer) askSoonLocked(partition int) {
	v := &b.mu.views[partition]
	first := b.mu.newcomer.Room(b.mu.share.Total, b.mu.taken) <= 0 // in the first second, which ends with a beat
	if v.asking || first || v.Weight <= 0 || b.mu.wants.role() != "" || b.mu.pace.Rate > 0 {
		return
	}
	if v.total != v.Total {
		v.total, v.asked = v.Total, 0
	}
	processes := v.Weight / b.ownWeightLocked() // about
	after := max(askFirst, time.Duration(processes*float64(len(b.partitions))*float64(time.Second)/askRate)) << v.asked
	if after >= b.cfg.beat {
		return // beats will do
	}
	v.asking = true
	v.asked++
	time.AfterFunc(after, func() {
		b.mu.Lock()
		v.asking = false
		b.mu.Unlock()
		if b.waiting.Load() && !b.draining() {
			b.calls.ReportSoon(partition)
			b.beat(partition)
		}
	})
}

// leftoverEvery is how often leftovers are read at most: once a beat. Each acquisition answers that there are more, and a process without
// room would read all of them.
const leftoverEvery = 900 * time.Millisecond

// more returns how many of n more streams a read that waited may take: what is known may have changed meanwhile. Leftovers are none of them.
func (b *balancer) more(n int) int {
	held := b.held()
	b.mu.Lock()
	defer b.mu.Unlock()
	return min(n, balance.PerRead(b.roomLocked(held), len(b.partitions)))
}

// take counts announcements that are being read, or were, until placed is called with their number. Fewer than 0 were not there.
func (b *balancer) take(n int) { b.taking.Add(int64(n)) }

// read notes that a read has brought so many.
func (b *balancer) read(partition, n int, leftover bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.taken += n
	if leftover {
		b.mu.views[partition].leftover = b.clock.Now()
	}
	if leftover && n > 0 {
		b.metrics.Inc(metrics.LeftoverReads)
	}
}

// placed counts announcements as held, parked or gone.
func (b *balancer) placed(n int) {
	b.taking.Add(int64(-n))
	b.changed()
}

// refused is called when Redis refuses the keys of the balance.
func (b *balancer) refused(partition int, err error) {
	b.log.Warn("the balance is off: Redis refuses its keys", 1, "partition", partition, "err", lease.Explain(err),
		"remedy", "grant what docs/acl.md lists, or turn it off in the whole fleet by WithBalance")
}

// look returns what a shedder sees.
func (b *balancer) look(held int) balance.Look {
	now := b.clock.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	l := balance.Look{
		Now: time.Duration(now), Share: b.mu.share, Held: b.sharedLocked(held), Changes: b.changesLocked(), Settled: true, Frozen: b.mu.wants.operators.freeze,
	}
	for n, v := range b.mu.views {
		l.Waited = max(l.Waited, v.Waited)
		p := b.partitions[n]
		if v.at == 0 || now > v.at+int64(balance.Stale) || p.isSettling() {
			l.Settled = false
		}
	}
	return l
}

// notePace notes how fast streams are given, and for how long too much has been held, which beats report.
func (b *balancer) notePace(p balance.Pace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.pace = p
	switch {
	case p.Over == 0:
		b.mu.over = time.Time{}
	case b.mu.over.IsZero():
		b.mu.over = time.Now().Add(-p.Over)
	}
}

// stats returns what Stats shows of the balance. The role is the first that keeps a partition from sharing.
func (b *balancer) stats() (role lease.Role, weight, fair float64) {
	held := b.held()
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, v := range b.mu.views {
		if v.at == 0 {
			continue
		}
		if r := b.roleLocked(n, held); role == "" || role == lease.RoleShares {
			role = r
		}
	}
	return role, b.mu.wants.weight(), b.mu.share.Fair
}

// emit shows how the streams are spread.
func (b *balancer) emit(emit metrics.Emit) {
	held := b.held()
	b.mu.Lock()
	share, weight, ramp, pace, room := b.mu.share, b.mu.wants.weight(), b.rampLocked(), b.mu.pace, b.roomLocked(held)
	b.mu.Unlock()
	open := 0.0
	if room > 0 {
		open = 1
	}
	emit(metrics.BalanceFair, api.NoPartition, share.Fair)
	fill := float64(b.table.Len()) / weight
	emit(metrics.BalanceFill, api.NoPartition, fill)
	if share.Least < 0 {
		share.Least = fill // nobody shares
	}
	emit(metrics.BalanceFillLeast, api.NoPartition, share.Least)
	emit(metrics.BalanceWeight, api.NoPartition, weight)
	emit(metrics.BalanceRamp, api.NoPartition, ramp)
	emit(metrics.BalanceGateOpen, api.NoPartition, open)
	emit(metrics.BalanceOver, api.NoPartition, pace.Over.Seconds())
	emit(metrics.BalanceHeldOff, api.NoPartition, float64(pace.HeldOff))
}
