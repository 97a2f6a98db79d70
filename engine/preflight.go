package engine

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine/preflight"
)

// Preflight checks the servers behind a client for an engine that would be made with the same arguments. It reports what would
// keep the engine from working ([preflight.Report.Err]), what may cause trouble later, and what is good to know: versions,
// eviction, access rights, replicas, persistence, clocks, round trips, and how the partitions are placed. It changes nothing in
// Redis and needs no running engine. It takes a few round trips to each node; call it at startup or before a deployment.
//
// Errors match api.ErrInvalidConfig, or are ctx's. A server that does not answer is a finding, not an error.
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
