package engine

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine/preflight"
)

// Preflight looks at the servers behind a client, for an engine that would be made with the same arguments, and reports
// what would keep it from working ([preflight.Report.Err]), what would hurt it some day, and what is worth knowing:
// versions, eviction, access rights, replicas, persistence, clocks, round trips, and where the partitions lie. It changes
// nothing in Redis and needs no running engine. It takes some round trips to each node; call it at a start, or
// before a deployment.
//
// Errors match api.ErrInvalidConfig, or are the end of ctx. That a server does not answer is a finding.
func Preflight(ctx context.Context, client rueidis.Client, service string, opts ...Option) (*preflight.Report, error) {
	cfg, layout, err := resolve(service, opts)
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, invalid("client is nil; make one with rueidis.NewClient")
	}
	if client.Mode() == rueidis.ClientModeCluster {
		if err := cfg.onCluster(); err != nil {
			return nil, err
		}
	}
	return preflight.Check(ctx, client, preflight.Terms{
		Layout:     layout,
		LeaseTTL:   cfg.leaseTTL,
		SessionTTL: cfg.sessionTTL,
		Timeout:    cfg.timeout,
		Settle:     cfg.settle,
		Hints:      cfg.expired,
		SetEvents:  cfg.setEvents,
		Foreign:    cfg.legacy,
	})
}
