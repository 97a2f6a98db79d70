package lease

import (
	"sync/atomic"
	"time"
)

// How long keys are left out of calls after they were refused: by a right that is missing or a key of another type; and because the
// slot migrates.
const (
	optionalRefused   = 30 * time.Second
	optionalMigrating = 5 * time.Second
)

// optional is a group of keys that scripts take at the end of their keys, or do without: the user may have no right to them, and while a
// slot migrates a key that does not exist stops a call. All methods may be called from any goroutine. nil is always left out.
type optional struct {
	clock    Clock
	keys     func(p int) []string
	onRefuse func(p int, err error) // nil: nobody wants to know
	leftOut  []atomic.Int64         // until when, on the clock's axis, by partition
}

func (o *optional) isLeftOut(p int) bool { return o == nil || o.clock.Now() < o.leftOut[p].Load() }

func (o *optional) leaveOut(p int, d time.Duration) { o.leftOut[p].Store(o.clock.Now() + int64(d)) }

// refuse leaves the keys out for a while, since they are refused, and reports that once for each time.
func (o *optional) refuse(p int, err error) {
	if o == nil {
		return
	}
	out := o.isLeftOut(p)
	o.leaveOut(p, optionalRefused)
	if o.onRefuse != nil && !out {
		o.onRefuse(p, err)
	}
}

// inUse returns those of extras that are not left out now.
func inUse(p int, extras []*optional) []*optional {
	var use []*optional
	for _, o := range extras {
		if !o.isLeftOut(p) {
			use = append(use, o)
		}
	}
	return use
}
