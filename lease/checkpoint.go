package lease

import (
	"context"
	"sync"

	"github.com/streamlease/streamlease/api"
)

// checkpoint is how far the owner of one lease has come, and how far that is stored. It is made when it is first needed, so a lease
// whose owner uses none costs a pointer.
//
// Each value that is set has a number. What is on its way has one, too, and a lease is in one call at a time: what is set meanwhile
// travels in the next. Numbers are compared by their difference, so they may wrap around.
type checkpoint struct {
	mu      sync.Mutex // before unsaved.mu
	place   savingPlace
	dropped bool // deleted with the ending
	closed  bool // the lease has ended: nothing changes any more
	wanted  bool // it is among those that somebody waits for
	set     uint32
	sent    uint32 // what is, or was last, on its way
	stored  uint32 // as far as is known; another number than set: to be stored
	value   string
	waiters *saveWaiter
}

// savingPlace is where a lease stands on the way of its checkpoint to Redis.
type savingPlace uint8

const (
	savingIdle   savingPlace = iota // nothing is to be stored, or nobody has listed it yet
	savingListed                    // in the list of its session
	savingSent                      // in a call
	savingNever                     // what is stored is not known, so nothing is written over it
)

// saveWaiter is a call of SaveCheckpoint that waits.
type saveWaiter struct {
	set  uint32
	done chan struct{} // closed when err is set
	err  error
	next *saveWaiter
}

// progress returns the state of the checkpoint, and makes it if there is none.
func (l *Lease) progress() *checkpoint {
	if c := l.checkpoint.Load(); c != nil {
		return c
	}
	l.checkpoint.CompareAndSwap(nil, &checkpoint{})
	return l.checkpoint.Load()
}

