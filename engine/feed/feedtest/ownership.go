package feedtest

import (
	"context"
	"sync"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
)

// Ownership is one ownership of a stream.
type Ownership struct {
	// Lease is its lease. Its Outcome shows how it has ended.
	Lease *leasetest.Lease

	feed  *Feed
	ended chan struct{}

	mu   sync.Mutex
	shut bool
	why  error // of the Releasing
	err  error
	over bool // nothing is called for it any more
}

// end ends the ownership, when all work is over.
func (o *Ownership) end(err error) {
	if err != nil {
		_ = o.Lease.Fail(context.Background(), err)
	} else {
		o.Lease.HandBackFor(o.reason())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.hasEnded() {
		o.err, o.over = err, true
		close(o.ended)
	}
}

// Ended is closed when all work for the stream is over and the lease has ended: by a hand-back, by Finish, by a failure, or lost.
func (o *Ownership) Ended() <-chan struct{} { return o.ended }

func (o *Ownership) hasEnded() bool {
	select {
	case <-o.ended:
		return true
	default:
		return false
	}
}

// Err returns the error with which the stream has failed, nil if it has not.
func (o *Ownership) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Position returns the ID of the last message that is handled by the checkpoint of the lease, "" if it has none yet.
func (o *Ownership) Position() string {
	if mark, err := position.Decode(o.Lease.Checkpoint()); err == nil {
		return mark.At.String()
	}
	return ""
}

// State returns what Batch.SaveState has saved, by the checkpoint of the lease.
func (o *Ownership) State() string {
	mark, _ := position.Decode(o.Lease.Checkpoint())
	return mark.State
}

// Failures returns how often the message after the position has failed, by the checkpoint of the lease.
func (o *Ownership) Failures() int {
	mark, _ := position.Decode(o.Lease.Checkpoint())
	return mark.Failures
}

// calls reports whether something may be called for the ownership; the last call ends that.
func (o *Ownership) calls(last bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return false
	}
	o.over = last
	return true
}

// Release hands the stream back, as a drain does: the batch at hand ends first. It does not wait; Ended does.
func (o *Ownership) Release() { o.ReleaseFor(api.ErrDraining) }

// ReleaseFor is Release for another reason, such as api.ErrRebalanced. As in an engine, the first reason counts, and later calls do
// nothing.
func (o *Ownership) ReleaseFor(why error) {
	o.mu.Lock()
	told := o.why != nil
	if !told {
		o.why = why
	}
	o.mu.Unlock()
	if !told && o.calls(false) {
		o.feed.under.Releasing(o.Lease, why)
	}
}

// reason returns why the stream is handed back.
func (o *Ownership) reason() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.why == nil {
		return api.ErrReleasing // by the feed, unasked
	}
	return o.why
}

// Lose ends the lease as lost; nil is api.ErrLeaseLost. Handlers that run go on until they see it.
func (o *Ownership) Lose(why error) {
	o.Lease.Lose(why)
	if o.Lease.Outcome().State == leasetest.Lost && o.calls(true) {
		o.feed.under.Disowned(o.Lease, context.Cause(o.Lease.Context()))
	}
}

// Supersede announces the stream again while it is owned.
func (o *Ownership) Supersede() {
	if o.calls(false) {
		o.Lease.Supersede()
		o.feed.under.Superseded(o.Lease)
	}
}

// Signal sends a signal to the owner.
func (o *Ownership) Signal(payload []byte) {
	if o.calls(false) {
		o.feed.under.Signaled(o.Lease, payload)
	}
}

// leaver ends leases as the engine does, without Redis.
type leaver struct{ feed *Feed }

func (l leaver) of(lease api.Lease) *Ownership {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	return l.feed.owned[lease.Stream()]
}

func (l leaver) set(lease api.Lease, shut bool) error {
	o := l.of(lease)
	o.mu.Lock()
	defer o.mu.Unlock()
	if lease.Remaining() == 0 {
		return api.NotHeld(context.Cause(lease.Context()))
	}
	o.shut = shut
	return nil
}

func (l leaver) Shut(_ context.Context, lease api.Lease) error   { return l.set(lease, true) }
func (l leaver) Reopen(_ context.Context, lease api.Lease) error { return l.set(lease, false) }

func (l leaver) Ended(lease api.Lease, err error) { l.of(lease).end(err) }

func (l leaver) DoneIfShut(ctx context.Context, lease api.Lease) error {
	o := l.of(lease)
	o.mu.Lock()
	shut := o.shut
	o.mu.Unlock()
	if !shut {
		return api.ErrNotShut
	}
	return lease.Done(ctx)
}
