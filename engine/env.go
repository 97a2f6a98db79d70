package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/outbox"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/lease"
)

// env is what every part of an engine works with: settings, time, random numbers, and ways to report what happens. Parts get it
// and the few other things that they need, but not the engine.
type env struct {
	cfg     *config
	clock   lease.Clock
	metrics *metrics.Metrics
	log     *sumlog.Logger
	hooks   *outbox.Outbox[api.Event]
	draw    func() float64 // replaces rand.Float64 in tests that fix the seed; nil: not replaced
}

// jitterShare is the largest share of an interval that is taken off at random.
const jitterShare = 0.1

// random returns a number in [0, 1).
func (e *env) random() float64 {
	if e.draw != nil {
		return e.draw()
	}
	return rand.Float64()
}

// event reports an event to the user's hook and to the log. It waits for neither.
func (e *env) event(kind api.EventKind, partition int, err error, detail string) {
	e.tell(api.Event{Kind: kind, Partition: partition, Err: err, Detail: detail})
}

// tell does the same for events with more fields.
func (e *env) tell(v api.Event) {
	e.log.Event(v.Kind, v.Partition, v.Err, v.Detail)
	e.hook(v)
}

// hook reports an event to the user's hook alone.
func (e *env) hook(v api.Event) {
	v.Time = time.Now()
	e.hooks.Post(v)
}

// hooked counts what became of an event that was posted to the user's hook.
func (e *env) hooked(r outbox.Result, err error) {
	e.countHook(metrics.HookEvents, r)
	var panicked *api.PanicError
	if errors.As(err, &panicked) {
		e.log.Error("a hook of WithEvents panicked", "panic", panicked.Value, "stack", string(panicked.Stack))
	}
}

// countHook counts what became of what was posted to a hook.
func (e *env) countHook(hook metrics.Hook, r outbox.Result) {
	e.metrics.Inc(metrics.Hooks.With(hook, [...]metrics.HookResult{
		outbox.Delivered: metrics.HookDelivered, outbox.Panicked: metrics.HookPanicked, outbox.Dropped: metrics.HookDropped,
	}[r]))
}

// backoff returns the delay after that many failures in a row: cfg.retry, doubled with each up to a beat, less a random share of
// up to half of it.
func (e *env) backoff(failures int) time.Duration {
	delays := backoff.Exponential{First: e.cfg.retry, Max: e.cfg.beat, Jitter: 0.5}
	return delays.Delay(failures, e.random())
}

// isCancel reports whether err says that a context has ended.
func isCancel(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
