package engine

import (
	"slices"
	"sync/atomic"
)

// lanes records which partitions share a master: partitions of one master are in one lane. The zero value has all of them in
// one. Only the topology watcher writes it; anyone may read it at any time.
type lanes struct {
	assigned atomic.Pointer[[]int] // the lane of each partition, replaced as a whole; nil: all are in lane 0
}

// of returns the lane of a partition.
func (l *lanes) of(partition int) int {
	if all := l.assigned.Load(); all != nil {
		return (*all)[partition]
	}
	return 0
}

// assign gives each partition its lane, and reports whether that changed anything. The slice must not be changed afterwards.
func (l *lanes) assign(all []int) (changed bool) {
	old := l.assigned.Swap(&all)
	return old == nil || !slices.Equal(*old, all)
}
