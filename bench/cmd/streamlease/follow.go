package main

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/scan"
)

const (
	// followedItems is from how many items on the change of a partition takes so long that its progress is looked up.
	followedItems = 5000
	// followedPartitions is up to how many partitions of a service it is: each look reads them all. With more, they are the steps.
	followedPartitions = 16
	followInterval     = time.Second
)

// follow looks up how far the change of the items of a partition is, as the library does not tell, and reports about how many of them are
// gone, until the function is called that it returns.
func (c *call) follow(ctx context.Context, b *bulk, items, p int, report func(gone int)) (stop func()) {
	if b.left == nil || items < followedItems {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		i, err := c.inspect(scan.InspectorConfig{CountLimit: scan.NoCount})
		if err != nil {
			return
		}
		for before := -1; ctx.Err() == nil; backoff.Sleep(ctx, followInterval) {
			all, err := i.Backlog(ctx)
			if err != nil {
				continue // the change says so, too
			}
			if len(all) > followedPartitions {
				return
			}
			for n := range all {
				if all[n].Partition != p {
					continue
				}
				left := b.left(&all[n])
				before = max(before, left)
				report(min(before-left, items))
			}
		}
	}()
	return func() { cancel(); <-over }
}
