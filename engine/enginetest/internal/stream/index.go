package stream

import (
	"iter"
	"slices"
)

// index is a map with IDs as its keys, in their order: a list of chunks. With n keys, finding takes O(log n) steps, and a change
// moves a chunk, now and then the list of n/chunkSize chunks. The zero value is empty.
type index[V any] struct {
	chunks []*chunk[V]
	size   int
}

const chunkSize = 128

// chunk has at least one item.
type chunk[V any] []item[V]

type item[V any] struct {
	id    ID
	value V
}

// position returns where id is, or where it would be added: in a chunk that exists, if there is any.
func (x *index[V]) position(id ID) (at, offset int, found bool) {
	at, found = slices.BinarySearchFunc(x.chunks, id, func(c *chunk[V], id ID) int { return (*c)[0].id.compare(id) })
	if found || at == 0 {
		return at, 0, found
	}
	at--
	offset, found = slices.BinarySearchFunc(*x.chunks[at], id, func(i item[V], id ID) int { return i.id.compare(id) })
	return at, offset, found
}

func (x *index[V]) get(id ID) (value V, ok bool) {
	at, offset, found := x.position(id)
	if !found {
		return value, false
	}
	return (*x.chunks[at])[offset].value, true
}

func (x *index[V]) set(id ID, value V) {
	at, offset, found := x.position(id)
	if found {
		(*x.chunks[at])[offset].value = value
		return
	}
	x.size++
	added := item[V]{id, value}
	if len(x.chunks) == 0 || at == len(x.chunks)-1 && offset == chunkSize {
		// IDs mostly grow: a chunk at the end is filled.
		x.chunks = append(x.chunks, &chunk[V]{added})
		return
	}
	c := x.chunks[at]
	*c = slices.Insert(*c, offset, added)
	if len(*c) > chunkSize {
		half := slices.Clone((*c)[chunkSize/2:])
		clear((*c)[chunkSize/2:])
		*c = (*c)[:chunkSize/2]
		x.chunks = slices.Insert(x.chunks, at+1, &half)
	}
}

func (x *index[V]) remove(id ID) {
	at, offset, found := x.position(id)
	if !found {
		return
	}
	x.size--
	c := x.chunks[at]
	if len(*c) == 1 {
		x.chunks = slices.Delete(x.chunks, at, at+1)
		return
	}
	*c = slices.Delete(*c, offset, offset+1)
}

// from iterates from an ID on. The index must not change meanwhile.
func (x *index[V]) from(id ID) iter.Seq2[ID, V] {
	return func(yield func(ID, V) bool) {
		at, offset, _ := x.position(id)
		for ; at < len(x.chunks); at++ {
			for ; offset < len(*x.chunks[at]); offset++ {
				if i := (*x.chunks[at])[offset]; !yield(i.id, i.value) {
					return
				}
			}
			offset = 0
		}
	}
}

// ceiling returns the first item from an ID on.
func (x *index[V]) ceiling(id ID) (first ID, value V, ok bool) {
	for first, value = range x.from(id) {
		return first, value, true
	}
	return first, value, false
}

// last returns the highest ID; there has to be one.
func (x *index[V]) last() ID {
	c := *x.chunks[len(x.chunks)-1]
	return c[len(c)-1].id
}
