package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/cond"
	"github.com/streamlease/streamlease/lease"
)

const (
	// agreeEvery is the longest interval at which an engine or publisher checks that the service is still the one it was; up to a tenth
	// is taken off at random. That is how long a deleted record stays missing, and how long two owners are possible if somebody changed
	// the record by hand. Each check is one small script per process.
	agreeEvery = 30 * time.Second
	// agreeRetry is how long to wait after an attempt that had no answer.
	agreeRetry = 5 * time.Second
)

// agreementConfig is what an agreement works with. All are set.
type agreementConfig struct {
	ask      func(ctx context.Context) error // makes one attempt, bounded in time
	refused  func(err error)                 // called when the service is another one: everything must be given up
	restored func()                          // called when the service is again what it was
	failed   func(err error)                 // called when an attempt had no answer
	random   func() float64                  // in [0, 1)
}

// agreement checks again and again, in a goroutine of its own, that the service is still the one this engine was configured for. The
// service's record is on one master, and renewals and reads of other masters must not wait for that one.
//
// A session counts only once an attempt has been made after it was opened: see ticket. Whoever changes the service writes the record
// first and then looks for sessions; an engine opens its session first and then reads the record. So one of the two sees the other,
// whatever the order.
type agreement struct {
	agreementConfig
	kick    chan struct{}
	err     atomic.Pointer[error] // why nothing may be acquired; nil: all agree
	changed cond.Cond             // an attempt has ended

	mu struct {
		sync.Mutex
		known    bool   // start has checked the service
		attempts uint64 // that have begun
		ended    uint64 // attempts that have ended
	}
}

func newAgreement(c agreementConfig) *agreement {
	return &agreement{agreementConfig: c, kick: make(chan struct{}, 1)}
}

// begin is called when start has asked and all agree: from now on sessions may be opened.
func (a *agreement) begin() {
	a.mu.Lock()
	a.mu.known = true
	a.mu.Unlock()
}

// begun reports whether begin was called. Until then no session is opened, whoever wants one: if the record is missing, a session of
// our own would look like that of a process that knows the record, and every start would wait for that process.
func (a *agreement) begun() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.known
}

// ticket requests an attempt soon, and returns the number of the first one that begins from now on.
func (a *agreement) ticket() uint64 {
	a.mu.Lock()
	n := a.mu.attempts + 1
	a.mu.Unlock()
	select {
	case a.kick <- struct{}{}:
	default:
	}
	return n
}

// await waits, unless ctx ends first, until the attempt with this number has ended, with or without an answer: if the master is down,
// nobody has changed the service.
func (a *agreement) await(ctx context.Context, ticket uint64) {
	a.changed.Wait(ctx, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.mu.ended >= ticket
	})
}

// disagrees returns why nothing may be acquired; nil if all agree.
func (a *agreement) disagrees() error {
	if err := a.err.Load(); err != nil {
		return *err
	}
	return nil
}

// loop makes attempts at intervals and on request, until ctx ends.
func (a *agreement) loop(ctx context.Context) {
	next := a.interval()
	for {
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-a.kick:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		next = a.attempt(ctx)
	}
}

func (a *agreement) interval() time.Duration {
	return time.Duration(float64(agreeEvery) * (1 - jitterShare*a.random()))
}

// attempt makes one attempt, and returns how long to wait before the next.
func (a *agreement) attempt(ctx context.Context) time.Duration {
	a.mu.Lock()
	known := a.mu.known
	if known {
		a.mu.attempts++
	}
	a.mu.Unlock()
	if !known {
		return a.interval() // until then, start asks by itself
	}
	err := a.ask(ctx)
	next := a.interval()
	switch {
	case ctx.Err() != nil:
	case err == nil:
		if a.err.Swap(nil) != nil {
			a.restored()
		}
	case lease.Disagrees(err):
		// Stored before refused ends the sessions: whoever opens one checks this after that.
		if a.err.Swap(&err) == nil {
			a.refused(err)
		}
	default: // what was known before still holds
		a.failed(err)
		next = agreeRetry
	}
	a.mu.Lock()
	a.mu.ended++
	a.mu.Unlock()
	a.changed.Broadcast()
	return next
}

// disagreement returns why a session ends when the service has turned out to be another one.
func disagreement(err error) error { return fmt.Errorf("%w: %w", api.ErrSessionLost, err) }