// Checkpoint is that of the stream, as the last owner left it or as it was last set here.
func (l *Lease) Checkpoint() string {
	c := l.checkpoint.Load()
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

// Inherit notes the checkpoint that the acquisition found. It must be called before anybody else has the lease.
func (l *Lease) Inherit(value string) {
	if value != "" {
		l.checkpoint.Store(&checkpoint{value: value})
	}
}

// Blind notes that the acquisition could not read the checkpoint, since this user of Redis may not, or the key has another type. As
// long as the lease lasts, nothing is written over what is stored. It must be called before anybody else has the lease.
func (l *Lease) Blind() { l.checkpoint.Store(&checkpoint{place: savingNever}) }

// SetCheckpoint sets the checkpoint.
func (l *Lease) SetCheckpoint(value string) {
	if len(value) > api.MaxCheckpoint {
		l.session.unsaved.tooLong(len(value))
		return
	}
	l.set(value, nil)
}

// SaveCheckpoint sets the checkpoint and waits until it is stored.
func (l *Lease) SaveCheckpoint(ctx context.Context, value string) error {
	if len(value) > api.MaxCheckpoint {
		return api.ErrCheckpointTooLong
	}
	w := &saveWaiter{done: make(chan struct{})}
	if !l.set(value, w) {
		return api.NotHeld(l.cause())
	}
	if err := l.session.unsaved.refusal(); err != nil { // after it was set: see Session.RefuseCheckpoints
		l.forget(w)
		return err
	}
	l.session.unsaved.want()
	if err := l.await(ctx, w.done); err != nil {
		l.forget(w)
		return err
	}
	return w.err
}

// DropCheckpoint has the checkpoint deleted with the ending of the lease.
func (l *Lease) DropCheckpoint() {
	c := l.progress()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && l.Remaining() > 0 {
		c.dropped = true
	}
}

// cause is why the lease is not held.
func (l *Lease) cause() error {
	if e := l.ending.Load(); e != nil {
		return e.Cause
	}
	return api.ErrLeaseLost
}

// set sets the checkpoint if the lease is held, and has w, if there is one, wait for that. It reports whether the lease is held.
func (l *Lease) set(value string, w *saveWaiter) bool {
	c := l.progress()
	c.mu.Lock()
	defer c.mu.Unlock()
	// Looked at under the lock: what is set before the ending takes its snapshot is in it, and what comes later has no effect.
	if c.closed || l.Remaining() == 0 {
		return false
	}
	c.dropped = false
	if c.place == savingNever {
		c.value = value
		c.answer(w, api.ErrNoCheckpoints)
		return true
	}
	if c.value != value || c.set == 0 {
		c.value = value
		c.set++
	}
	switch {
	case c.set == c.stored:
		c.answer(w, nil)
	case w != nil:
		w.set, w.next = c.set, c.waiters
		c.waiters = w
	}
	l.listLocked(c)
	return true
}

// answer ends a wait; w may be nil.
func (c *checkpoint) answer(w *saveWaiter, err error) {
	if w != nil {
		w.err = err
		close(w.done)
	}
}

// listLocked puts the lease on the list of its session if its checkpoint is to be stored, and can be; and in front if somebody waits.
func (l *Lease) listLocked(c *checkpoint) {
	u := &l.session.unsaved
	if c.place == savingIdle && c.set != c.stored && !c.closed && u.refusal() == nil {
		c.place = savingListed
		u.add(l, false)
	}
	if c.place == savingListed && c.waiters != nil && !c.wanted {
		c.wanted = true
		u.add(l, true)
	}
}

// forget takes a waiter out that waits no longer.
func (l *Lease) forget(w *saveWaiter) {
	c := l.progress()
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := &c.waiters; *at != nil; at = &(*at).next {
		if *at == w {
			*at = w.next
			return
		}
	}
}

// answerLocked ends the waits for what was set up to number.
func (c *checkpoint) answerLocked(number uint32, err error) {
	for at := &c.waiters; *at != nil; {
		w := *at
		if int32(number-w.set) < 0 {
			at = &w.next
			continue
		}
		*at = w.next
		c.answer(w, err)
	}
}

// Send notes that the checkpoint is on its way, and returns it; false: there is nothing to be stored, or another call has it, or it
// weighs more than most, which fits reports. It must be given back by Stored or NotStored.
func (l *Lease) Send(most int) (x Saving, fits, ok bool) {
	c := l.checkpoint.Load()
	if c == nil {
		return x, true, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x = Saving{Lease: l, Value: c.value}
	switch {
	case c.place != savingListed: // on the list twice
		return x, true, false
	case c.closed || c.set == c.stored || l.Remaining() == 0:
		c.place, c.wanted = savingIdle, false
		return x, true, false
	case x.Weight() > most:
		return x, false, false
	}
	c.place, c.wanted, c.sent = savingSent, false, c.set
	return x, true, true
}

// Stored notes that the checkpoint that was on its way is stored.
func (l *Lease) Stored() {
	c := l.checkpoint.Load()
	c.mu.Lock()
	c.stored = c.sent
	c.answerLocked(c.sent, nil)
	l.backLocked(c)
}

// NotStored notes that the checkpoint that was on its way is not stored, or may not be. It is sent again unless the lease has ended.
// With an error, those who wait for it get that.
func (l *Lease) NotStored(err error) {
	c := l.checkpoint.Load()
	c.mu.Lock()
	if err != nil {
		c.answerLocked(c.sent, err)
	}
	l.backLocked(c)
}

// backLocked ends what Send began, and unlocks. Where somebody waits for what was set meanwhile, that is sent at once.
func (l *Lease) backLocked(c *checkpoint) {
	c.place = savingIdle
	l.listLocked(c)
	wanted := c.wanted
	c.mu.Unlock()
	if wanted {
		l.session.unsaved.want()
	}
}

// Doubt has the checkpoint stored again, since the server may have forgotten it. What is on its way counts as older.
func (l *Lease) Doubt() {
	c := l.checkpoint.Load()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place != savingNever && (c.set != 0 || c.value != "") {
		c.set++
		l.listLocked(c)
	}
}

// EndCheckpoint writes what the ending of the lease has to do about the checkpoint into its disposition. Nothing changes it from then on.
//
// A checkpoint that is stored already goes along, too: it costs little, and a server that has just taken over may have forgotten it.
func (l *Lease) EndCheckpoint(to *Disposition) {
	c := l.checkpoint.Load()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	switch {
	case c.dropped:
		to.DropCheckpoint = true
	case c.place == savingNever:
	case c.set == 0: // as it was found
		to.Checkpointed = true
	default:
		to.Checkpoint, to.Checkpointed = &c.value, true
	}
}

// SettleCheckpoint ends all waits for the checkpoint to be stored, since the lease's ending has an outcome.
func (l *Lease) SettleCheckpoint(err error) {
	c := l.checkpoint.Load()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for ; c.waiters != nil; c.waiters = c.waiters.next {
		c.answer(c.waiters, err)
	}
}
