package wheel

import (
	"cmp"
	"fmt"
	"time"
)

// Defaults and limits of [Config].
const (
	// DefaultTick is the tick when Config.Tick is 0. A lease of 30 s is renewed
	// every 10 s, of which a tick of 100 ms is a hundredth; and waking up ten
	// times a second costs nothing.
	DefaultTick = 100 * time.Millisecond
	// DefaultSlotBits gives 4,096 slots per level.
	DefaultSlotBits = 12
	// DefaultLevels reaches 19 days with the other defaults.
	DefaultLevels = 3

	// MinTick keeps every tick of the int64 axis within the 48 bits of a node.
	MinTick = time.Millisecond
	// MaxTick guards against mistakes; nothing in the wheel depends on it.
	MaxTick = time.Hour
	// MaxSlotBits is what a word of 64 bits over 64 words of bits can address.
	MaxSlotBits = 12
	// MaxLevels guards against mistakes, and bounds the memory for list heads.
	MaxLevels = 8
	// MaxReachBits bounds SlotBits + (Levels-1)·StepBits: 2^40 ticks of MinTick
	// are 34 years.
	MaxReachBits = 40
)

// Config is the resolution and the shape of a wheel. The zero value means the
// default in every field. The shape changes the cost but never the result; the
// package comment has the formulas.
type Config struct {
	// Tick is the resolution: deadlines are rounded up to a multiple of it.
	// Default and zero: 100 ms. From 1 ms to 1 h.
	Tick time.Duration

	// SlotBits is log2 of the number of slots per level. More slots mean that
	// fewer timers move, at 16 bytes per slot and level. Default and zero: 12,
	// which is 4,096 slots. From 1 to 12.
	SlotBits int

	// StepBits is log2 of how many slots of one level make a slot of the next.
	// SlotBits - StepBits is the overlap: each bit of it halves the largest
	// cascade, and halves the reach of the next level. Default and zero:
	// half of SlotBits, rounded down, at least 1; so 6, which is 64 slots.
	// From 1 to SlotBits.
	StepBits int

	// Levels is the number of levels. Deadlines beyond the last one are exact
	// too, but move more than once. Default and zero: 3. From 1 to 8, and
	// SlotBits + (Levels-1)·StepBits at most 40.
	Levels int
}

// WithDefaults returns c with every zero replaced by its default.
func (c Config) WithDefaults() Config {
	c.Tick = cmp.Or(c.Tick, DefaultTick)
	c.SlotBits = cmp.Or(c.SlotBits, DefaultSlotBits)
	c.StepBits = cmp.Or(c.StepBits, max(1, c.SlotBits/2))
	c.Levels = cmp.Or(c.Levels, DefaultLevels)
	return c
}

// Validate returns an error for the first field that is out of range, or that
// contradicts another one, with the values. Zeros count as their defaults.
func (c Config) Validate() error {
	c = c.WithDefaults()
	if c.Tick < MinTick || c.Tick > MaxTick {
		return fmt.Errorf("wheel: Tick is %v, must be from %v to %v", c.Tick, MinTick, MaxTick)
	}
	if c.SlotBits < 1 || c.SlotBits > MaxSlotBits {
		return fmt.Errorf("wheel: SlotBits is %d, must be from 1 to %d", c.SlotBits, MaxSlotBits)
	}
	if c.StepBits < 1 || c.StepBits > c.SlotBits {
		return fmt.Errorf("wheel: StepBits is %d, must be from 1 to SlotBits, which is %d", c.StepBits, c.SlotBits)
	}
	if c.Levels < 1 || c.Levels > MaxLevels {
		return fmt.Errorf("wheel: Levels is %d, must be from 1 to %d", c.Levels, MaxLevels)
	}
	if r := c.reachBits(); r > MaxReachBits {
		return fmt.Errorf("wheel: SlotBits + (Levels-1)*StepBits is %d + %d*%d = %d, must be at most %d",
			c.SlotBits, c.Levels-1, c.StepBits, r, MaxReachBits)
	}
	return nil
}

// reachBits returns log2 of how many ticks ahead the levels reach.
func (c Config) reachBits() int { return c.SlotBits + (c.Levels-1)*c.StepBits }
