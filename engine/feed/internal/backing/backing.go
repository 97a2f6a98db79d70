package backing

import (
	"context"
	"log/slog"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
)

// Reader reads streams. reading.Reader is the real one; see there.
type Reader interface {
	Add(s reading.Source) Handle
	Release(bytes int)
	Topology()
	LastID(ctx context.Context, stream string) (string, error)
}

// Handle is a stream that a Reader has.
type Handle interface {
	Wake(now bool)
	Remove()
}

// Leaver ends leases, and without stranding a message where they are left. engine.Engine is the real one; see there.
type Leaver interface {
	Shut(ctx context.Context, l api.Lease) error
	Reopen(ctx context.Context, l api.Lease) error
	DoneIfShut(ctx context.Context, l api.Lease) error
	Ended(l api.Lease, err error)
}

// Parts are what a feed without an engine is made of.
type Parts struct {
	Reader  Reader
	Leaver  Leaver
	Logger  *slog.Logger
	Service string
}

// Feed is a feed without an engine: its caller hands it leases, and must stop it when all have ended.
type Feed interface {
	engine.Layer
	// Stop drops what has not begun. The channel is closed once nothing runs any more.
	Stop() <-chan struct{}
}

// New makes such a feed of a feed.Handler and a feed.Config, and returns the *feed.Feed that shows its lags and figures. Package feed
// sets it.
var New func(handler, config any, p Parts) (f Feed, shown any, err error)
