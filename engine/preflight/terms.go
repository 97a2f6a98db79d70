package preflight

import (
	"time"

	"github.com/streamlease/streamlease/cluster"
)

// Terms is what an engine will ask of the servers. All fields but the booleans must be set; engine.Preflight derives them from its
// options.
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

// patience returns the timeout of one question. It is longer than that of an engine's calls, since people wait for the report and
// leases do not. A slow node is found by its round trips.
func (t Terms) patience() time.Duration { return max(t.Timeout, minPatience) }

// minPatience is the shortest timeout of a question.
const minPatience = 2 * time.Second
