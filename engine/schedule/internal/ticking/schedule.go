package ticking

import "github.com/streamlease/streamlease/engine/schedule/internal/timing"

const (
	// Grace is how late a tick may begin and still be no missed one: a hand-over takes a part of it.
	Grace = 1000

	// mostSpread bounds by how much ticks that were missed are spread, or all of a fleet that comes back would be fired at once.
	mostSpread = 10_000

	// farAhead is how far ahead of the server's clock the last tick may be. What is further was fired while that clock was wrong, and
	// would keep the schedule from ticking until then.
	farAhead = 24 * 60 * 60 * 1000

	// cronWindow is how late a tick of a cron expression may begin, unless the spec says so.
	cronWindow = 24 * 60 * 60 * 1000
)

// Terms are what a spec says.
type Terms struct {
	timing.Timing
	Name   string
	Soon   bool  // the first tick is off the grid
	Skip   bool  // missed ticks are not fired
	Window int64 // how late a missed tick may begin; 0: the default
}

// Done is what is stored of a schedule: what its owners have done.
type Done struct {
	Last      int64  // the last tick that has begun, or was missed after that; 0: none in this incarnation
	Number    uint64 // of the last one that was done
	Missed    int    // ticks missed since then
	Triggered int64  // the last trigger that was handled
}

// Schedule is the state of one schedule while it is owned.
type Schedule struct {
	points timing.Points // of its terms, whose others follow
	name   string
	window int64
	soon   bool
	skip   bool

	done Done

	from  int64 // nothing is due up to there any more
	seen  int64 // the last tick that has begun, was missed, or is ready; 0: none in this incarnation
	begun bool  // one has begun in this incarnation, manual ones aside
	since int64 // from when on the spec holds

	missed  int    // since the last one that has begun
	ready   int64  // the tick that begins next; 0: none
	readyAt int64  // when it begins at the earliest
	before  before // it was ready

	number    uint64 // of the last one that has begun
	trigger   int64  // the last one that was asked for
	triggered int64  // the last one that has begun

	paused  bool
	running bool
}

// before is what was stored as Last and Missed before a tick was ready, which has not begun.
type before struct {
	seen   int64
	missed int
}

// Begin is a tick that begins.
type Begin struct {
	At     int64 // its time by the grid; of a manual one the time of its trigger
	Number uint64
	Missed int // ticks before it that were not fired
	Manual bool
}

// Step is what is to be done.
type Step struct {
	Begin  *Begin // nil: nothing begins
	WakeAt int64  // when to look again; 0: there is no need to
	Counts
}

// Counts count ticks that were not fired.
type Counts struct {
	Overlapped int // due while an earlier one was at work
	Missed     int // their time had passed
	TooLate    int // and a later one was outside the window
}

// New returns the state of a schedule as its last owner left it.
func New(t Terms, since int64, paused bool, trigger int64, done Done) *Schedule {
	s := &Schedule{done: done, seen: done.Last, begun: done.Last != 0, since: since, missed: done.Missed, number: done.Number,
		trigger: trigger, triggered: done.Triggered, paused: paused}
	s.follow(t)
	s.points, s.from = timing.From(t.Timing, t.Name, t.Soon, since, done.Last)
	return s
}

// Edit has the schedule follow another spec, or the same since another time: it was edited, or resumed. A tick at work goes on.
func (s *Schedule) Edit(t Terms, since int64, paused bool, trigger int64) {
	s.trigger = max(s.trigger, trigger)
	if paused && !s.paused {
		s.ready = 0 // what is due while it is paused is not missed
	}
	s.paused = paused
	same := since == s.since && t.Timing == s.points.Timing && t.Soon == s.soon
	s.since = since
	s.follow(t)
	if same {
		return
	}
	if s.ready != 0 {
		s.ready = 0
		s.missed++
	}
	last := int64(0)
	if s.begun {
		last = s.seen // as the next owner will have it
	}
	s.points, s.from = timing.From(t.Timing, t.Name, t.Soon, since, last)
}

// follow takes in what terms say besides the timing.
func (s *Schedule) follow(t Terms) {
	s.name, s.window, s.soon, s.skip = t.Name, t.Window, t.Soon, t.Skip
}

// Wake looks at what is due.
func (s *Schedule) Wake(now int64) (st Step) {
	if !s.paused {
		s.collect(now, &st)
	}
	switch {
	case s.running:
	case s.trigger > s.triggered:
		st.Begin = s.beginManual()
	case s.ready != 0 && now >= s.readyAt:
		st.Begin = s.beginReady()
	}
	st.WakeAt = s.next(now)
	return st
}

