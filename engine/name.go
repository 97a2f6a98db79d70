package engine

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"
)

// consumerNames are the names that one run has in Redis: that of the run, for its first sessions, and that name with a number for
// each session that replaces a lost one. So the name of a run, which is known before anything is opened, tells all of them.
type consumerNames struct {
	id   string
	run  string
	lost atomic.Uint64
}

// newConsumerNames returns names that no other run of any process has.
func newConsumerNames(id string) *consumerNames {
	return &consumerNames{id: id, run: id + "." + rand.Text()[:12]}
}

// next returns a name that this run has not used before.
func (n *consumerNames) next() string { return fmt.Sprintf("%s-%d", n.run, n.lost.Add(1)) }
