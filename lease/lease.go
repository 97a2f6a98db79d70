package lease

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/wheel"
)

// Completer carries out endings. End must not block.
type Completer interface{ End(l *Lease) }

// Lease is one ownership: the api.Lease that users hold, and the row of the Table that renewal works on. It is held while it
// has no ending and both its own deadline and its session's lie ahead.
type Lease struct {
	// What a renewal needs of each lease, side by side: with many leases, a renewal costs this process mostly the memory that
	// it has to fetch.
	key     string // of the lease in Redis; it ends in the stream's name
	tag     string // "<token> <entry>", what the lease's value has after the consumer
	session *Session
	until   deadline
	due     int64 // when its next renewal is, or was, due; guarded by the Table's mutex, as the next four are
	handle  wheel.Handle
	listed  bool
	queued  bool // waits for a renewal or is in one
	renewed bool // at least once

	// Delivery is for whoever delivers the lease's notifications, and guarded by a mutex of theirs. It has its place here since there it
	// takes no memory.
	Delivery uint8

	released   atomic.Bool                   // Releasing was posted
	superseded atomic.Pointer[chan struct{}] // made when first asked for; announced once the stream was announced again

	info       json.RawMessage
	token      api.Token
	completer  Completer
	ending     atomic.Pointer[Ending]        // nil until it ends; set once
	ctx        atomic.Pointer[cancelContext] // made when somebody waits for the end
	checkpoint atomic.Pointer[checkpoint]    // made when it is first needed
	fields     *[]api.Field                  // of the producer, beside the announcement; nil: none
	since      int64                         // when it was acquired, on the session's clock
	nameAt     uint16
	entryAt    uint16
	retries    uint16
	crashes    uint16
}

// New returns the lease that an acquisition of e, sent at sent, gave this process. It lasts for trust from then on: its TTL
// less the margin.
func New(s *Session, e *Entry, token api.Token, sent int64, trust time.Duration, completer Completer) *Lease {
	key, tag, entryAt := keyAndTag(e.Key, token, e.ID)
	l := &Lease{
		key:       key,
		tag:       tag,
		info:      e.Info,
		fields:    e.Beside,
		token:     token,
		session:   s,
		completer: completer,
		since:     s.clock.Now(),
		nameAt:    uint16(len(e.Key) - len(e.Stream)),
		entryAt:   uint16(entryAt),
		retries:   uint16(min(e.Retries, 1<<16-1)),
		crashes:   uint16(min(e.Crashes, 1<<16-1)),
	}
	l.until.at.Store(sent + int64(trust))
	return l
}

var _ api.Lease = (*Lease)(nil)

// Stream is the data stream's name.
func (l *Lease) Stream() string { return l.key[l.nameAt:] }

// Token is the fencing token.
func (l *Lease) Token() api.Token { return l.token }

// tokenText is the token as it is sent.
func (l *Lease) tokenText() string { return l.tag[:l.entryAt-1] }

// Entry is the ID of the announcement.
func (l *Lease) Entry() string { return l.tag[l.entryAt:] }

// Info is the JSON that was announced with the stream.
func (l *Lease) Info() json.RawMessage { return l.info }

