package preflight

import (
	"time"

	"github.com/streamlease/streamlease/cluster"
)

// Terms is what an engine will ask of the servers. All fields but the booleans and Reads must be set; engine.Preflight derives them from its
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

	Reads     *Reading // by engine/feed; nil: nothing is read
	Schedules bool     // by engine/schedule
}

// Reading is what engine/feed asks of the servers.
type Reading struct {
	Tracks bool // hears of writes by CLIENT TRACKING
	Trims  bool // deletes what was handled

	// Streams are the data streams that are read, as access rules name keys: whole names, and what names begin with, followed by "*".
	// MissingToRead does without, and so do Latest and PollEvery.
	Streams []string
	// Latest has a stream without a position begin at its end, which is looked for and stored first.
	Latest bool
	// PollEvery is how often each stream is read where tracking is refused; 0: nothing is read then.
	PollEvery time.Duration
}

// patience returns the timeout of one question. It is longer than that of an engine's calls, since people wait for the report and
// leases do not. A slow node is found by its round trips.
func (t Terms) patience() time.Duration { return max(t.Timeout, minPatience) }

// minPatience is the shortest timeout of a question.
const minPatience = 2 * time.Second
