package scheduletest

import (
	"errors"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/engine/schedule/internal/backing"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
)

// storedAfter is how long a checkpoint waits at most until it is stored, ms, where it is not stored at once.
const storedAfter = 1000

// Schedule is one schedule in virtual time. It belongs to one goroutine.
type Schedule struct {
	// Takes returns how long a tick takes, in virtual time. Nil: no time. While a tick is at work, others are skipped.
	Takes func(t *schedule.Tick) time.Duration

	open  func(schedule.Owned) (schedule.Task, error)
	spec  backing.Spec
	now   int64 // by the server's clock, ms
	born  int64
	since int64

	paused  bool
	trigger int64

	stored  record.Checkpoint
	unsaved []unsaved
	token   api.Token
	owner   *owner // nil: nobody owns it
	fired   []Fired
	skipped ticking.Counts
}

// Fired is a tick that was fired.
type Fired struct {
	At     time.Time // by the grid
	Began  time.Time // by the server's clock
	Number uint64
	Missed int
	Manual bool
	ID     string
	Token  api.Token // of the owner that fired it
	Err    error     // what the task returned
	Lost   bool      // its owner lost the schedule, or died, before it was done
}

// unsaved is a checkpoint that is stored at a time, unless the process dies before.
type unsaved struct {
	at int64
	record.Checkpoint
}

// owner is a process that owns the schedule.
type owner struct {
	lease   *leasetest.Lease
	task    schedule.Task
	ticking *ticking.Schedule
	done    record.Checkpoint
	wakeAt  int64
	tick    *running
}

// running is a tick at work.
type running struct {
	until int64
	index int // in fired
	saved func() ([]byte, bool)
}

// New returns a schedule that was put at a time, and that is owned from then on. The time counts in milliseconds. Errors are those of a Spec
// that Put would refuse, and that of open.
func New(spec schedule.Spec, open func(schedule.Owned) (schedule.Task, error), at time.Time) (*Schedule, error) {
	read, err := backing.Read(spec)
	if err != nil {
		return nil, err
	}
	now := at.UnixMilli()
	s := &Schedule{open: open, spec: read, now: now, born: now, since: now, stored: record.Checkpoint{Born: now}}
	return s, s.Own()
}

// Now is the time by the server's clock.
func (s *Schedule) Now() time.Time { return time.UnixMilli(s.now).UTC() }

// Fired returns the ticks that were fired, in order.
func (s *Schedule) Fired() []Fired { return s.fired }

// Skipped returns how many ticks were not fired: since an earlier one was at work, since their time had passed while nobody owned the
// schedule and a later one was fired or Missed is Skip, and since their Window was over.
func (s *Schedule) Skipped() (overlapped, missed, tooLate int) {
	return s.skipped.Overlapped, s.skipped.Missed, s.skipped.TooLate
}

// State is what Tick.Save kept, as the next owner would get it after a hand-over.
func (s *Schedule) State() []byte {
	if s.owner != nil {
		return s.owner.done.State
	}
	return s.stored.State
}

// Owned reports whether a process owns the schedule.
func (s *Schedule) Owned() bool { return s.owner != nil }

// Own has a process own the schedule, with the state that was stored last. Where one owns it, nothing happens. The error is that of open;
// then nobody owns it.
func (s *Schedule) Own() error {
	if s.owner != nil {
		return nil
	}
	s.token++
	l := leasetest.New(s.spec.Name, leasetest.WithToken(s.token))
	task, err := s.open(schedule.NewOwned(l.Context(), l, s.shown(), s.stored.State))
	if err == nil && task == nil {
		err = errors.New("open returned no task and no error")
	}
	if err != nil {
		return err
	}
	s.owner = &owner{lease: l, task: task, done: s.stored, ticking: ticking.New(s.spec.Terms, s.since, s.paused, s.trigger,
		ticking.Done{Last: s.stored.Last, Number: s.stored.Number, Missed: s.stored.Missed, Triggered: s.stored.Trigger})}
	s.wake()
	return nil
}

func (s *Schedule) shown() *schedule.Spec { return s.spec.Shown.(*schedule.Spec) }

// Run has time pass.
func (s *Schedule) Run(d time.Duration) {
	until := s.now + d.Milliseconds()
	for {
		at := s.next()
		if at == 0 || at > until {
			break
		}
		s.now = max(s.now, at)
		if o := s.owner; o.tick != nil && o.tick.until <= s.now {
			s.end()
		}
		s.wake()
	}
	s.now = until
}

// next is when something happens; 0: nothing does.
func (s *Schedule) next() int64 {
	o := s.owner
	switch {
	case o == nil:
		return 0
	case o.tick != nil && (o.wakeAt == 0 || o.tick.until <= o.wakeAt):
		return o.tick.until
	}
	return o.wakeAt
}

// wake has the owner look at what is due.
func (s *Schedule) wake() { s.follow((*ticking.Schedule).Wake) }

func (s *Schedule) follow(look func(*ticking.Schedule, int64) ticking.Step) {
	for o := s.owner; o != nil; o = s.owner {
		st := look(o.ticking, s.now)
		s.skipped.Overlapped += st.Overlapped
		s.skipped.Missed += st.Missed
		s.skipped.TooLate += st.TooLate
		o.wakeAt = st.WakeAt
		if st.Begin == nil {
			return
		}
		s.begin(st.Begin)
		if o.tick.until > s.now {
			return
		}
		s.end()
	}
}

