package cluster

import (
	"cmp"
	"fmt"
	"time"
)

// Limits of Config.
const (
	// DefaultPollInterval is a third of the time that a failover takes at least with the default node timeout of Redis
	// (15 s): one short question to a few nodes, which costs them nothing that can be measured.
	DefaultPollInterval = 5 * time.Second
	// MinPollInterval keeps a typing mistake from becoming load.
	MinPollInterval = 100 * time.Millisecond
	// MaxPollInterval is above any use.
	MaxPollInterval = time.Hour
)

// Config tunes how the topology of a Redis Cluster is followed. The zero value is valid and means the defaults. It has no
// effect where there is no cluster.
type Config struct {
	// PollInterval is how often some nodes are asked who has which slot while nothing fails; since nothing announces
	// that. When calls fail they are asked at once, a few times a second at most. A change has what is held in the
	// affected partitions renewed and their dead looked for at once, so a shorter interval notices earlier what goes
	// unnoticed by the calls themselves. Default and zero: 5 s. From 100 ms to an hour.
	PollInterval time.Duration
}

// WithDefaults returns c with the default in the place of every zero.
func (c Config) WithDefaults() Config {
	c.PollInterval = cmp.Or(c.PollInterval, DefaultPollInterval)
	return c
}

// Validate reports the first field that is out of its limits, with the value. Zeros are taken as their defaults.
func (c Config) Validate() error {
	c = c.WithDefaults()
	if c.PollInterval < MinPollInterval || c.PollInterval > MaxPollInterval {
		return fmt.Errorf("Config.PollInterval is %v, must be from %v to %v", c.PollInterval, MinPollInterval, MaxPollInterval)
	}
	return nil
}
