package scan

import (
	"errors"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// orphan is an entry that a dead consumer left pending.
type orphan struct {
	lease.PendingEntry
	readable bool // the announcement could be parsed: Stream, Key and the counts are set
}

// parseOrphan parses a pending entry.
func (s *Store) parseOrphan(p int, pending lease.PendingEntry) orphan {
	o := orphan{PendingEntry: pending}
	parsed, err := lease.Parse(s.layout, &pending.Entry)
	// One whose name was cut off is dealt with like the others, and its lease expires by itself.
	o.Entry, o.readable = parsed, err == nil || errors.Is(err, lease.ErrNameCut)
	if err != nil {
		o.Key = s.layout.Keys(p).Lease("")
	}
	return o
}

// malformed returns the reason for dead-lettering an entry that cannot be parsed; empty where its body was not read.
func malformed(layout *cluster.Layout, x *lease.PendingEntry) string {
	_, err := lease.Parse(layout, &x.Entry)
	return lease.RequeueEntry(&x.Entry, err, "").Reason
}