// begin has the task handle a tick.
func (s *Schedule) begin(b *ticking.Begin) {
	o := s.owner
	t, saved := schedule.NewTick(o.lease, s.shown(), time.UnixMilli(b.At))
	t.Number, t.Missed, t.Manual = b.Number, b.Missed, b.Manual
	if !b.Manual {
		t.Late = time.Duration(max(0, s.now-b.At)) * time.Millisecond
	}
	o.tick = &running{until: s.now, index: len(s.fired), saved: saved}
	if s.Takes != nil {
		o.tick.until += s.Takes(t).Milliseconds()
	}
	s.fired = append(s.fired, Fired{At: t.At, Began: s.Now(), Number: t.Number, Missed: t.Missed, Manual: t.Manual, ID: t.ID(), Token: s.token})
	s.fired[o.tick.index].Err = o.task.Tick(o.lease.Context(), t)
}

// end takes in that the tick at work is over.
func (s *Schedule) end() {
	o := s.owner
	d := o.ticking.End(true)
	o.done.Last, o.done.Number, o.done.Missed, o.done.Trigger = d.Last, d.Number, d.Missed, d.Triggered
	if state, ok := o.tick.saved(); ok && s.fired[o.tick.index].Err == nil {
		o.done.State = state
	}
	o.tick = nil
	if backing.SavesAtOnce(&s.spec.Terms) {
		s.stored, s.unsaved = o.done, nil
		return
	}
	s.unsaved = append(s.unsaved, unsaved{s.now + storedAfter, o.done})
	s.settle()
}

// settle stores what was to be stored by now.
func (s *Schedule) settle() {
	for len(s.unsaved) > 0 && s.unsaved[0].at <= s.now {
		s.stored, s.unsaved = s.unsaved[0].Checkpoint, s.unsaved[1:]
	}
}

// HandBack has the owner hand the schedule back, as in a deploy: a tick at work ends first, and everything is stored. The cause that a
// schedule.Stopper gets matches api.ErrDraining.
func (s *Schedule) HandBack() {
	o := s.owner
	if o == nil {
		return
	}
	if o.tick != nil {
		s.now = max(s.now, o.tick.until)
		s.end()
	}
	s.stored, s.unsaved = o.done, nil
	s.leave(api.ErrDraining)
	o.lease.HandBack()
}

// Kill has the owner die. A tick at work is lost, and so is what was done in the last second and not stored yet; that of intervals from a minute up, and
// of cron expressions, is stored at once. Nobody owns the schedule until Own; a real fleet takes the session TTL and a second.
func (s *Schedule) Kill() {
	o := s.owner
	if o == nil {
		return
	}
	if o.tick != nil {
		s.fired[o.tick.index].Lost = true
	}
	s.settle()
	s.unsaved, s.owner = nil, nil
	o.lease.Lose(api.ErrLeaseLost)
}

// leave calls Stop, and has nobody own the schedule.
func (s *Schedule) leave(cause error) {
	if task, ok := s.owner.task.(schedule.Stopper); ok {
		task.Stop(cause)
	}
	s.owner = nil
}

// Put edits the schedule, whose name stays. An equal spec changes nothing.
func (s *Schedule) Put(spec schedule.Spec) error {
	spec.Name = s.spec.Name
	read, err := backing.Read(spec)
	if err != nil {
		return err
	}
	same, sameTimes := backing.Compare(s.spec, read)
	if same {
		return nil
	}
	s.spec = read
	if !sameTimes {
		s.since = max(s.since, s.now)
	}
	s.edited()
	if o := s.owner; o != nil {
		if task, ok := o.task.(schedule.Changer); ok {
			task.Changed(s.shown())
		}
	}
	s.wake()
	return nil
}

// Pause pauses the schedule, and Resume resumes it: what was due meanwhile is not missed.
func (s *Schedule) Pause() {
	s.paused = true
	s.edited()
	s.wake()
}

// Resume resumes a schedule that is paused.
func (s *Schedule) Resume() {
	if !s.paused {
		return
	}
	s.paused, s.since = false, max(s.since, s.now)
	s.edited()
	s.wake()
}

// Trigger has a tick fired now, whether the schedule is paused or not, by whoever owns it or will own it next.
func (s *Schedule) Trigger() {
	s.trigger = max(s.trigger+1, s.now*1000)
	s.edited()
	s.wake()
}

func (s *Schedule) edited() {
	if s.owner != nil {
		s.owner.ticking.Edit(s.spec.Terms, s.since, s.paused, s.trigger)
	}
}

// StepClock steps the server's clock, forwards or, with a negative d, back.
func (s *Schedule) StepClock(d time.Duration) {
	ms := d.Milliseconds()
	s.now += ms
	for i := range s.unsaved {
		s.unsaved[i].at += ms
	}
	if o := s.owner; o != nil && o.tick != nil {
		o.tick.until += ms
	}
	s.follow((*ticking.Schedule).Stepped)
}
