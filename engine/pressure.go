package engine

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/quota"
	"github.com/streamlease/streamlease/lease"
)

// Intake reports whether an engine takes more streams, and if not, why.
type Intake uint8

// In order of precedence: if several apply, Stats has the last.
const (
	IntakeOpen     Intake = iota // takes whatever is there
	IntakeSlowed                 // renewals are late, or very many streams are new: takes less at a time
	IntakeBehind                 // handlers are behind: takes nothing until they have caught up
	IntakeFull                   // holds as many streams as WithMaxStreams or SetMaxStreams allows
	IntakeClogged                // is stuck with what was read: Redis answers no acquisitions, or refuses to move what is requeued
	IntakeStopped                // renewals are so late that more streams would endanger those held
	IntakeDraining               // is shutting down
)

// String returns the state in a word or two.
func (i Intake) String() string {
	names := [...]string{"open", "slowed", "handlers behind", "full", "clogged", "renewals late", "draining"}
	if int(i) >= len(names) {
		return fmt.Sprintf("Intake(%d)", i)
	}
	return names[i]
}

// A process that holds more streams than it, or its server, can renew in time must stop taking more long before it loses the first
// lease. Each lost lease is acquired again by somebody, which costs more than its renewal did, so a process that began to lose some
// leases would lose them all.
//
// The measure is how late renewals are, compared with the slack: how late a renewal may be before its lease is lost, which is the
// lease TTL, less its margin, less the interval between renewals; 19 s with the defaults. What counts is the lease that has been
// due for longest without an answer, so a server that answers nothing shows, too. An outage of some seconds changes nothing here.
const (
	// Intake is slowed when renewals are late by the slack / slowShare: 4.75 s with the defaults.
	slowShare = 4
	// Intake is stopped when renewals are late by the slack / stopShare, 9.5 s with the defaults, until they are less late than at
	// slowShare again.
	stopShare = 2

	// A lease that was just acquired is renewed for the first time up to an interval later, so until then it does not show in how
	// late renewals are. The number of leases that were never renewed is therefore limited to the number of the others / trialShare,
	// but never to less than minTrial, nor to less than trialRate renewals a second; only what reads on their way return may exceed that.
	// At the default interval both are the same, some hundredths of what a server can do. A longer one leaves room for as many more.
	trialShare = 4
	minTrial   = 100_000
	trialRate  = 10_000
)

// pressureParts are what pressure works with. All are set.
type pressureParts struct {
	partitions []*partition
	table      *lease.Table
	streams    *quota.Streams
	memory     *quota.Memory
	changed    func()      // called when more may be taken than before
	draining   func() bool // reports whether the engine drains
	queued     func() int  // returns how many streams wait for a worker
}

// pressure slows and stops the intake of partitions whose renewals are late. Each partition is judged individually: one whose names
// are too long for the link stops no other, while a server that is too slow is so for all of its partitions.
type pressure struct {
	*env
	pressureParts
	slow, stop time.Duration // how late renewals are when intake is slowed, and stopped
	minTrial   int
	slack      time.Duration // how late a renewal may be before its lease is lost

	limited atomic.Bool // very many streams are new: nothing is taken until some have been renewed

	mu struct {
		sync.Mutex
		parts []partitionPressure // by partition
	}
}

// partitionPressure is the state of one partition. Times are on the clock's axis.
type partitionPressure struct {
	late    time.Duration // how late renewals were at the last look
	intake  Intake        // IntakeOpen, IntakeSlowed or IntakeStopped
	worse   int64         // when renewals were last late enough for intake
	stopped int64         // when intake was stopped; 0: it is not
	next    int64         // while slowed: when the reader may read next
	clogged bool          // it was at the last look, and the log has said so
}

func newPressure(e *env, parts pressureParts) *pressure {
	c := e.cfg
	u := &pressure{env: e, pressureParts: parts, slack: c.leaseTTL - c.leaseMargin - c.interval}
	u.minTrial = max(minTrial, int(trialRate*c.interval.Seconds()))
	// With very short TTLs, a share of the slack is less than the lateness that ticks and the scheduler give any renewal.
	u.slow = max(u.slack/slowShare, ticksLate*c.wheel.Tick+schedulerLag)
	u.stop = max(u.slack/stopShare, 2*u.slow)
	u.mu.parts = make([]partitionPressure, len(parts.partitions))
	return u
}

// look updates the state of all partitions, given how late the renewals of each are.
func (u *pressure) look(now int64, late []time.Duration) {
	wake := false
	for partition, late := range late {
		wake = u.update(partition, now, late) || wake
		u.updateClogged(partition, now)
	}
	if u.limited.Load() && u.trialRoom() > 0 {
		u.limited.Store(false)
		wake = true
	}
	if wake {
		u.changed()
	}
}

// update updates the state of one partition, and reports whether its reader may read again.
func (u *pressure) update(partition int, now int64, late time.Duration) bool {
	u.mu.Lock()
	s := &u.mu.parts[partition]
	was := s.intake
	s.late = late
	due := IntakeOpen
	switch {
	case late >= u.stop, late >= u.slow && was == IntakeStopped:
		due = IntakeStopped
	case late >= u.slow:
		due = IntakeSlowed
	}
	switch {
	case due >= was:
		s.intake, s.worse = due, now
	case now >= s.worse+int64(u.cfg.beat):
		s.intake = due // it has been better for a beat
	}
	is := s.intake
	switch {
	case is != IntakeStopped:
		s.stopped = 0
	case was != IntakeStopped:
		s.stopped = now
	}
	reads := is < was || is == IntakeSlowed && now >= s.next
	u.mu.Unlock()
	u.report(partition, was, is, late)
	return reads
}

