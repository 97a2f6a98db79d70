package leasetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
)

// DefaultTTL is what Remaining returns for a lease made without WithTTL: the
// default lease TTL of the engine.
const DefaultTTL = 30 * time.Second

// Lease is an [api.Lease] that a test controls. Its methods may be called from
// several goroutines. Done, Release and Fail succeed at once while the lease
// is held, and otherwise return what [api.Lease] documents.
type Lease struct {
	stream  string
	token   api.Token
	entry   string
	info    json.RawMessage
	fields  []api.Field
	attempt int
	ttl     time.Duration
	expires bool

	ctx        *leaseContext
	cancel     context.CancelCauseFunc
	superseded chan struct{}

	mu struct {
		sync.Mutex
		deadline time.Time // meaningless unless expires
		timer    *time.Timer
		outcome  Outcome
		cause    error // of the context; nil while held
		newer    bool  // superseded is closed

		checkpoint string
		dropped    bool
		refused    error // of SaveCheckpoint
	}
}

var _ api.Lease = (*Lease)(nil)

// New returns a held lease of the stream.
func New(stream string, opts ...Option) *Lease {
	s := settings{
		token:  1,
		entry:  "1-0",
		info:   json.RawMessage("{}"),
		ttl:    DefaultTTL,
		parent: context.Background(),
	}
	for _, o := range opts {
		o.apply(&s)
	}
	l := &Lease{
		stream:  stream,
		token:   s.token,
		entry:   s.entry,
		info:    s.info,
		fields:  s.fields,
		attempt: s.attempt,
		ttl:     s.ttl,
		expires: s.expires,

		superseded: make(chan struct{}),
	}
	l.mu.checkpoint = s.checkpoint
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(s.parent))
	l.ctx, l.cancel = &leaseContext{Context: ctx, lease: l}, cancel
	if l.expires {
		l.mu.Lock()
		l.mu.deadline = time.Now().Add(l.ttl)
		l.mu.timer = time.AfterFunc(l.ttl, l.check)
		l.mu.Unlock()
	}
	return l
}

// Stream returns the name given to New.
func (l *Lease) Stream() string { return l.stream }

// Token returns the token set by WithToken.
func (l *Lease) Token() api.Token { return l.token }

// Entry returns the ID set by WithEntry.
func (l *Lease) Entry() string { return l.entry }

// Info returns the info set by WithInfo.
func (l *Lease) Info() json.RawMessage { return l.info }

// Field returns the value of the first field of that name set by WithField.
func (l *Lease) Field(name string) (value string, ok bool) {
	for _, f := range l.fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// Attempt returns the number set by WithAttempt.
func (l *Lease) Attempt() int { return l.attempt }

// Context returns a context that ends with the lease, with the cause that
// [api.Lease] documents.
func (l *Lease) Context() context.Context { return l.ctx }

// Remaining returns what is left of the TTL, or DefaultTTL without WithTTL; 0
// when the lease is not held.
func (l *Lease) Remaining() time.Duration {
	l.check()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.outcome.State != Held:
		return 0
	case !l.expires:
		return l.ttl
	}
	return max(time.Until(l.mu.deadline), 0)
}

// Superseded returns a channel that Supersede closes.
func (l *Lease) Superseded() <-chan struct{} { return l.superseded }

// Supersede makes the lease that of a stream that was announced again: it closes
// the channel of Superseded. It does nothing if the lease has ended, or the
// second time. Notify calls it with a Superseded notification.
func (l *Lease) Supersede() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expireLocked()
	if l.mu.newer || l.mu.outcome.State != Held {
		return
	}
	l.mu.newer = true
	close(l.superseded)
}

// Done ends the lease as done.
func (l *Lease) Done(ctx context.Context) error { return l.finish(ctx, Outcome{State: Done}) }

// Release ends the lease as released.
func (l *Lease) Release(ctx context.Context) error { return l.finish(ctx, Outcome{State: Released}) }

// Fail ends the lease as failed.
func (l *Lease) Fail(ctx context.Context, cause error) error {
	return l.finish(ctx, Outcome{State: Failed, Cause: cause})
}

