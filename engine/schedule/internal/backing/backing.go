package backing

import (
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
)

// Spec is what has to be known of a schedule.Spec.
type Spec struct {
	ticking.Terms
	Shown any    // the *schedule.Spec as a task gets it
	Times string // as the table has them
	Rest  string
}

// Compare reports whether two specs are the same to the table, and whether they have the same times.
func Compare(a, b Spec) (same, sameTimes bool) {
	sameTimes = a.Times == b.Times
	return sameTimes && a.Rest == b.Rest, sameTimes
}

// Read checks a schedule.Spec, as Put does, and returns what it says. Package schedule sets it.
var Read func(spec any) (Spec, error)

// SavesAtOnce reports whether the checkpoint of each tick is stored at once. Package schedule sets it.
var SavesAtOnce func(t *ticking.Terms) bool
