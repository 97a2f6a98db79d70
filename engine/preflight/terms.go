package preflight

import (
	"time"

	"github.com/streamlease/streamlease/cluster"
)

// Terms are what an engine will ask of the servers. All but the switches must be set; engine.Preflight derives them from
// its options.
type Terms struct {
	Layout     *cluster.Layout
	LeaseTTL   time.Duration
	SessionTTL time.Duration
	Timeout    time.Duration // of one call

	Settle    bool // as WithSettle
	Hints     bool // as WithExpired
	SetEvents bool // as WithKeyspaceEvents
	Foreign   bool // as WithForeignConsumers
}

// patience is how long one question waits: people wait for the report, no lease does. A node that is that slow is found
// by its round trips.
func (t Terms) patience() time.Duration { return max(t.Timeout, minPatience) }

const minPatience = 2 * time.Second