// Lose ends the lease as lost. The cause of its context is ErrLeaseLost if
// cause is nil, cause itself if that matches ErrLeaseLost or ErrClosed, and
// otherwise an error that matches both ErrLeaseLost and cause. It does nothing
// if the lease has ended.
func (l *Lease) Lose(cause error) {
	switch {
	case cause == nil:
		cause = api.ErrLeaseLost
	case !errors.Is(cause, api.ErrLeaseLost) && !errors.Is(cause, api.ErrClosed):
		cause = fmt.Errorf("%w: %w", api.ErrLeaseLost, cause)
	}
	l.end(Outcome{State: Lost, Cause: cause}, cause)
}

// Expire ends the lease as lost, as if its deadline had passed without a renewal.
func (l *Lease) Expire() { l.Lose(nil) }

// HandBack ends the lease as the engine does after the Releasing of a drain: the
// cause of its context is ErrDraining, which matches ErrReleasing. It does
// nothing if the lease has ended.
func (l *Lease) HandBack() { l.HandBackFor(api.ErrDraining) }

// HandBackFor is HandBack with another cause, such as ErrRebalanced. One that
// does not match ErrReleasing is joined with it.
func (l *Lease) HandBackFor(cause error) {
	if !errors.Is(cause, api.ErrReleasing) {
		cause = errors.Join(api.ErrReleasing, cause)
	}
	l.end(Outcome{State: HandedBack, Cause: cause}, cause)
}

// Renew sets Remaining to the TTL again, as a successful renewal does. It does
// nothing if the lease has ended.
func (l *Lease) Renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expireLocked()
	if !l.expires || l.mu.outcome.State != Held {
		return
	}
	l.mu.deadline = time.Now().Add(l.ttl)
	l.mu.timer.Reset(l.ttl)
}

// Outcome returns how the lease ended, if it did.
func (l *Lease) Outcome() Outcome {
	l.check()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.outcome
}

// finish is what Done, Release and Fail have in common. Each sets a state of
// its own, which shows whether this is the same call again.
func (l *Lease) finish(ctx context.Context, o Outcome) error {
	ended := ctx.Err() // before this call ends it, in case it is the lease's own
	first, state, cause := l.end(o, ownEnd(o.State))
	switch {
	case !first && state != o.State:
		return api.NotHeld(cause)
	case !first:
		return nil
	}
	return ended
}

// ownEnd is the cause of the context of a lease that its owner has ended.
func ownEnd(s State) error {
	switch s {
	case Done:
		return api.ErrDone
	case Released:
		return api.ErrReleased
	case Failed:
		return api.ErrFailed
	}
	return api.ErrNotHeld
}

// end ends the lease if it is held. It reports whether it did, and returns the
// state and the cause of the context that the lease has now.
func (l *Lease) end(o Outcome, cause error) (first bool, state State, _ error) {
	l.mu.Lock()
	l.expireLocked()
	if first = l.mu.outcome.State == Held; first {
		l.mu.outcome, l.mu.cause = o, cause
		if l.mu.timer != nil {
			l.mu.timer.Stop()
		}
	}
	state, cause = l.mu.outcome.State, l.mu.cause
	l.mu.Unlock()
	l.cancel(cause) // the first cause is kept
	return first, state, cause
}

// check ends the lease as lost if its deadline has passed, and the context if
// the lease has ended. It is called by the timer and by every method that looks
// at the lease, so two goroutines that wake at the same instant see the same.
func (l *Lease) check() {
	l.mu.Lock()
	l.expireLocked()
	cause := l.mu.cause
	l.mu.Unlock()
	if cause != nil {
		l.cancel(cause)
	}
}

// expireLocked ends the lease as lost if its deadline has passed. The context is
// ended by the next check, which everything that asks for its end calls.
func (l *Lease) expireLocked() {
	if l.mu.outcome.State == Held && l.expires && !time.Now().Before(l.mu.deadline) {
		l.mu.outcome = Outcome{State: Lost, Cause: api.ErrLeaseLost}
		l.mu.cause = api.ErrLeaseLost
	}
}
