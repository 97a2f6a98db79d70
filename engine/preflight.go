package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
)

// Preflight checks the servers behind a client for an engine that would be made with the same arguments. It reports what would
// keep the engine from working ([preflight.Report.Err]), what may cause trouble later, and what is good to know: versions,
// eviction, access rights, replicas, persistence, clocks, round trips, and how the partitions are placed. It changes nothing in
// Redis and needs no running engine. It takes a few round trips to each node; call it at startup or before a deployment.
//
// Errors match api.ErrInvalidConfig, or are ctx's. A server that does not answer is a finding, not an error.
//
// For an engine whose streams are read by a feed, use feed.Preflight; for one with schedules, schedule.Preflight.
func Preflight(ctx context.Context, client rueidis.Client, service string, opts ...Option) (*preflight.Report, error) {
	return check(ctx, client, service, func(*preflight.Terms) {}, opts)
}

// PreflightReading does what Preflight does, and checks what reading data streams takes besides. It is for layers (RunLayer) that read
// as package feed does; feed.Preflight calls it.
func PreflightReading(ctx context.Context, client rueidis.Client, service string, reads preflight.Reading, opts ...Option) (*preflight.Report, error) {
	if len(reads.Streams) == 0 {
		return nil, invalid(`no data streams to check the rights for; give their names, or what these begin with, as in "events:*"`)
	}
	for _, stream := range reads.Streams {
		if err := cluster.ValidateStream(stream); err != nil {
			return nil, fmt.Errorf("%w: data stream %.64q: %w", api.ErrInvalidConfig, stream, err)
		}
	}
	return check(ctx, client, service, func(t *preflight.Terms) { t.Reads = &reads }, opts)
}

// PreflightScheduling does what Preflight does, and checks what schedules take besides. schedule.Preflight calls it.
func PreflightScheduling(ctx context.Context, client rueidis.Client, service string, opts ...Option) (*preflight.Report, error) {
	return check(ctx, client, service, func(t *preflight.Terms) { t.Schedules = true }, opts)
}

func check(ctx context.Context, client rueidis.Client, service string, layer func(*preflight.Terms), opts []Option) (*preflight.Report, error) {
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
	terms := cfg.terms(layout)
	layer(&terms)
	return preflight.Check(ctx, client, terms)
}

// terms returns what an engine with these options asks of the servers.
func (c *config) terms(layout *cluster.Layout) preflight.Terms {
	return preflight.Terms{
		Layout:     layout,
		LeaseTTL:   c.leaseTTL,
		SessionTTL: c.sessionTTL,
		Timeout:    c.timeout,
		Settle:     c.settle,
		Hints:      c.expired,
		SetEvents:  c.setEvents,
		Foreign:    c.legacy,
	}
}

// rightsTime is how long a start or a publisher that lacks a right may take to find out which others it lacks.
const rightsTime = 5 * time.Second

// withMissingRights adds to an error that says that one right is missing all that are, as missing finds them.
func withMissingRights(ctx context.Context, err error, missing func(ctx context.Context) []preflight.Lack) error {
	if !lease.LacksRight(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rightsTime)
	defer cancel()
	var all []string
	for _, l := range missing(ctx) {
		all = append(all, l.String())
	}
	if len(all) == 0 { // the node that refused is not among those that were asked, or somebody has granted it meanwhile, or a
		// publisher's other call is asking
		return fmt.Errorf("%w: %w", api.ErrMissingRights, err)
	}
	return fmt.Errorf("%w: %s (first seen: %w)", api.ErrMissingRights, strings.Join(all, "; "), err)
}
