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
	// agreeEvery is how often an engine or publisher asks at least whether the service is still what it takes it for, less
	// up to a tenth: how long a record that was deleted stays missing, and how long two owners are possible where somebody
	// changed it by hand. One small script a process.
	agreeEvery = 30 * time.Second
	// agreeRetry is how long to wait after an attempt without an answer.
	agreeRetry = 5 * time.Second
)

// agreementConfig is what an agreement needs. All are set.
type agreementConfig struct {
	ask      func(ctx context.Context) error // once, bounded in time
	refused  func(err error)                 // the service is another one: give everything up
	restored func()                          // it is again what it was
	failed   func(err error)                 // no answer
	random   func() float64
}

// agreement asks again and again whether the service is what this engine takes it for. It has a goroutine of its own: the
// record lives on one master, and no other one's renewals and reads wait for that.
//
// A session counts only once the question was asked after it was opened: see ticket. Who changes the service writes that
// down first and then looks for sessions; an engine opens its session first and then asks. So one of the two sees the
// other, whatever the order.
type agreement struct {
	agreementConfig
	kick    chan struct{}
	err     atomic.Pointer[error] // why nothing may be taken; nil: all agree
	changed cond.Cond             // an attempt has ended

	mu struct {
		sync.Mutex
		known bool   // the start has checked the service
		begun uint64 // attempts
		ended uint64
	}
}

func newAgreement(c agreementConfig) *agreement {
	return &agreement{agreementConfig: c, kick: make(chan struct{}, 1)}
}

// begin is called when the start has asked, all agreed, and sessions may be opened.
func (a *agreement) begin() {
	a.mu.Lock()
	a.mu.known = true
	a.mu.Unlock()
}

// begun reports whether begin was called. Until then no session is opened, whoever wants one: where the record is missing, a
// session of our own would look like a member who knows it, and every start would wait for that one.
func (a *agreement) begun() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.known
}

// ticket has the question asked soon, and names the first attempt that begins from now on.
func (a *agreement) ticket() uint64 {
	a.mu.Lock()
	n := a.mu.begun + 1
	a.mu.Unlock()
	select {
	case a.kick <- struct{}{}:
	default:
	}
	return n
}

// await waits, unless ctx ends first, until an attempt has ended, with or without an answer: a master that is away
// has not changed the service.
func (a *agreement) await(ctx context.Context, ticket uint64) {
	a.changed.Wait(ctx, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.mu.ended >= ticket
	})
}

// disagrees is why nothing may be taken; nil when something may.
func (a *agreement) disagrees() error {
	if err := a.err.Load(); err != nil {
		return *err
	}
	return nil
}

// loop asks at the interval, and when somebody wants it, until ctx ends.
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

// attempt asks once, and returns how long to wait before the next time.
func (a *agreement) attempt(ctx context.Context) time.Duration {
	a.mu.Lock()
	known := a.mu.known
	if known {
		a.mu.begun++
	}
	a.mu.Unlock()
	if !known {
		return a.interval() // the start asks by itself
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
		// Before refused takes the sessions: whoever opens one looks at this after it.
		if a.err.Swap(&err) == nil {
			a.refused(err)
		}
	default: // what was known stands
		a.failed(err)
		next = agreeRetry
	}
	a.mu.Lock()
	a.mu.ended++
	a.mu.Unlock()
	a.changed.Broadcast()
	return next
}

func disagreement(err error) error { return fmt.Errorf("%w: %w", api.ErrSessionLost, err) }
