package engine

import (
	"context"
	"fmt"
	"math"

	"github.com/streamlease/streamlease/api"
)

// SetWeight changes what WithWeight has set. Shares follow within a beat, and streams as described there. What is out of range counts as
// the nearest weight that is not, and what is not a number as DefaultWeight. While an operator wishes another weight (see
// scan.WishWeight), that one counts.
func (e *Engine) SetWeight(w float64) {
	if math.IsNaN(w) || w == 0 {
		w = DefaultWeight
	}
	e.balancer.want(func(p *wanted) { p.weight = clampWeight(w) })
}

// Pause has this process take no more streams, until Resume. What it holds stays, and the others share the rest. A paused process is
// ready (Ready): it does its work. Before the start it is paused from the start on. A read that waits for announcements already may bring one
// more in each partition, for as long as it waits: up to 4.5 s.
func (e *Engine) Pause() { e.balancer.want(func(p *wanted) { p.pause = true }) }

// Resume ends what Pause or Evacuate began. It does not end what operators wish.
func (e *Engine) Resume() { e.balancer.want(func(p *wanted) { p.pause, p.evacuate = false, false }) }

// Evacuate has this process hand back all streams that it holds and take no more, until Resume. It goes on running, and is ready. Unlike a
// shutdown it takes its time: WithBalance's Budget streams a second, so that each finds its new owner within milliseconds. The owner of
// each gets api.Releasing with api.ErrDraining.
//
// While operators have stopped all moving (scan.WishFreeze), it waits.
//
// Evacuate returns when nothing is held. If ctx ends before, it returns ctx's error, and the process goes on handing back. Other
// errors match api.ErrClosed: the engine drains, or has ended.
func (e *Engine) Evacuate(ctx context.Context) error {
	e.balancer.want(func(p *wanted) { p.evacuate = true })
	switch {
	case e.life.isRunning():
		e.shedder.nudge()
	case !e.draining():
		return nil // nothing is held yet, and nothing will be
	}
	empty := e.room.Wait(ctx, func() bool { return e.balancer.held() == 0 || e.draining() })
	switch {
	case e.draining():
		return fmt.Errorf("%w: its streams are handed back by the shutdown", api.ErrClosed)
	case !empty:
		return fmt.Errorf("%d streams are still held: %w", e.table.Len(), context.Cause(ctx))
	}
	return nil
}
