package model

import (
	"math/rand/v2"
	"time"
)

// change is a fleet whose TTLs change back and forth.
type change struct {
	from, to ttls
	now      ttls // of most processes that start

	// A process that starts and is cut off, and the number of steps after which a server takes over that does not know of it.
	late  *consumer
	steps int
}

func newChange(rnd *rand.Rand) *change {
	from, to := variants[rnd.IntN(len(variants))], variants[rnd.IntN(len(variants))]
	if from.reach > to.reach && rnd.IntN(4) > 0 {
		from, to = to, from
	}
	return &change{from: from, to: to, now: from}
}

// configured returns the TTLs of a process that starts.
func (r *run) configured(c *consumer) ttls {
	switch x := r.mixed; {
	case x == nil:
		return usual
	case x.late == c:
		return x.to
	case r.rand.IntN(4) > 0:
		return x.now
	}
	return []ttls{r.mixed.from, r.mixed.to}[r.rand.IntN(2)]
}

// changeFleet does one thing that happens only in a fleet that is being changed.
func (r *run) changeFleet() {
	x, c := r.mixed, r.consumer()
	switch r.rand.IntN(6) {
	case 0:
		x.now = []ttls{x.from, x.to}[r.rand.IntN(2)]
		r.note("new processes have %v", x.now)
	case 1:
		r.startAgain(c)
	case 2:
		c.cut = r.h.now() + time.Duration(r.rand.IntN(20_000))*time.Millisecond
		r.note("%s is cut off", c)
	case 3:
		r.settle()
	default:
		if x.late != nil || r.restarts {
			return
		}
		for range 2 {
			r.announce()
		}
		r.note("save, and %s starts again", c)
		r.h.save()
		r.startAgain(c)
		c.cut = 0
		x.late, x.steps = c, 5+r.rand.IntN(60)
	}
}

func (r *run) startAgain(c *consumer) {
	r.note("%s starts again", c)
	if c.name != "" {
		c.loseSession()
	}
	clear(c.flights)
}

// settle restarts all processes with the TTLs from before the change, and lets time pass until no trace of the change is left.
func (r *run) settle() {
	r.note("settle")
	x := r.mixed
	x.now, x.late = x.from, nil
	for range 4 {
		for _, c := range r.consumers {
			c.expire()
			if c.name != "" && c.ttls != x.from || r.rand.IntN(8) == 0 {
				r.startAgain(c)
			}
			c.open()
			c.renew(c.in(held))
			r.land(c)
			r.check()
		}
		r.h.advance(max(x.from.reach, x.to.reach))
	}
}

// failOver lets a successor take over, unless what was saved is older than a replica that may be promoted.
func (r *run) failOver() bool {
	if !r.h.saved.any || r.mixed != nil && r.h.lags() {
		return false
	}
	r.note("fail over, %v are lost", r.h.now()-r.h.saved.at)
	r.h.failOver()
	r.forgotten()
	return true
}

// strand cuts off a process from the server, which fails over.
func (r *run) strand() {
	x := r.mixed
	c := x.late
	x.late = nil
	if r.failOver() {
		c.cut = r.h.now() + time.Duration(r.rand.IntN(60_000))*time.Millisecond
		r.note("%s is cut off", c)
	}
}