// report emits an event when intake has been stopped or resumed.
func (u *pressure) report(partition int, was, is Intake, late time.Duration) {
	switch {
	case is == IntakeStopped && was != IntakeStopped:
		u.metrics.Inc(metrics.IntakeStopped)
		u.event(api.EventIntakeStopped, partition, u.lateError(late), "")
	case was == IntakeStopped && is != IntakeStopped:
		u.event(api.EventIntakeResumed, partition, nil, is.String())
	}
}

// updateClogged logs when the reader of a partition is clogged, and when it goes on, once each.
func (u *pressure) updateClogged(partition int, now int64) {
	is := u.isClogged(partition, now)
	u.mu.Lock()
	s := &u.mu.parts[partition]
	was := s.clogged
	s.clogged = is
	u.mu.Unlock()
	switch {
	case is && !was:
		_, held := u.memory.Waiting(partition)
		u.log.Warn("reading is paused: what was read can be neither acquired nor requeued", 1, "partition", partition, "bytes", held,
			"remedy", "see why acquiring fails, endings are refused or the partition settles; other partitions go on")
	case was && !is:
		u.log.Info("reading continues: what was read has found its place", "partition", partition)
	}
}

// isClogged reports whether the reader of a partition has waited for longer than a session lasts until what it had read before
// found its place.
func (u *pressure) isClogged(partition int, now int64) bool {
	since, _ := u.memory.Waiting(partition)
	if since == 0 || now <= since+int64(u.cfg.sessionTTL) {
		return false
	}
	s, _ := u.partitions[partition].view()
	return s != nil && s.Remaining() > 0 // without a session nothing is read anyway
}

// anyClogged reports whether the reader of any partition is clogged.
func (u *pressure) anyClogged() bool {
	now := u.clock.Now()
	return slices.ContainsFunc(u.partitions, func(p *partition) bool { return u.isClogged(p.number, now) })
}

func (u *pressure) lateError(late time.Duration) error {
	return fmt.Errorf("renewals are %v late, and a lease is lost at %v: no more streams are taken; hold fewer streams in this process (WithMaxStreams), or lengthen WithLeaseTTL",
		late.Round(time.Millisecond), u.slack)
}

// allow returns how many of n streams the reader of a partition may take now.
func (u *pressure) allow(partition, n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if trialRoom := u.trialRoom(); trialRoom < n {
		u.limited.Store(true)
		n = trialRoom
	}
	switch s := &u.mu.parts[partition]; {
	case s.intake == IntakeOpen:
		return n
	case s.intake == IntakeStopped || u.clock.Now() < s.next:
		return 0
	}
	return min(n, max(1, u.cfg.readBatch/len(u.mu.parts)))
}

// trialRoom returns how many more leases may be acquired before others have been renewed for the first time.
func (u *pressure) trialRoom() int {
	held, young := u.table.Len(), u.table.Young()
	return max(0, max(u.minTrial, (held-young)/trialShare)-young)
}

// noteRead notes that the reader of a partition reads now.
func (u *pressure) noteRead(partition int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s := &u.mu.parts[partition]; s.intake == IntakeSlowed {
		s.next = u.clock.Now() + int64(u.cfg.beat)
	}
}

// worst returns the worst state of any partition, and how late the latest renewal of all is.
func (u *pressure) worst() (intake Intake, late time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range u.mu.parts {
		intake, late = max(intake, u.mu.parts[i].intake), max(late, u.mu.parts[i].late)
	}
	return intake, late
}

// of returns the state of a partition.
func (u *pressure) of(partition int) partitionPressure {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.parts[partition]
}

// ready returns an error if the intake of a partition has been stopped for longer than others wait for a process that is silent.
func (u *pressure) ready(partition int) error {
	if s := u.of(partition); s.stopped > 0 && u.clock.Now() > s.stopped+int64(u.cfg.sessionTTL) {
		return fmt.Errorf("%w: partition %d: %w", api.ErrNotReady, partition, u.lateError(s.late))
	}
	return nil
}

// state returns the state of the engine, or of one partition, given the worst of its partitions and whether one is clogged.
func (u *pressure) state(worst Intake, clogged bool) Intake {
	switch {
	case u.draining():
		return IntakeDraining
	case worst == IntakeStopped:
		return IntakeStopped
	case clogged:
		return IntakeClogged
	case u.streams.Full():
		return IntakeFull
	case u.handlersBehind():
		return IntakeBehind
	case u.limited.Load():
		return IntakeSlowed
	}
	return worst
}

// handlersBehind reports whether too many streams wait for a worker for more to be taken.
func (u *pressure) handlersBehind() bool { return u.queued() >= 2*u.cfg.readBatch }

// stopped reports whether a partition is not read, since its renewals are late.
func (u *pressure) stopped(partition int) bool { return u.of(partition).intake == IntakeStopped }

// reserve reserves room for at most n more streams, and for none while handlers are behind, and returns for how many. They
// count as held until they are released.
func (u *pressure) reserve(n int) int {
	if u.handlersBehind() {
		return 0
	}
	return u.streams.Reserve(n)
}

// reserveInTurn is reserve for the reader of a partition: while others wait for room, whoever has had none for longest comes
// first. A reader that gets none counts as waiting until it ends its turn.
func (u *pressure) reserveInTurn(partition, n int) int {
	if u.handlersBehind() {
		return 0
	}
	if n = u.allow(partition, n); n == 0 {
		u.streams.EndTurn(partition) // so that others do not wait for it
		return 0
	}
	if n = u.streams.ReserveInTurn(partition, n); n > 0 {
		u.noteRead(partition)
	}
	return n
}
