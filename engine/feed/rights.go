package feed

import (
	"context"
	"strings"
	"time"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/engine/preflight"
)

// rightsTime is how long it may take to find out which rights are missing.
const rightsTime = 5 * time.Second

// missingRights returns the rights that the user lacks for what the feed does, in one line; "" if there are all, or that cannot be said.
func missingRights(ctx context.Context, e *engine.Engine, c *Config) string {
	layout, err := cluster.NewLayout(e.Service(), e.Partitions())
	if err != nil { // a bug: the engine has one
		panic(err)
	}
	ctx, cancel := context.WithTimeout(ctx, rightsTime)
	defer cancel()
	all := preflight.MissingToRead(ctx, e.Client(), preflight.Terms{Layout: layout, Timeout: stepTimeout},
		preflight.Reading{Tracks: c.Mode != Polling, Trims: c.Trim == TrimHandled})
	texts := make([]string, len(all))
	for i, l := range all {
		texts[i] = l.String()
	}
	return strings.Join(texts, "; ")
}

// nameMissingRights says once, at the start, which rights are missing. It returns them.
func nameMissingRights(ctx context.Context, e *engine.Engine, c *Config, log *sumlog.Logger) string {
	missing := missingRights(ctx, e, c)
	if missing != "" {
		log.Warn("rights to read streams are missing", 1, "rights", missing)
	}
	return missing
}
