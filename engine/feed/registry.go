package feed

import (
	"hash/maphash"
	"sync"
)

// fewest is the number of buckets that an empty registry has.
const fewest = 64

// registry is the streams that are read, by name: a hash table whose chains go through the streams themselves. A map would take 45
// bytes a stream; this takes a pointer in the stream and one or two in the table.
type registry struct {
	seed maphash.Seed

	sync.RWMutex
	buckets []*stream
	n       int
}

func newRegistry() *registry {
	return &registry{seed: maphash.MakeSeed(), buckets: make([]*stream, fewest)}
}

func (r *registry) bucket(name string) **stream {
	return &r.buckets[maphash.String(r.seed, name)&uint64(len(r.buckets)-1)]
}

// find returns the stream of that name, nil if there is none.
func (r *registry) find(name string) *stream {
	r.RLock()
	defer r.RUnlock()
	for s := *r.bucket(name); s != nil; s = s.next {
		if s.lease.Stream() == name {
			return s
		}
	}
	return nil
}

// add adds a stream, before others of its name, if there are any.
func (r *registry) add(s *stream) {
	r.Lock()
	defer r.Unlock()
	if r.n++; r.n > len(r.buckets) {
		r.resize(2 * len(r.buckets))
	}
	r.link(s)
}

func (r *registry) link(s *stream) {
	b := r.bucket(s.lease.Stream())
	s.next, *b = *b, s
}

// remove removes a stream, if it is there.
func (r *registry) remove(s *stream) {
	r.Lock()
	defer r.Unlock()
	for at := r.bucket(s.lease.Stream()); *at != nil; at = &(*at).next {
		if *at == s {
			*at, s.next = s.next, nil
			if r.n--; r.n == 0 {
				r.buckets = make([]*stream, fewest)
			}
			return
		}
	}
}

func (r *registry) resize(n int) {
	old := r.buckets
	r.buckets = make([]*stream, n)
	for _, s := range old {
		for s != nil {
			next := s.next
			r.link(s)
			s = next
		}
	}
}

func (r *registry) count() int {
	r.RLock()
	defer r.RUnlock()
	return r.n
}

// all returns all streams.
func (r *registry) all() []*stream {
	r.RLock()
	defer r.RUnlock()
	all := make([]*stream, 0, r.n)
	for _, s := range r.buckets {
		for ; s != nil; s = s.next {
			all = append(all, s)
		}
	}
	return all
}