// Stepped is Wake after the server's clock has stepped.
func (s *Schedule) Stepped(now int64) Step {
	if s.ready != 0 {
		s.readyAt = min(s.readyAt, now+mostSpread)
	}
	return s.Wake(now)
}

// next returns when to wake up.
func (s *Schedule) next(now int64) int64 {
	if s.paused {
		return 0
	}
	at, ok := s.points.Next(max(s.from, now))
	if s.ready != 0 && !s.running && (!ok || s.readyAt < at) {
		return s.readyAt
	}
	if !ok {
		return 0
	}
	return at
}

// collect takes in the ticks that have become due. Of several the last one may begin; the others are missed.
func (s *Schedule) collect(now int64, st *Step) {
	if s.from > now+farAhead {
		s.from = now
	}
	at, n := s.points.Last(s.from, now)
	if n == 0 {
		return
	}
	was := before{s.seen, s.missed}
	s.from, s.seen = at, at
	if s.ready != 0 { // it has waited for longer than there was time
		s.ready, was = 0, s.before
		s.missed++
		st.Missed++
	}
	late := now - at
	switch {
	case s.running:
		s.missed += n
		st.Overlapped += n
	case late <= Grace:
		s.getReady(was, now, n, st)
	case s.skip:
		s.missed += n
		st.Missed += n
	case late > s.latest():
		s.missed += n
		st.Missed += n - 1
		st.TooLate++
	default:
		s.getReady(was, now+s.spread(now, late, n), n, st)
	}
}

// getReady has the last one of n ticks begin at a time.
func (s *Schedule) getReady(was before, when int64, n int, st *Step) {
	s.missed += n - 1
	st.Missed += n - 1
	s.ready, s.readyAt, s.before = s.seen, when, was
}

// latest is how late a tick may begin.
func (s *Schedule) latest() int64 {
	switch {
	case s.window > 0:
		return s.window
	case s.points.Every() > 0:
		return 1 << 62 // the next one would be due
	}
	return cronWindow
}

// spread is by how much a missed tick is deferred, so that it begins before the next one is due. After a long outage every schedule has missed
// some. After one that is shorter than the interval, as when a process dies, only those have that were due in it: the longer it was, the
// more they are.
func (s *Schedule) spread(now, late int64, missed int) int64 {
	within := int64(mostSpread)
	if every := s.points.Every(); every > 0 {
		within = min(within, every/2)
	}
	if missed == 1 {
		within = min(within, late/16)
	}
	if next, ok := s.points.Next(max(s.from, now)); ok {
		within = min(within, (next-now)/2)
	}
	return timing.Spread(s.name, within)
}

func (s *Schedule) beginReady() *Begin {
	b := &Begin{At: s.ready, Missed: s.missed}
	s.begun, s.ready, s.missed = true, 0, 0
	return s.begin(b)
}

func (s *Schedule) beginManual() *Begin {
	s.triggered = s.trigger
	b := &Begin{At: s.trigger / 1000, Manual: true}
	return s.begin(b)
}

func (s *Schedule) begin(b *Begin) *Begin {
	s.running = true
	s.number++
	b.Number = s.number
	return b
}

// End is called when the tick that was begun is over. fired says that it counts as fired; otherwise its process has lost the schedule, or
// was about to, and the next owner fires it. It returns what is to be stored.
func (s *Schedule) End(fired bool) Done {
	s.running = false
	if !fired {
		return s.done
	}
	s.done = Done{Last: s.seen, Number: s.number, Missed: s.missed, Triggered: s.triggered}
	switch {
	case !s.begun: // only manual ones so far
		s.done.Last, s.done.Missed = 0, 0
	case s.ready != 0: // it has not begun
		s.done.Last, s.done.Missed = s.before.seen, s.before.missed
	}
	return s.done
}

// Waiting reports whether a tick waits for the end of the one at work, or for its time to begin.
func (s *Schedule) Waiting() bool { return s.ready != 0 || s.trigger > s.triggered }

// Running reports whether a tick has begun and not ended.
func (s *Schedule) Running() bool { return s.running }

// Trigger returns the last trigger that was asked for.
func (s *Schedule) Trigger() int64 { return s.trigger }

// Paused reports whether the schedule is paused.
func (s *Schedule) Paused() bool { return s.paused }

// Next returns when the next tick is due by the grid; 0: there is none.
func (s *Schedule) Next(now int64) int64 {
	if s.paused {
		return 0
	}
	at, _ := s.points.Next(max(s.from, now))
	return at
}
