package schedule

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
)

// Preflight checks the servers behind a client for an engine with schedules, as engine.Preflight does; in addition it reports whether the
// user has the rights that schedules take. Each finding about a right has the access rule that grants it. Errors match
// api.ErrInvalidConfig, or are ctx's.
func Preflight(ctx context.Context, client rueidis.Client, service string, opts ...engine.Option) (*preflight.Report, error) {
	return engine.PreflightScheduling(ctx, client, service, opts...)
}
