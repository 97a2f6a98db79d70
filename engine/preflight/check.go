package preflight

import (
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

// check is one look, while it goes on. Used by one goroutine.
type check struct {
	*Report
	Terms
	client rueidis.Client
	nodes  []*node

	// Of a cluster that says so; else nil.
	masters []string       // addresses of those with slots
	owners  cluster.Owners // by index of masters
}
