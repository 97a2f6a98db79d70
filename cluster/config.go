package cluster

import (
	"cmp"
	"fmt"
	"time"
)

// Limits of Config.
const (
	// DefaultPollInterval is a third of the least time that a failover takes with the default node timeout of Redis
	// (15 s). A poll is one short question to a few nodes, with no measurable cost to them.
	DefaultPollInterval = 5 * time.Second
	// MinPollInterval keeps a typing mistake from becoming load.
	MinPollInterval = 100 * time.Millisecond
	// MaxPollInterval is longer than any useful interval.
	MaxPollInterval = time.Hour
)

// Config tunes how the topology of a Redis Cluster is followed. The zero value is valid and means the defaults. It has no
// effect without a cluster.
type Config struct {
	// PollInterval is how often a few nodes are asked which master serves which slot while nothing fails, since nothing
	// announces changes. When calls fail, nodes are asked at once, a few times a second at most. After a change, leases in
	// the affected partitions are renewed and dead consumers looked for at once, so a shorter interval finds changes sooner
	// that no failed call reveals. Default and zero: 5 s. From 100 ms to an hour.
	PollInterval time.Duration
}

// WithDefaults returns c with every zero replaced by its default.
func (c Config) WithDefaults() Config {
	c.PollInterval = cmp.Or(c.PollInterval, DefaultPollInterval)
	return c
}

// Validate returns an error for the first field that is out of range, with its value. Zeros count as their defaults.
func (c Config) Validate() error {
	c = c.WithDefaults()
	if c.PollInterval < MinPollInterval || c.PollInterval > MaxPollInterval {
		return fmt.Errorf("Config.PollInterval is %v, must be from %v to %v", c.PollInterval, MinPollInterval, MaxPollInterval)
	}
	return nil
}
