package messages

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/baseline"
	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
)

// Model is a way of reading streams.
type Model string

// The models that are compared.
const (
	None     Model = "none"     // nobody reads: what the producer alone costs
	Owned    Model = "owned"    // an engine owns the streams, and nobody reads them
	Blocking Model = "blocking" // a goroutine, a connection and XREAD BLOCK for each stream
	Feed     Model = "feed"     // engine/feed: an engine owns the streams and reads them
)

// owns reports whether a model reads what is announced to a service.
func (m Model) owns() bool { return m == Owned || m == Feed }

// model is a reader of one model, in a process of its own.
type model interface {
	open(ctx context.Context) error
	connect(ctx context.Context) error
	read(ctx context.Context) error
	held() int
	failed() int64
	leave(ctx context.Context) error
	counts() map[string]float64
}

func newModel(o ReaderOptions, t *tally) (model, error) {
	t.apart = o.Apart
	server, err := target.ChildOption()
	if err != nil {
		return nil, err
	}
	switch o.Model {
	case Blocking:
		return newBlocking(server, o, t), nil
	case Feed:
		return &fed{owned: owned{server: server, service: o.Service}, tally: t}, nil
	case Owned:
		return &owned{server: server, service: o.Service}, nil
	}
	return nil, fmt.Errorf("unknown model %q", o.Model)
}

// blocking is the usual way.
type blocking struct {
	*baseline.Blocking
	connections redis.UniversalClient
	streams     []string
}

// spareConnections are those that a pool has besides one for each stream.
const spareConnections = 16

func newBlocking(o rueidis.ClientOption, r ReaderOptions, t *tally) *blocking {
	connections := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: o.InitAddress, Username: o.Username, Password: o.Password, DB: o.SelectDB, TLSConfig: o.TLSConfig,
		MasterName: o.Sentinel.MasterSet, IsClusterMode: r.Clustered,
		PoolSize: r.Streams + spareConnections, DialTimeout: target.Timeout, PoolTimeout: time.Minute,
	})
	return &blocking{
		Blocking: baseline.NewBlocking(connections, func(stream string, batch []redis.XMessage) {
			t.take(stream, len(batch), func(i int) string {
				v, _ := batch[i].Values[load.Field].(string) // "" is no message of the load
				return v
			})
		}),
		connections: connections, streams: load.Names(r.Prefix, r.Streams),
	}
}

func (b *blocking) open(context.Context) error        { return nil } // its connections are a cost of the streams
func (b *blocking) connect(ctx context.Context) error { return b.Connect(ctx, len(b.streams)) }
func (b *blocking) held() int                         { return len(b.streams) }
func (b *blocking) failed() int64                     { return b.Failed() }
func (b *blocking) counts() map[string]float64        { return nil }
func (b *blocking) leave(context.Context) error {
	return errors.New("it owns nothing that it could hand back")
}
func (b *blocking) read(ctx context.Context) error {
	b.Start(ctx, b.streams)
	return nil
}

// owned is an engine, and nothing on it.
type owned struct {
	server   rueidis.ClientOption
	service  string
	engine   *engine.Engine
	registry *prometheus.Registry
	end      context.CancelFunc
	ended    chan error
}

// runs makes the engine, and returns when it is ready. run is what runs it.
func (w *owned) runs(ctx context.Context, run func(context.Context, *engine.Engine) error) (err error) {
	w.registry = prometheus.NewRegistry()
	w.engine, err = engine.Open(w.server, w.service, engine.WithRegisterer(w.registry),
		engine.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	if err != nil {
		return err
	}
	w.ended = make(chan error, 1)
	life, end := context.WithCancel(ctx)
	w.end = end
	go func() { w.ended <- run(life, w.engine) }()
	return target.AwaitReady(ctx, w.engine, w.ended)
}

func (w *owned) open(ctx context.Context) error {
	return w.runs(ctx, func(ctx context.Context, e *engine.Engine) error { return e.Run(ctx, api.Funcs{}) })
}

func (w *owned) leave(ctx context.Context) error {
	w.end()
	select {
	case err := <-w.ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *owned) connect(context.Context) error { return nil }
func (w *owned) read(context.Context) error    { return nil }
func (w *owned) held() int                     { return w.engine.Stats().Held }
func (w *owned) failed() int64                 { return int64(measure.Sum(w.registry, "streamlease_disowned_total")) }
func (w *owned) counts() map[string]float64    { return nil }
