package schedule

import (
	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/wheel"
)

// registry is the entries of a loop, by the handles of their timers and by name.
type registry struct {
	all    []*entry // by handle; nil: the handle is free
	free   []wheel.Handle
	byName map[string]*entry
}

func newRegistry() *registry { return &registry{byName: make(map[string]*entry)} }

// add adds an entry, and gives it a handle.
func (r *registry) add(e *entry) {
	if n := len(r.free); n > 0 {
		e.handle, r.free = r.free[n-1], r.free[:n-1]
		r.all[e.handle] = e
	} else {
		e.handle = wheel.Handle(len(r.all))
		r.all = append(r.all, e)
	}
	r.byName[e.lease.Stream()] = e
}

// remove removes an entry that was added.
func (r *registry) remove(e *entry) {
	r.all[e.handle] = nil
	r.free = append(r.free, e.handle)
	if r.byName[e.lease.Stream()] == e {
		delete(r.byName, e.lease.Stream())
	}
	if len(r.free) == len(r.all) && len(r.all) > keepRoom {
		*r = *newRegistry() // a Go map keeps the memory of the most that it had
	}
}

// owned returns the entry of a lease, nil if its ownership is over.
func (r *registry) owned(l api.Lease) *entry {
	if e := r.byName[l.Stream()]; e != nil && e.lease == l {
		return e
	}
	return nil
}
