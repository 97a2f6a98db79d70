package lease

import (
	"context"

	"github.com/streamlease/streamlease/api"
)

// Checkpoint is that of the stream, as the last owner left it or as it was last set here.
func (l *Lease) Checkpoint() string {
	if text := l.checkpoint.Load(); text != nil {
		return *text
	}
	return ""
}

// SetCheckpoint sets the checkpoint.
func (l *Lease) SetCheckpoint(value string) { l.checkpoint.Store(&value) }

// SaveCheckpoint sets the checkpoint and waits until it is stored.
func (l *Lease) SaveCheckpoint(context.Context, string) error { return api.ErrNoCheckpoints }

// DropCheckpoint has the checkpoint deleted with the ending of the lease.
func (l *Lease) DropCheckpoint() {}
