package breaker

import (
	"cmp"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
)

// Defaults and limits of Config.
const (
	// DefaultFailures is what clients commonly take for more than a hitch.
	DefaultFailures = 5
	// DefaultWait costs a server that is down a few calls a minute. It seldom decides how soon work goes on: a beat that is
	// answered closes the breaker before that.
	DefaultWait = 10 * time.Second
	// DefaultTrials is the least that finds out.
	DefaultTrials = 1

	MaxFailures = 1000
	// MinWait keeps a typing mistake from becoming load.
	MinWait = 100 * time.Millisecond
	// MaxWait is longer than any useful wait.
	MaxWait   = time.Hour
	MaxTrials = 100
)

// Config is when breakers open, and for how long. The zero value means the defaults.
type Config struct {
	// Failures is how many attempts in a row must fail to open a breaker; a success in between restarts the count. Default and
	// zero: 5. From 1 to 1,000.
	Failures int

	// Wait is how long an open breaker allows nothing, unless someone reports that the node is up; then it is half open for as
	// long. An attempt that was allowed and reports nothing for that long counts as failed. Default and zero: 10 s. From 100 ms
	// to 1 h.
	Wait time.Duration

	// Trials is how many attempts a breaker that is half open allows. The first that succeeds closes it, the first that fails
	// opens it again. Default and zero: 1. From 1 to 100.
	Trials int
}

// WithDefaults returns c with every zero replaced by its default.
func (c Config) WithDefaults() Config {
	c.Failures = cmp.Or(c.Failures, DefaultFailures)
	c.Wait = cmp.Or(c.Wait, DefaultWait)
	c.Trials = cmp.Or(c.Trials, DefaultTrials)
	return c
}

// Validate returns an error for the first field that is out of range. Zeros count as their defaults. Errors match
// api.ErrInvalidConfig.
func (c Config) Validate() error {
	c = c.WithDefaults()
	switch {
	case c.Failures < 1 || c.Failures > MaxFailures:
		return fmt.Errorf("%w: Failures: %d is not between 1 and %d; leave it out for %d", api.ErrInvalidConfig, c.Failures, MaxFailures, DefaultFailures)
	case c.Wait < MinWait || c.Wait > MaxWait:
		return fmt.Errorf("%w: Wait: %v is not between %v and %v; leave it out for %v", api.ErrInvalidConfig, c.Wait, MinWait, MaxWait, DefaultWait)
	case c.Trials < 1 || c.Trials > MaxTrials:
		return fmt.Errorf("%w: Trials: %d is not between 1 and %d; leave it out for %d", api.ErrInvalidConfig, c.Trials, MaxTrials, DefaultTrials)
	}
	return nil
}
