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

// Intake is whether an engine takes more streams, and why not.
type Intake uint8

// In the order in which they count: of several that apply, Stats has the last.
const (
	IntakeOpen     Intake = iota // takes what there is
	IntakeSlowed                 // renewals are late, or very many streams are new: takes less at a time
	IntakeBehind                 // handlers are behind: takes nothing more until they have caught up
	IntakeFull                   // holds as many streams as WithMaxStreams or SetMaxStreams allows
	IntakeClogged                // what was read finds no place: Redis takes no acquisitions, or refuses to move what is given back
	IntakeStopped                // renewals are so late that more streams would endanger those held
	IntakeDraining               // is shutting down
)

// String is the state in a word or two.
func (i Intake) String() string {
	names := [...]string{"open", "slowed", "handlers behind", "full", "clogged", "renewals late", "draining"}
	if int(i) >= len(names) {
		return fmt.Sprintf("Intake(%d)", i)
	}
	return names[i]
}

// A process that holds more streams than it, or its server, can renew in time must stop taking more long before the first
// lease is lost: each one that is lost is taken again by somebody, which costs more than its renewal did, so a process that
// began to lose some lost all that it held.
//
// What tells is how late renewals are, measured in the slack: how late one may be before its lease is lost, which is the lease
// TTL, less its margin, less the interval between renewals; 19 s with the defaults. What was due longest and has no answer
// counts, so a server that answers nothing shows, too. An outage of some seconds comes and goes without any of this.
const (
	// slowShare of the slack: intake is slowed. 4.75 s with the defaults.
	slowShare = 4
	// stopShare of the slack: intake is stopped, until renewals are less late than slowShare again. 9.5 s with the defaults.
	stopShare = 2

	// What was just taken is renewed for the first time up to an interval later, so how late renewals are says nothing of it
	// yet. How many leases may be there that were not renewed so far, but for what reads on their way bring, is bounded by a
	// share of the others, and always at least minTrial: at the default interval 10,000 renewals a second, some hundredths of a server.
	trialShare = 4
	minTrial   = 100_000
)

// pressureParts are what pressure looks at.
type pressureParts struct {
	partitions []*partition
	table      *lease.Table
	streams    *quota.Streams
	memory     *quota.Memory
	changed    func()      // more may be taken than before
	draining   func() bool // whether the engine drains
	queued     func() int  // streams that wait for a worker
}

// pressure slows and stops the intake of partitions whose renewals are late. Each is judged by itself: one whose names are
// too long for the link stops no other, and a server that is too slow is so for all.
type pressure struct {
	*env
	pressureParts
	slow, stop time.Duration
	minTrial   int
	slack      time.Duration

	limited atomic.Bool // very many streams are new: nothing more is taken until some have been renewed

	mu struct {
		sync.Mutex
		parts []strain
	}
}

// strain is how one partition is doing.
type strain struct {
	late    time.Duration // at the last look
	intake  Intake        // IntakeOpen, IntakeSlowed or IntakeStopped
	worse   int64         // when the state was last warranted, on the clock's axis
	stopped int64         // since when, while it is
	next    int64         // while slowed: when the reader may read next
	clogged bool          // the log has said so
}

func newPressure(e *env, parts pressureParts) *pressure {
	c := e.cfg
	u := &pressure{env: e, pressureParts: parts, minTrial: minTrial, slack: c.leaseTTL - c.leaseMargin - c.interval}
	// With very short TTLs a share is less than what ticks and the scheduler make of any renewal.
	u.slow = max(u.slack/slowShare, ticksLate*c.wheel.Tick+schedulerLag)
	u.stop = max(u.slack/stopShare, 2*u.slow)
	u.mu.parts = make([]strain, len(parts.partitions))
	return u
}

// look takes in how late the renewals of each partition are.
func (u *pressure) look(now int64, late []time.Duration) {
	wake := false
	for partition, late := range late {
		wake = u.lookAt(partition, now, late) || wake
		u.lookClogged(partition, now)
	}
	if u.limited.Load() && u.trying() > 0 {
		u.limited.Store(false)
		wake = true
	}
	if wake {
		u.changed()
	}
}

// lookAt does so for one of them, and reports whether its reader may read again.
func (u *pressure) lookAt(partition int, now int64, late time.Duration) bool {
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
	u.tell(partition, was, is, late)
	return reads
}

// tell says so when intake was stopped, or goes on.
func (u *pressure) tell(partition int, was, is Intake, late time.Duration) {
	switch {
	case is == IntakeStopped && was != IntakeStopped:
		u.metrics.Inc(metrics.IntakeStopped)
		u.event(api.EventIntakeStopped, partition, u.err(late), "")
	case was == IntakeStopped && is != IntakeStopped:
		u.event(api.EventIntakeResumed, partition, nil, is.String())
	}
}

