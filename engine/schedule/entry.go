package schedule

import (
	"sync/atomic"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
	"github.com/streamlease/streamlease/wheel"
)

// entry is a schedule that this process owns. It is passive: its methods say what is to be done next, and whoever does that says how it went.
// All of it belongs to the loop, but for dropped.
type entry struct {
	lease     api.Lease
	handle    wheel.Handle
	partition uint16
	phase     phase
	counted   counted

	known      bool // its row was read, and could be understood
	queued     bool // its row is about to be read
	superseded bool // it makes way once its row is known
	broken     bool // its row cannot be understood
	changed    bool // Changed is to be called
	leaving    leaving
	dropped    atomic.Bool // a tick that has not begun is dropped

	born, rev  int64
	definition uint64            // hash
	done       record.Checkpoint // as it was read, and its State as it was saved last
	ticking    ticking.Schedule  // zero before the row is known
	spec       *Spec
	task       Task           // nil before it is open
	begin      *ticking.Begin // a tick that begins once the entry rests
	beganAt    int64          // of the tick at work, ns on the loop's clock; 0: none is
	cancel     func()         // ends the storing of a checkpoint
}

// phase is where an entry is in its life.
type phase uint8

const (
	loading  phase = iota // its row is not known yet
	opening               // open is being called
	resting               // nothing is being called for it
	busy                  // its task, or the storing of a checkpoint, is at work
	stopping              // Stop is being called
	over
)

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

// act is what is to be done for an entry.
type act uint8

const (
	rest      act = iota // nothing, until something happens
	openTask             // its row is known
	look                 // look at what is due
	fireBegin            // have the tick handled that was to begin
	tell                 // call Changed
	stopTask             // call Stop
	end                  // end the ownership: its task is stopped, or it never had one
)

// next returns what is to be done for an entry for which nothing is being called.
func (e *entry) next() act {
	switch {
	case e.phase != resting:
		return rest
	case e.leaving.how != stays:
		return e.stop()
	case e.changed:
		e.changed = false
		if _, ok := e.task.(Changer); ok {
			return tell
		}
		return look
	case e.begin != nil:
		return fireBegin
	}
	return look
}

// stop returns how to end an ownership whose task is idle.
func (e *entry) stop() act {
	if _, ok := e.task.(Stopper); ok {
		return stopTask
	}
	return end
}

// leave has the ownership end as soon as its task is idle.
func (e *entry) leave(how leaving) act {
	if e.phase >= stopping || how.how <= e.leaving.how {
		return rest
	}
	e.leaving = how
	e.dropped.Store(true)
	switch e.phase {
	case loading:
		return end
	case resting:
		return e.stop()
	case busy:
		if e.cancel != nil {
			e.cancel() // the checkpoint goes along with the ending
		}
	}
	return rest
}

// ticks reports whether it is looked at what is due.
func (e *entry) ticks() bool {
	return !e.broken && e.task != nil && (e.phase == resting || e.phase == busy)
}

// opened takes in how opening the task went.
func (e *entry) opened(task Task, err error) act {
	e.phase = resting
	if err == nil {
		e.task = task
		return e.next()
	}
	if e.leaving.how == stays { // else it may have failed for that
		e.leaving = leaving{failed, err}
	}
	return end
}

// rests takes in that what was called is over.
func (e *entry) rests() act {
	e.phase, e.cancel = resting, nil
	return e.next()
}

// saveAtOnce is the interval from which on the checkpoint of each tick is stored at once, in milliseconds: or a crash within the second until
// it is stored anyway would repeat a report that comes once a night. Cron expressions count as such.
const saveAtOnce = 60_000

// savesAtOnce reports whether that holds for an interval in milliseconds, 0 for a cron expression.
func savesAtOnce(every int64) bool { return every == 0 || every >= saveAtOnce }

// ended takes in that a tick is over.
func (e *entry) ended(j *job) {
	e.phase, e.beganAt = resting, 0
	d := e.ticking.End(j.fired)
	if !j.fired {
		return
	}
	if j.saves {
		e.done.State = j.tick.state
	}
	e.done.Last, e.done.Number, e.done.Missed, e.done.Trigger = d.Last, d.Number, d.Missed, d.Triggered
}

// count returns what the entry counts as now, and before.
func (e *entry) count() (was, is counted) {
	was = e.counted
	e.counted = counted{owned: e.phase != over, broken: e.broken && e.phase != over, paused: e.ticking.Paused() && e.phase != over}
	return was, e.counted
}
