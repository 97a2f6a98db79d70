package schedule

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
)

// MaxState is the greatest length of what Tick.Save keeps, in bytes. It goes along in a checkpoint (api.MaxCheckpoint).
const MaxState = 3800

// Tick is one tick of a schedule, given to its task. It is valid until Task.Tick returns.
type Tick struct {
	// Schedule is the name.
	Schedule string
	// At is the time of the tick by the grid, which is also its identity. It may be a while ago: see Late.
	At time.Time
	// Number counts the ticks of the schedule from 1. Numbers rise; some may be left out, and after a crash one may come again.
	Number uint64
	// Missed is how many ticks before this one were not fired: their time passed while nobody could, or while an earlier one was still
	// being handled.
	Missed int
	// Manual is set for a tick that Table.Trigger asked for. At is when that was.
	Manual bool
	// Late is how long after At the tick began, by the server's clock.
	Late time.Duration
	// Spec is what the schedule is now. It is shared and must not be changed.
	Spec *Spec
	// Token is that of the ownership: it rises with each, and fences writes (see docs/fencing.md).
	Token api.Token

	lease api.Lease
	task  Task   // that handles it
	state []byte // what Save was given
	saved bool
}

// ID is the identity of the tick, such as "nightly@1790000000000": its schedule and At in milliseconds. If the same tick is fired again,
// by whomever, it has the same ID. Use it as the key of what is written, and a repeat does no harm.
func (t *Tick) ID() string { return t.Schedule + "@" + strconv.FormatInt(t.At.UnixMilli(), 10) }

// Save has state stored along with the fact that this tick was done, if its task returns nil: the next owner gets it as Owned.State. It is
// fenced, so that a process which has lost the schedule changes nothing. The last call counts; without one the state stays as it is.
// Save reports false, and changes nothing, if state is longer than MaxState. It is copied.
func (t *Tick) Save(state []byte) bool {
	if len(state) > MaxState {
		return false
	}
	t.state, t.saved = bytes.Clone(state), true
	return true
}

// Remaining returns how long the process will go on owning the schedule if Redis does not answer any more: 0 once it does not
// own it. It makes no round trip.
func (t *Tick) Remaining() time.Duration { return t.lease.Remaining() }

// Task handles the ticks of one schedule, for one ownership: all methods are called one at a time. It may also have the methods of
// [Changer] and [Stopper].
type Task interface {
	// Tick handles one tick. Nil means that it is done. An error is counted and logged; the tick counts as fired, and the next one
	// comes on the grid. A panic is an error. ctx ends when the lease is lost, not in a drain, which waits for Tick (engine.WithDrainTimeout).
	//
	// While Tick runs, further ticks of this schedule are skipped and counted.
	Tick(ctx context.Context, t *Tick) error
}

// Changer is implemented by a Task that wants to know when its schedule was edited. Without it, an edit shows in Tick.Spec.
type Changer interface {
	// Changed is called after an edit took effect, before the next tick. spec is shared and must not be changed.
	Changed(spec *Spec)
}

// Stopper is implemented by a Task that has something to close.
type Stopper interface {
	// Stop is called once, after the last Tick. cause matches api.ErrReleasing, api.ErrLeaseLost, ErrDeleted or ErrReplaced. The schedule
	// is not owned here again before Stop has returned.
	Stop(cause error)
}

// TaskFunc is a Task of one function.
type TaskFunc func(ctx context.Context, t *Tick) error

// Tick calls f.
func (f TaskFunc) Tick(ctx context.Context, t *Tick) error { return f(ctx, t) }

// Owned is a schedule that this process has begun to own, for the function that opens its task.
type Owned struct {
	// Spec is the schedule. It is shared and must not be changed.
	Spec *Spec
	// State is what the last Tick.Save kept, by whomever; nil if nothing was.
	State []byte
	// Token is that of the ownership.
	Token api.Token
	// Context ends when the schedule is not owned any more.
	Context context.Context

	lease api.Lease
}

// Remaining returns how long the process will go on owning the schedule if Redis does not answer any more. It makes no round trip.
func (o *Owned) Remaining() time.Duration { return o.lease.Remaining() }

// newTick returns a tick that begins.
func newTick(l api.Lease, spec *Spec, b *ticking.Begin) Tick {
	return Tick{
		Schedule: spec.Name, At: time.UnixMilli(b.At).UTC(), Number: b.Number, Missed: b.Missed, Manual: b.Manual,
		Spec: spec, Token: l.Token(), lease: l,
	}
}
