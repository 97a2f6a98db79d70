package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
)

// lackingFor is how long a publisher remembers which rights its user lacks.
const lackingFor = 30 * time.Second

// lacking remembers which rights are missing, so that a publisher that is refused again and again does not ask for all rights each
// time: one call asks at a time. It may be used concurrently, and holds nothing while a server is asked.
type lacking struct {
	asking atomic.Bool
	known  atomic.Pointer[lackingUntil]
}

// lackingUntil is what was missing, and the time on the publisher's clock at which to ask again.
type lackingUntil struct {
	all   []preflight.Lack
	until int64
}

// find returns what is missing, by asking if that is not remembered; nothing while another call asks. What ctx cut short is not
// remembered.
func (l *lacking) find(ctx context.Context, clock lease.Clock, ask func(ctx context.Context) []preflight.Lack) []preflight.Lack {
	if k := l.remembered(clock); k != nil {
		return k.all
	}
	if !l.asking.CompareAndSwap(false, true) {
		return nil
	}
	defer l.asking.Store(false)
	if k := l.remembered(clock); k != nil { // by a call that has just ended
		return k.all
	}
	all := ask(ctx)
	if ctx.Err() == nil {
		l.known.Store(&lackingUntil{all: all, until: clock.Now() + int64(lackingFor)})
	}
	return all
}

// remembered returns what is remembered, or nil.
func (l *lacking) remembered(clock lease.Clock) *lackingUntil {
	if k := l.known.Load(); k != nil && clock.Now() < k.until {
		return k
	}
	return nil
}
