package engine

import (
	"context"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// Requeue finds nothing; it is tested on real servers.
func (s fakeScan) Requeue(context.Context, int, string, string, func(string) bool) error {
	return api.ErrNotAnnounced
}

// Backlog counts nothing; it is tested on real servers.
func (s fakeScan) Backlog(_ context.Context, p, _ int) (scan.Backlog, error) {
	return scan.Backlog{Partition: p, Lag: -1, LagBy: scan.LagUnknown}, nil
}
