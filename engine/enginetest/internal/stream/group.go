package stream

import (
	"maps"
	"slices"
)

// group is a consumer group.
type group struct {
	last      ID              // the last one delivered
	read      int64           // entries up to last, of all ever added, or unknown
	pending   index[*pending] // delivered and not acknowledged, whether they still exist or not
	consumers map[string]*consumer
}

type consumer struct {
	name    string
	seen    int64           // when it last asked for something, in milliseconds
	pending index[*pending] // those of the group that are its own
}

// pending says how an entry was delivered.
type pending struct {
	consumer  *consumer
	delivered int64 // in milliseconds
	count     int64
}

func newGroup(last ID, read int64) *group {
	return &group{last: last, read: read, consumers: make(map[string]*consumer)}
}

func (g *group) clone() *group {
	c := newGroup(g.last, g.read)
	for name, from := range g.consumers {
		c.consumers[name] = &consumer{name: name, seen: from.seen}
	}
	for id, p := range g.pending.from(minID) {
		copied := &pending{c.consumers[p.consumer.name], p.delivered, p.count}
		c.pending.set(id, copied)
		copied.consumer.pending.set(id, copied)
	}
	return c
}

func (g *group) consumerNames() []string { return slices.Sorted(maps.Keys(g.consumers)) }

// consumer returns a consumer that asks for something, and makes it if need be.
func (g *group) consumer(name string, now int64) *consumer {
	c := g.consumers[name]
	if c == nil {
		c = &consumer{name: name}
		g.consumers[name] = c
	}
	c.seen = now
	return c
}

// deliver makes an entry pending for a consumer for the first time, even if it was pending before.
func (g *group) deliver(id ID, to *consumer, now int64) {
	p, found := g.pending.get(id)
	if !found {
		p = &pending{}
		g.pending.set(id, p)
	}
	p.delivered, p.count = now, 1
	p.give(id, to)
}

// give makes an entry pending for a consumer instead of for another.
func (p *pending) give(id ID, to *consumer) {
	if p.consumer == to {
		return
	}
	if p.consumer != nil {
		p.consumer.pending.remove(id)
	}
	p.consumer = to
	to.pending.set(id, p)
}

// forget ends that an entry is pending. It reports whether it was.
func (g *group) forget(id ID) bool {
	p, found := g.pending.get(id)
	if found {
		g.pending.remove(id)
		p.consumer.pending.remove(id)
	}
	return found
}
