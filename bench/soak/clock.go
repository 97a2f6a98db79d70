package soak

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	// stepEvery is the average time between two steps of the clock in session TTLs, besides one lease TTL.
	stepEvery = 5
	// maxStep is the longest step back.
	maxStep = 10 * time.Minute
	// marginShare is the divisor of the session TTL that gives the library's margin, which is at most a second: its own deadline passes that
	// much earlier than the server's. A longer step forward of the server's clock may make two owners, which is a documented limit. So
	// steps are shorter, and no lease lives through two of them.
	marginShare = 10
	stepShare   = 0.75 // of the margin, the longest step forward
)

// Kinds of steps.
const (
	clockForward = "stepped forward"
	clockBack    = "stepped back"
)

// clock is the clock of a server of our own, which is stepped while pods run on it.
type clock struct {
	server         *servers.Server
	session, lease time.Duration // TTLs
	rnd            *rand.Rand
	struck         map[string]int
	ahead          time.Duration // of the machine's clock; below 0: behind it
}

// run makes one step after the other until ctx ends. The clock is off afterwards.
func (c *clock) run(ctx context.Context) error {
	for measure.Pause(ctx, c.lease+time.Duration(stepEvery*c.rnd.ExpFloat64()*float64(c.session))) == nil {
		step, name := c.step(), clockForward
		if step < 0 {
			name = clockBack
		}
		c.struck[name]++
		c.ahead += step
		if err := c.server.SetClock(c.ahead); err != nil {
			return err
		}
	}
	return nil
}

// step is a random step: forward by a part of the margin, or back by anything from the session TTL to maxStep.
func (c *clock) step() time.Duration {
	if c.rnd.IntN(2) == 0 {
		return time.Duration(stepShare * c.rnd.Float64() * float64(min(c.session/marginShare, time.Second)))
	}
	least, most := math.Log(float64(c.session)), math.Log(float64(max(maxStep, c.session)))
	return -time.Duration(math.Exp(least + c.rnd.Float64()*(most-least)))
}

// off reports whether the clock differs from the machine's.
func (c *clock) off() bool { return c != nil && c.ahead != 0 }

// reset sets the clock to the machine's. Nobody may own anything meanwhile.
func (c *clock) reset() error {
	c.ahead = 0
	return c.server.SetClock(0)
}
