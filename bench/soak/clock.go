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
	// stepEvery is how many session TTLs lie between two steps of the clock, on average, besides one lease TTL.
	stepEvery = 5
	// maxStep is the longest step back.
	maxStep = 10 * time.Minute
	// marginShare is the part of a session TTL that the library's own account ends earlier, up to a second. A step of the
	// server's clock forward by more may make two owners, which is a documented limit; so steps are by less, and no lease lives to
	// see two of them.
	marginShare = 10
	stepShare   = 0.75 // of the margin
)

// Which way a clock is stepped.
const (
	clockForward = "stepped forward"
	clockBack    = "stepped back"
)

// clock is that of a server of our own, which is stepped while pods run on it.
type clock struct {
	server         *servers.Server
	session, lease time.Duration // TTLs
	rnd            *rand.Rand
	struck         map[string]int
	ahead          time.Duration // of the machine's clock
}

// befall has one step after the other until ctx ends. The clock is wrong then.
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

// step is one forward by a part of the margin, or back by anything from a session TTL to minutes.
func (c *clock) step() time.Duration {
	if c.rnd.IntN(2) == 0 {
		return time.Duration(stepShare * c.rnd.Float64() * float64(min(c.session/marginShare, time.Second)))
	}
	least, most := math.Log(float64(c.session)), math.Log(float64(max(maxStep, c.session)))
	return -time.Duration(math.Exp(least + c.rnd.Float64()*(most-least)))
}

// wrong reports whether it is not the machine's time that it tells.
func (c *clock) off() bool { return c != nil && c.ahead != 0 }

// set sets it right. Nobody may own anything.
func (c *clock) reset() error {
	c.ahead = 0
	return c.server.SetClock(0)
}
