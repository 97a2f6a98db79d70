package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/engine"
)

type options struct {
	streams    int
	leaseTTL   time.Duration // 0: the default
	sessionTTL time.Duration // 0: the default
	hold       time.Duration
}

func (o options) validate() error {
	if o.streams < 2 {
		return fmt.Errorf("-streams is %d, must be at least 2: each of two processes owns half", o.streams)
	}
	return nil
}

// lease and session are the TTLs that the engine will use.
func (o options) lease() time.Duration   { return cmp.Or(o.leaseTTL, engine.DefaultLeaseTTL) }
func (o options) session() time.Duration { return cmp.Or(o.sessionTTL, engine.DefaultSessionTTL) }

// engine returns the options of the engine of either process.
func (o options) engine(name string, registry *prometheus.Registry) []engine.Option {
	return []engine.Option{
		engine.WithConsumerID(name), engine.WithLeaseTTL(o.leaseTTL), engine.WithSessionTTL(o.sessionTTL),
		engine.WithRegisterer(registry), engine.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))),
	}
}
