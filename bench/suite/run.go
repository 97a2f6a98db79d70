package suite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
)

// run is an engine that runs in this process.
type run struct {
	engine  *engine.Engine
	began   time.Time
	streams int
	handled atomic.Int64  // streams
	all     chan struct{} // closed when all streams were handled
	failed  chan error    // the first error of the handler
	ended   chan error
}

// openEngine makes an engine that logs nothing.
func openEngine(t *target.Target, service string, opts ...engine.Option) (*engine.Engine, error) {
	o, err := t.ClientOption()
	if err != nil {
		return nil, err
	}
	return engine.Open(o, service, append(opts, engine.WithLogger(slog.New(slog.DiscardHandler)))...)
}

// startRun has an engine take that many streams, and handle be called for each of them.
func startRun(ctx context.Context, e *engine.Engine, streams int, handle func(api.Lease) error) *run {
	r := &run{engine: e, streams: streams, all: make(chan struct{}), failed: make(chan error, 1), ended: make(chan error, 1), began: time.Now()}
	go func() {
		r.ended <- e.Run(ctx, api.Funcs{Added: func(_ context.Context, n api.Notification) error {
			if err := handle(n.Lease); err != nil {
				select {
				case r.failed <- fmt.Errorf("stream %s: %w", n.Stream, err):
				default:
				}
			}
			if r.handled.Add(1) == int64(streams) {
				close(r.all)
			}
			return nil
		}})
	}()
	return r
}

// wait waits until all streams were handled, and returns how long that took since the start.
func (r *run) wait() (took time.Duration, err error) {
	select {
	case <-r.all:
	case err = <-r.failed:
	case ended := <-r.ended:
		r.ended <- ended
		err = errors.New("the engine ended")
	case <-time.After(pod.Patience):
		err = fmt.Errorf("%d of %d streams were handled in %v", r.handled.Load(), r.streams, pod.Patience)
	}
	return time.Since(r.began), err
}

// end shuts the engine down, and waits for its Run.
func (r *run) end(ctx context.Context) error { return errors.Join(r.engine.Shutdown(ctx), <-r.ended) }

// failOnLeft fails when the input stream of a service whose streams are all done still has announcements.
func failOnLeft(ctx context.Context, p producer.Producer) error {
	left, err := p.Client.Do(ctx, p.Client.B().Xlen().Key(p.Service+"-input").Build()).AsInt64()
	if err == nil && left != 0 {
		err = fmt.Errorf("%d announcements that were done are left in the input stream", left)
	}
	return err
}
