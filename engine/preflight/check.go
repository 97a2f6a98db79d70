package preflight

import (
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

// check is a call of Check in progress. One goroutine uses it.
type check struct {
	*Report
	Terms
	client rueidis.Client
	nodes  []*node

	// Of a cluster that has said who serves its slots; nil otherwise.
	masters []string       // addresses of those with slots
	owners  cluster.Owners // by index of masters
}
