package balance

import (
	"fmt"

	"github.com/streamlease/streamlease/api"
)

// Switch turns a part of balancing on or off. The zero value is On.
type Switch uint8

const (
	On  Switch = iota // the part works
	Off               // the part does nothing
)

// String returns the name of the switch's position.
func (s Switch) String() string {
	switch s {
	case On:
		return "on"
	case Off:
		return "off"
	}
	return fmt.Sprintf("Switch(%d)", s)
}

// Limits of Config, and its default.
const (
	// DefaultBudget moves 10,000 streams in 20 s. A server requeues and hands out some ten thousand a second, so this is a few
	// hundredths of what it can do, and a stream that is handed back at this pace is owned again within some milliseconds.
	DefaultBudget = 500
	// MinBudget moves a stream a second. Less would take hours where it is noticed at all: turn Shed off instead.
	MinBudget = 1
	// MaxBudget is more than one server can requeue and hand out in a second.
	MaxBudget = 100_000
)

// Config sets which parts of balancing are on, and how fast streams may move. The zero value means the default in every field.
type Config struct {
	// Gate keeps a process from reading more than its share. It moves nothing. Default and zero: On. Off: the process reads whatever
	// there is, as far as its other limits let it.
	Gate Switch

	// Shed lets a process that holds too much for too long give some of it back. Default and zero: On. Off: nothing moves to
	// make the fleet even. With Gate Off nothing is shed either, whatever Shed is: the process would take back what it has just
	// given, since it is blocked in a read as often as anybody.
	Shed Switch

	// Budget is how many streams a second the whole fleet may move by shedding. Each process takes its part of it, in proportion
	// to what it holds, so every process should have the same value. Default and zero: 500. From 1 to 100,000.
	Budget float64
}

// WithDefaults returns c with the default in every field that is zero.
func (c Config) WithDefaults() Config {
	if c.Budget == 0 {
		c.Budget = DefaultBudget
	}
	return c
}

// Validate reports what is wrong with c, after its defaults. The error matches api.ErrInvalidConfig and names the field, its value and
// what to do.
func (c Config) Validate() error {
	c = c.WithDefaults()
	for _, s := range []struct {
		name  string
		value Switch
	}{{"Gate", c.Gate}, {"Shed", c.Shed}} {
		if s.value > Off {
			return fmt.Errorf("%w: balance: %s is %v: use balance.On or balance.Off", api.ErrInvalidConfig, s.name, s.value)
		}
	}
	// In this form NaN fails, too.
	if !(c.Budget >= MinBudget && c.Budget <= MaxBudget) {
		return fmt.Errorf("%w: balance: Budget is %v streams a second, must be from %v to %v: leave it out for %v, or set Shed to balance.Off to move nothing",
			api.ErrInvalidConfig, c.Budget, MinBudget, MaxBudget, DefaultBudget)
	}
	return nil
}

// sheds reports whether anything is shed.
func (c Config) sheds() bool { return c.Gate == On && c.Shed == On }
