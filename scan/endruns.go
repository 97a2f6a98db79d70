package scan

import (
	"context"

	"github.com/streamlease/streamlease/lease"
)

// EndRuns ends the sessions that runs have in a partition, whatever their deadlines, so that Dead lists them and Recover recovers
// them now, as after a crash. It returns how many were open. runs are the names under which their first sessions were opened.
//
// The caller must have proof that they have ended. A process that still runs would go on believing in its leases until its own
// deadlines, while others take its streams.
func (s *Store) EndRuns(ctx context.Context, p int, runs []string) (int, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	n, err := s.run.Do(ctx, lease.Call{
		Script: scriptEndRuns,
		Keys:   []string{k.Input, k.Sessions},
		Args:   append([]string{s.layout.Group()}, runs...),
	}).AsInt64()
	return int(n), err
}
