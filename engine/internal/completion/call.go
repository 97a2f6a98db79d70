package completion

import "github.com/streamlease/streamlease/lease"

// call is what travels in one call.
type call struct {
	batch  []completion
	weight int // of the copies
	memory int // of what is announced from memory
	saved  int // of checkpoints
}

// travels reports whether a completion goes into the call of those that are there.
func (l *call) travels(x *completion) bool {
	if len(l.batch) == 0 {
		return true
	}
	first := &l.batch[0]
	if x.consumer != first.consumer || x.finish != first.finish || x.tampered.found != first.tampered.found {
		return false
	}
	return !x.tampered.found || l.memory+x.memoryWeight() <= lease.MaxCallWeight
}

// add puts it there, unless that made too much to copy.
func (l *call) add(x *completion) bool {
	if !x.finish { // what is done with is not copied
		if l.weight += x.Size; l.weight > lease.MaxCallWeight && len(l.batch) > 0 {
			return false
		}
	}
	if n := x.savingWeight(); n > 0 {
		if l.saved += n; l.saved > lease.MaxCallWeight && len(l.batch) > 0 {
			return false
		}
	}
	if x.tampered.found {
		l.memory += x.memoryWeight()
	}
	l.batch = append(l.batch, *x)
	return true
}

// skipMost is how many completions are looked past for such as travel with the first one.
const skipMost = 1024
