package schedule

import (
	"sync/atomic"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
	"github.com/streamlease/streamlease/wheel"
)

// phase is where an entry is in its life.
type phase uint8

const (
	loading  phase = iota // its row is not known yet
	opening               // open is being called
	resting               // nothing is being called for it
	busy                  // its task, or the storing of a checkpoint, is at work
	stopping              // Stop is being called, or its lease is being ended
	over
)

// entry is a schedule that this process owns. All of it belongs to the loop; workers read what never changes, and dropped.
type entry struct {
	lease     api.Lease
	handle    wheel.Handle
	partition uint16
	phase     phase

	queued     bool // its row is about to be read
	superseded bool // it makes way once its row is known
	broken     bool // its row cannot be understood
	paused     bool // counted as such
	changed    bool // Changed is to be called
	leaving    leaving
	dropped    atomic.Bool // a tick that has not begun is dropped

	born, rev  int64
	definition uint64            // hash
	done       record.Checkpoint // as it was read, and its State as it was saved last
	ticking    *ticking.Schedule // nil before the row is known
	spec       *Spec
	task       Task
	begin      *ticking.Begin // a tick that begins once the entry rests
	beganAt    int64          // of the tick at work, ns on the loop's clock
	cancel     func()         // ends the storing of a checkpoint
}

// leaving is how an ownership ends, and with which cause for the task.
type leaving struct {
	how   ending
	cause error
}

// ending is how an ownership ends. A later one in the list has precedence.
type ending uint8

const (
	stays    ending = iota
	handBack        // as the engine asks
	failed          // with an error
	replaced        // done, and the checkpoint stays
	deleted         // done, and the checkpoint goes
	lost            // nothing is left to end
)
