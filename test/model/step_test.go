package model

import (
	"maps"
	"slices"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// some returns a random part of items, usually all.
func some[T any](r *run, items []T) []T {
	if len(items) > 1 && r.rand.IntN(3) == 0 {
		return items[:1+r.rand.IntN(len(items)-1)]
	}
	return items
}

// step does one thing, usually something that a consumer does.
func (r *run) step() {
	if x := r.mixed; x != nil && x.late != nil {
		if x.steps--; x.steps < 0 {
			r.strand()
		}
	}
	switch n := r.rand.IntN(100); {
	case n < 4:
		r.announce()
	case n < 11:
		most := 600
		switch x := r.rand.IntN(60); {
		case x < 6:
			most = 6000
		case x < 8:
			most = 45000
		}
		d := time.Duration(r.rand.IntN(most)) * time.Millisecond
		r.h.advance(d)
		r.note("%v pass", d)
	case n < 12 && r.steps && r.rand.IntN(4) == 0:
		d := time.Duration(r.rand.IntN(3600_000)) * time.Millisecond
		r.h.stepBack(d)
		r.note("the clock is set back by %v", d)
	case n < 12 && !r.restarts:
		if r.rand.IntN(4) == 0 && r.failOver() {
			return
		}
		r.note("save")
		r.h.save()
	case n < 17 && len(r.late) > 0:
		r.note("a call runs again, or late")
		r.late[r.rand.IntN(len(r.late))]()
	case n < 37:
		r.fly(r.consumer())
	case n < 40 && r.mixed != nil:
		r.changeFleet()
	default:
		c := r.consumer()
		if x := r.mixed; x != nil && x.late != nil && r.rand.IntN(4) > 0 {
			c = x.late
		}
		c.expire()
		if r.h.now() < c.cut {
			return
		}
		r.report()
		r.act(c)
		if r.rand.IntN(3) > 0 {
			r.land(c) // with nothing in between
		}
	}
}

// act makes a consumer start something.
func (r *run) act(c *consumer) {
	if r.rand.IntN(60) == 0 {
		r.kill(c)
		return
	}
	if c.name == "" {
		c.open()
		c.retire()
		return
	}
	switch n := r.rand.IntN(16); {
	case n >= 13:
		if items := c.in(held); len(items) > 0 {
			if n > 13 {
				c.setCheckpoint(items[r.rand.IntN(len(items))])
			}
			c.save(some(r, items))
		}
	case n < 3:
		c.renew(some(r, c.in(held)))
		c.verify()
	case n < 5:
		c.read(1 + r.rand.IntN(3))
	case n < 6:
		c.reconcile()
	case n < 9:
		c.acquire(some(r, c.in(read)))
	case n < 10:
		if items := c.in(held); len(items) > 0 {
			x := items[r.rand.IntN(len(items))]
			dest := []lease.Dest{lease.ToInput, lease.ToLater, lease.ToDeadLetters}[r.rand.IntN(3)]
			c.end(x, r.rand.IntN(2) == 0, dest, time.Duration(r.rand.IntN(20))*time.Second)
		}
		c.flush()
	case n < 11:
		c.flush()
		c.retire()
	case n < 12:
		switch r.rand.IntN(4) {
		case 0:
			c.leave()
		case 1:
			c.tally()
		default:
			c.recoverProven()
		}
	default:
		_, err := r.h.store.Promote(r.h.ctx, 0, 1+r.rand.IntN(3))
		r.ok(err)
	}
}

// fly advances one call of a consumer by a step, or loses it.
func (r *run) fly(c *consumer) {
	kinds := slices.Sorted(maps.Keys(c.flights))
	if len(kinds) == 0 || r.h.now() < c.cut {
		return
	}
	f := c.flights[kinds[r.rand.IntN(len(kinds))]]
	lost := r.rand.IntN(6) == 0
	switch {
	case f.answer == nil && lost:
		r.note("%s: %s is lost, or runs later", c, f.kind)
		r.late = append(r.late, f.call)
		delete(c.flights, f.kind)
	case f.answer == nil:
		r.run(f)
	case lost:
		r.note("%s: the reply of %s is lost", c, f.kind)
		delete(c.flights, f.kind)
	default:
		r.arrive(f)
	}
}

// run lets the server run a call.
func (r *run) run(f *flight) {
	r.note("%s: %s runs", f.c, f.kind)
	f.answer = f.call()
	if r.rand.IntN(4) == 0 {
		r.late = append(r.late, f.call)
	}
}

func (r *run) arrive(f *flight) {
	r.note("%s: %s is answered", f.c, f.kind)
	delete(f.c.flights, f.kind)
	f.c.expire()
	f.answer()
}

// land runs and answers all calls of a consumer.
func (r *run) land(c *consumer) {
	for _, kind := range slices.Sorted(maps.Keys(c.flights)) {
		f := c.flights[kind]
		if f.answer == nil {
			r.run(f)
		}
		r.arrive(f)
	}
}
