package feed

import "sync/atomic"

// counts are sums over all streams.
type counts struct {
	kept      atomic.Int64 // batches
	keptBytes atomic.Int64
	bytes     atomic.Int64 // held by messages
	retrying  atomic.Int64 // streams
}

// keep counts a batch that is kept from now on.
func (c *counts) keep(bytes int) {
	c.kept.Add(1)
	c.keptBytes.Add(int64(bytes))
}

// unkeep takes back keep.
func (c *counts) unkeep(bytes int) {
	c.kept.Add(-1)
	c.keptBytes.Add(int64(-bytes))
}
