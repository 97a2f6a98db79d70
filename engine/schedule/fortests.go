package schedule

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
)

// NewTick returns a tick for tests of tasks, owned under l, such as one of package leasetest. saved returns what Save was given last, and
// reports whether it was called. Package scheduletest drives a task through many.
func NewTick(l api.Lease, spec *Spec, at time.Time) (t *Tick, saved func() (state []byte, ok bool)) {
	made := newTick(l, spec, &ticking.Begin{At: at.UnixMilli(), Number: 1})
	t = &made
	return t, func() ([]byte, bool) { return t.state, t.saved }
}

// NewOwned returns a schedule that is owned under l, with what the last owner saved, for tests of what opens tasks.
func NewOwned(ctx context.Context, l api.Lease, spec *Spec, state []byte) Owned {
	return Owned{Spec: spec, State: state, Token: l.Token(), Context: ctx, lease: l}
}