// lookClogged says so once when a partition's reader has long waited for what was read before, and once when it goes on.
func (u *pressure) lookClogged(partition int, now int64) {
	is := u.isClogged(partition, now)
	u.mu.Lock()
	s := &u.mu.parts[partition]
	was := s.clogged
	s.clogged = is
	u.mu.Unlock()
	switch {
	case is && !was:
		_, held := u.memory.Waiting(partition)
		u.log.Warn("nothing more is read: what was read finds no place", 1, "partition", partition, "bytes", held,
			"remedy", "see why acquiring fails, endings are refused or the partition settles; others go on")
	case was && !is:
		u.log.Info("what was read has found its place; reading goes on", "partition", partition)
	}
}

// isClogged reports whether the reader of a partition has waited for what was read before for longer than a session lasts.
func (u *pressure) isClogged(partition int, now int64) bool {
	since, _ := u.memory.Waiting(partition)
	if since == 0 || now <= since+int64(u.cfg.sessionTTL) {
		return false
	}
	s, _ := u.partitions[partition].view()
	return s != nil && s.Remaining() > 0 // without one nothing is read anyway
}

// anyClogged reports whether that is so of any.
func (u *pressure) anyClogged() bool {
	now := u.clock.Now()
	return slices.ContainsFunc(u.partitions, func(p *partition) bool { return u.isClogged(p.number, now) })
}

func (u *pressure) err(late time.Duration) error {
	return fmt.Errorf("renewals are %v late, of %v that a lease has to spare: nothing more is taken; hold fewer streams in this process (WithMaxStreams), or lengthen WithLeaseTTL",
		late.Round(time.Millisecond), u.slack)
}

// allow is how many of n streams the reader of a partition may ask for now.
func (u *pressure) allow(partition, n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if trying := u.trying(); trying < n {
		u.limited.Store(true)
		n = trying
	}
	switch s := &u.mu.parts[partition]; {
	case s.intake == IntakeOpen:
		return n
	case s.intake == IntakeStopped || u.clock.Now() < s.next:
		return 0
	}
	return min(n, max(1, u.cfg.readBatch/len(u.mu.parts)))
}

// trying is how many more leases may be taken before others have been renewed for the first time.
func (u *pressure) trying() int {
	held, young := u.table.Len(), u.table.Young()
	return max(0, max(u.minTrial, (held-young)/trialShare)-young)
}

// reads notes that the reader of a partition reads now.
func (u *pressure) reads(partition int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s := &u.mu.parts[partition]; s.intake == IntakeSlowed {
		s.next = u.clock.Now() + int64(u.cfg.beat)
	}
}

// worst is the state of the partition that is doing worst, and how late the latest renewal is.
func (u *pressure) worst() (intake Intake, late time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range u.mu.parts {
		intake, late = max(intake, u.mu.parts[i].intake), max(late, u.mu.parts[i].late)
	}
	return intake, late
}

// of is how one partition is doing.
func (u *pressure) of(partition int) strain {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.parts[partition]
}

// ready is an error where intake has been stopped for longer than others wait for a process that is silent.
func (u *pressure) ready(partition int) error {
	if s := u.of(partition); s.stopped > 0 && u.clock.Now() > s.stopped+int64(u.cfg.sessionTTL) {
		return fmt.Errorf("%w: partition %d: %w", api.ErrNotReady, partition, u.err(s.late))
	}
	return nil
}

// state is whether the engine takes more, given the state of the partition that is doing worst, and whether one is
// clogged.
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
	case u.queued() >= 2*u.cfg.readBatch:
		return IntakeBehind
	case u.limited.Load():
		return IntakeSlowed
	}
	return worst
}

// reserve takes room for at most n more streams, and none while handlers are far behind. What it took counts as held
// until it is released.
func (u *pressure) reserve(n int) int {
	if u.queued() >= 2*u.cfg.readBatch {
		return 0
	}
	return u.streams.Reserve(n)
}

// reserveInTurn is reserve for the reader of a partition: while others wait for room, whoever had none for longest comes
// first. One that gets none counts as waiting until it ends its turn.
func (u *pressure) reserveInTurn(partition, n int) int {
	if u.queued() >= 2*u.cfg.readBatch {
		return 0
	}
	if n = u.allow(partition, n); n == 0 {
		u.streams.EndTurn(partition) // others need not wait for it
		return 0
	}
	if n = u.streams.ReserveInTurn(partition, n); n > 0 {
		u.reads(partition)
	}
	return n
}
