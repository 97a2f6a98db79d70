package model

import (
	"math/rand/v2"
	"time"
)

// change is a fleet whose TTLs are being changed, to and fro.
type change struct {
	from, to ttls
	now      ttls // of most that start

	// A process that starts and is cut off, and a server that fails over without having heard of it: after so many steps.
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

// configured is what the TTLs are of a process that starts.
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

// changeFleet is what happens to a fleet that is being changed, beside what happens to all.
func (r *run) changeFleet() {
	x, c := r.mixed, r.consumer()
	switch r.rand.IntN(6) {
	case 0:
		x.now = []ttls{x.from, x.to}[r.rand.IntN(2)]
		r.note("new ones have %v", x.now)
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

// settle has everybody start again as before the change, and the time pass after which no trace of it is left.
func (r *run) settle() {
	r.note("calm")
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

// failOver has a successor take over, unless what was saved is older than a replica that may be promoted.
func (r *run) failOver() bool {
	if !r.h.saved.any || r.mixed != nil && r.h.lags() {
		return false
	}
	r.note("fail over, %v are lost", r.h.now()-r.h.saved.at)
	r.h.failOver()
	r.forgotten()
	return true
}

// strand cuts a process off from the server, which fails over.
func (r *run) strand() {
	x := r.mixed
	c := x.late
	x.late = nil
	if r.failOver() {
		c.cut = r.h.now() + time.Duration(r.rand.IntN(60_000))*time.Millisecond
		r.note("%s is cut off", c)
	}
}
