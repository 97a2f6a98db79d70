package leasetest

import (
	"context"

	"github.com/streamlease/streamlease/api"
)

// Checkpoint returns what was last set, or else what WithCheckpoint set.
func (l *Lease) Checkpoint() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.checkpoint
}

// SetCheckpoint sets the checkpoint. It does nothing if value is longer than
// api.MaxCheckpoint, or if the lease has ended.
func (l *Lease) SetCheckpoint(value string) {
	if len(value) <= api.MaxCheckpoint {
		l.set(value, false)
	}
}

// SaveCheckpoint sets the checkpoint, and returns what api.Lease documents. It
// waits for nothing.
func (l *Lease) SaveCheckpoint(ctx context.Context, value string) error {
	if len(value) > api.MaxCheckpoint {
		return api.ErrCheckpointTooLong
	}
	l.mu.Lock()
	refused := l.mu.refused
	l.mu.Unlock()
	if refused != nil {
		return refused
	}
	if held, cause := l.set(value, false); !held {
		return api.NotHeld(cause)
	}
	return ctx.Err()
}

// DropCheckpoint has the checkpoint dropped at the end of the lease.
func (l *Lease) DropCheckpoint() { l.set(l.Checkpoint(), true) }

// RefuseCheckpoints makes SaveCheckpoint return err and set nothing, such as
// api.ErrNoCheckpoints, or an error of Redis; nil: it works again.
func (l *Lease) RefuseCheckpoints(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.refused = err
}

// NextCheckpoint returns the checkpoint that the next owner of the stream would
// find: what was last set, or "" if the lease has ended and had it dropped.
func (l *Lease) NextCheckpoint() string {
	l.check()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.dropped && l.mu.outcome.State != Held && l.mu.outcome.State != Lost {
		return ""
	}
	return l.mu.checkpoint
}

// set sets the checkpoint if the lease is held. It reports whether it is, and
// else why not.
func (l *Lease) set(value string, drop bool) (held bool, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expireLocked()
	if l.mu.outcome.State != Held {
		return false, l.mu.cause
	}
	l.mu.checkpoint, l.mu.dropped = value, drop
	return true, nil
}
