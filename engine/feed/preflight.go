package feed

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
)

// Preflight checks the servers behind a client for a feed with this Config, and for its engine as engine.Preflight does. In addition it
// reports whether the user may read the data streams, and store positions; where c asks for it, whether handled messages can be
// deleted; and whether servers say which streams were written to, or what polling costs if they do not. Each finding about a right
// has the access rule that grants it.
//
// Rights are granted by key, so streams says which data streams there will be: whole names, and what names begin with, followed by "*",
// such as "events:*"; "*" alone stands for any name. For a beginning, one name is tried that no stream has. There is at least one.
//
// client is one like those that the engine makes (engine.ClientOption): whether it speaks RESP3 is part of what is checked. Errors match
// api.ErrInvalidConfig, or are ctx's.
func Preflight(ctx context.Context, client rueidis.Client, service string, c Config, streams []string, opts ...engine.Option) (*preflight.Report, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	return engine.PreflightReading(ctx, client, service, c.reads(streams), opts...)
}

// reads returns what a feed asks of servers.
func (c *Config) reads(streams []string) preflight.Reading {
	r := preflight.Reading{Streams: streams, Tracks: c.Mode != Polling, Trims: c.Trim == TrimHandled, Latest: c.Start == Latest}
	if c.Mode != Tracking {
		r.PollEvery = c.PollEvery
	}
	return r
}
