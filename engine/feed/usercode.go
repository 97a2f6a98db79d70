package feed

import (
	"errors"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
)

// userCode calls the user's code.
type userCode struct {
	log     *sumlog.Logger
	metrics *metrics.Metrics
}

// call calls f and then done with its error. What panics has an error, and is counted and logged under that name.
func (u userCode) call(name string, f func() error, done func(error)) {
	guard.Finally(func() error { return guard.Error(f()) }, func(err error) {
		u.panicked(name, err)
		done(err)
	})
}

func (u userCode) panicked(where string, err error) {
	var p *api.PanicError
	if errors.As(err, &p) {
		u.metrics.Inc(metrics.FeedPanics)
		u.log.Error("code that was given to the feed panicked", "where", where, "panic", p.Value, "stack", string(p.Stack))
	}
}
