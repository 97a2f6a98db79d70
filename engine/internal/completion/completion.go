package completion

import "github.com/streamlease/streamlease/lease"

// completion is one entry to be completed.
type completion struct {
	lease.Disposition
	consumer string
	finish   bool         // done with, else moved
	lease    *lease.Lease // whose ending waits for the outcome; nil when nobody does
	tried    bool         // an attempt had an unknown outcome
	refused  int          // how often Redis refused this very completion
	blamed   int          // of them, how often for a reason that lies in the entry
	after    int64        // refused: not retried before then
	tampered tampered
	ahead    bool  // its checkpoint was stored by itself
	unsaved  error // why its checkpoint was not stored
	held     int   // bytes that are counted in what is read and has no place
}

// overhead is about what a completion takes beside what it remembers, in bytes, with its place in a queue.
const overhead = 512

// weight is what a completion holds of an entry that was read. Those of streams that are owned, or were, hold their leases.
func (x *completion) weight() int {
	if x.lease != nil || x.tampered.was != nil {
		return 0
	}
	n := overhead + len(x.Key) + len(x.Reason) + len(x.Cut)
	if x.tampered.entry != nil {
		n += x.tampered.entry.Held()
	}
	return n
}

// tampered is what a completion knows of an entry that somebody may have acknowledged, deleted or trimmed.
type tampered struct {
	entry  *lease.Entry // what is remembered of one that was never held; or
	was    *lease.Lease // that was held, and nobody waits for
	found  bool         // so it is: what is left of it goes where it should
	memory bool         // where nothing is left, it is announced again from memory
}

// memory is what this process remembers of the announcement, if it is to be announced from that.
func (x *completion) memory() lease.Memory {
	switch {
	case !x.tampered.memory:
	case x.lease != nil:
		return x.lease.Memory()
	case x.tampered.was != nil:
		return x.tampered.was.Memory()
	case x.tampered.entry != nil:
		return x.tampered.entry.Memory()
	}
	return lease.Memory{}
}

// remembered is what is kept of an entry that was never held: what it can be announced from, and nothing else of it.
func remembered(x *lease.Entry) *lease.Entry {
	m := x.Memory()
	if m.Stream == "" {
		return nil
	}
	return &lease.Entry{Stream: m.Stream, Info: m.Info, Retries: m.Retries, Crashes: m.Crashes}
}

func (x *completion) memoryWeight() int {
	m := x.memory()
	return len(m.Info) + len(m.Stream) + lease.FieldWeight
}

// savingWeight is what the checkpoint of a completion adds to a call.
func (x *completion) savingWeight() int {
	if x.Checkpoint == nil {
		return 0
	}
	return len(*x.Checkpoint)
}

// leaves reports whether a completion does anything about a checkpoint.
func (x *completion) leaves() bool {
	return x.Checkpoint != nil || x.Checkpointed || x.DropCheckpoint
}