// Field is a field that a producer put beside the announcement.
func (l *Lease) Field(name string) (value string, ok bool) {
	if l.fields == nil {
		return "", false
	}
	for _, f := range *l.fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// Attempt is the number of retries so far.
func (l *Lease) Attempt() int { return int(l.retries) }

// Session is the session that it was acquired under.
func (l *Lease) Session() *Session { return l.session }

// Partition is where the stream belongs.
func (l *Lease) Partition() int { return l.session.partition }

// Key is the lease's key in Redis.
func (l *Lease) Key() string { return l.key }

// Since is when it was acquired, on the session's clock.
func (l *Lease) Since() int64 { return l.since }

// TellReleasing reports true the first time: the owner is notified once that the stream is to be handed back.
func (l *Lease) TellReleasing() bool { return l.released.CompareAndSwap(false, true) }

// Releasing reports whether TellReleasing was called.
func (l *Lease) Releasing() bool { return l.released.Load() }

// Held reports whether this process owns the stream, or will if what was tried does not end the lease.
func (l *Lease) Held() bool {
	e := l.ending.Load()
	return (e == nil || e.trying()) && l.Believed() > 0
}

// Remaining is the exact check of ownership.
func (l *Lease) Remaining() time.Duration {
	if l.ending.Load() != nil {
		return 0
	}
	return l.BelievedAt(l.session.clock.Now())
}

// BelievedAt is Believed at now, for callers that check many leases.
func (l *Lease) BelievedAt(now int64) time.Duration {
	return min(l.until.remaining(now), l.session.until.remaining(now))
}

// Believed returns how long the lease in Redis is known to be ours, whether or not its owner has ended it.
func (l *Lease) Believed() time.Duration { return l.BelievedAt(l.session.clock.Now()) }

// Until is the lease's own deadline on the clock, 0 once past.
func (l *Lease) Until() int64 { return l.until.load() }

// Extend records that a renewal sent at sent succeeded. It reports false if the deadline had passed before the answer came.
func (l *Lease) Extend(sent int64, trust time.Duration) bool {
	return l.until.extend(l.session.clock.Now(), sent+int64(trust))
}

// Cap lowers the deadline to until, because the server may have forgotten the lease.
func (l *Lease) Cap(until int64) { l.until.lower(until) }

// Ending returns how the lease ended, nil while it has not.
func (l *Lease) Ending() *Ending { return l.ending.Load() }

// Lose ends the lease as lost, with a cause that matches api.ErrLeaseLost (or is api.ErrClosed). It reports false if its owner,
// or the engine on the owner's behalf, had ended it before, or is about to: then who carries out that ending learns of it.
func (l *Lease) Lose(cause error) bool {
	lost := &Ending{Kind: EndLost, Cause: cause}
	for !l.ending.CompareAndSwap(nil, lost) {
		now := l.ending.Load()
		switch {
		case now == nil: // undone
		case now.attempt == nil:
			return now.Kind == EndLost
		case now.then(lost) != nil || l.ending.Load() == now:
			return false
		}
	}
	l.SettleCheckpoint(cause) // first: who waits with the lease's context learns why it ended
	l.cancelContext()
	return true
}

// end ends the lease on purpose if it is held. It returns the ending that counts, and whether it is this one. For the user the
// lease is over for good before anything is sent, unless this is an attempt.
func (l *Lease) end(e *Ending) (*Ending, bool) {
	if l.BelievedAt(l.session.clock.Now()) == 0 {
		l.Lose(api.ErrLeaseLost)
	}
	for !l.ending.CompareAndSwap(nil, e) {
		now := l.ending.Load()
		if now == nil {
			continue // undone
		}
		if now.attempt == nil || e.attempt != nil {
			return now, false
		}
		if kept := now.then(e); kept != nil {
			return kept, kept == e
		}
		if l.ending.Load() == now {
			return now, false
		}
	}
	l.cancelContext()
	l.completer.End(l)
	return e, true
}

// HandBack ends the lease on behalf of the engine, after Releasing; nobody waits for the outcome. It reports false if the lease
// had ended.
func (l *Lease) HandBack() bool { return l.HandBackFor(api.ErrReleasing) }

// HandBackFor is HandBack with a cause, which must match api.ErrReleasing.
func (l *Lease) HandBackFor(cause error) bool {
	_, first := l.end(&Ending{Kind: EndHandBack, Cause: cause, settled: make(chan struct{})})
	return first
}

// FailFor ends the lease as Fail does, without waiting. It reports false if the lease had ended.
func (l *Lease) FailFor(why error) bool {
	_, first := l.end(&Ending{Kind: EndFailed, Cause: api.ErrFailed, Why: why, settled: make(chan struct{})})
	return first
}

// Done ends the lease because the work is finished.
func (l *Lease) Done(ctx context.Context) error {
	return l.endAndWait(ctx, EndDone, nil)
}

// Release hands the stream back.
func (l *Lease) Release(ctx context.Context) error {
	return l.endAndWait(ctx, EndReleased, nil)
}

// Fail counts a retry and hands the stream back after a delay, or to the dead letters.
func (l *Lease) Fail(ctx context.Context, why error) error {
	return l.endAndWait(ctx, EndFailed, why)
}

func (l *Lease) endAndWait(ctx context.Context, kind EndKind, why error) error {
	e, first := l.end(&Ending{Kind: kind, Cause: l.ownEnd(kind), Why: why, settled: make(chan struct{})})
	if !first && e.Kind != kind {
		return api.NotHeld(e.Cause)
	}
	return l.wait(ctx, e)
}

// ownEnd is the cause of the lease's context if its owner ends it in that way: wait distinguishes it from other causes.
func (l *Lease) ownEnd(kind EndKind) error {
	switch kind {
	case EndDone:
		return &ownEnd{l, api.ErrDone}
	case EndReleased:
		return &ownEnd{l, api.ErrReleased}
	case EndFailed:
		return &ownEnd{l, api.ErrFailed}
	}
	return &ownEnd{l, api.ErrNotHeld}
}

type ownEnd struct {
	lease *Lease
	error // matches api.ErrNotHeld
}

func (e *ownEnd) Unwrap() error { return e.error }

// wait waits for the outcome of an ending.
func (l *Lease) wait(ctx context.Context, e *Ending) error {
	if err := l.await(ctx, e.settled); err != nil {
		return err
	}
	return e.err
}

// await waits until done is closed. If ctx ends because this lease did, but was not lost, that end is ignored, though not a deadline
// of ctx.
func (l *Lease) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default: // a known outcome counts even if ctx has ended
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	if !l.endedBy(context.Cause(ctx)) {
		return ctx.Err()
	}
	var timeout <-chan time.Time
	if at, ok := ctx.Deadline(); ok {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-done:
		return nil
	case <-timeout:
		return context.DeadlineExceeded
	}
}

// endedBy reports whether cause is why this lease has ended, unless it was lost.
func (l *Lease) endedBy(cause error) bool {
	var own *ownEnd
	if errors.As(cause, &own) {
		return own.lease == l
	}
	e := l.ending.Load()
	return e != nil && e.Kind != EndLost && cause == e.Cause
}
