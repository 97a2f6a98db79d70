package suite

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/baseline"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
)

// The models that are compared.
const (
	PerStream = "per-stream" // a goroutine, a lock and its extension for every stream
	Batched   = "batched"    // this library, with leases of the TTL
	TwoTier   = "two-tier"   // this library, with sessions of the TTL and default leases: a death is noticed as soon
)

// model is a consumer of one model.
type model interface {
	run(ctx context.Context) error // returns after stop, or when ctx ends
	ready(ctx context.Context) error
	held() int
	lost() int64
	renewed() float64
	stop(ctx context.Context) error
}

// newModel makes a consumer of a service. added is called for every stream that it gets.
func newModel(kind, service string, ttl time.Duration, clustered bool, added func()) (model, error) {
	o, err := target.ChildOption()
	if err != nil {
		return nil, err
	}
	switch kind {
	case Batched:
		return newBatched(o, service, added, engine.WithLeaseTTL(ttl))
	case TwoTier:
		return newBatched(o, service, added, engine.WithSessionTTL(ttl), engine.WithLeaseTTL(max(ttl, engine.DefaultLeaseTTL)))
	case PerStream:
		return newPerStream(o, service, ttl, clustered, added)
	}
	return nil, fmt.Errorf("unknown model %q", kind)
}

type batched struct {
	engine   *engine.Engine
	registry *prometheus.Registry
	added    func()
}

func newBatched(o rueidis.ClientOption, service string, added func(), opts ...engine.Option) (model, error) {
	b := &batched{registry: prometheus.NewRegistry(), added: added}
	var err error
	b.engine, err = engine.Open(o, service, append(opts, engine.WithRegisterer(b.registry),
		engine.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))))...)
	return b, err
}

func (b *batched) run(ctx context.Context) error {
	return b.engine.Run(ctx, api.Funcs{Added: func(context.Context, api.Notification) error {
		b.added()
		return nil
	}})
}

func (b *batched) ready(ctx context.Context) error { return b.engine.Ready(ctx) }
func (b *batched) held() int                       { return b.engine.Stats().Held }
func (b *batched) stop(ctx context.Context) error  { return b.engine.Shutdown(ctx) }
func (b *batched) renewed() float64 {
	return measure.Counter(b.registry, "streamlease_renewals_total", "result", "kept")
}

func (b *batched) lost() int64 {
	return int64(measure.Sum(b.registry, "streamlease_disowned_total"))
}

type perStream struct {
	*baseline.Client
	redis redis.UniversalClient
	until context.Context // its end stops run
	end   context.CancelFunc
	over  chan struct{}
}

func newPerStream(o rueidis.ClientOption, service string, ttl time.Duration, clustered bool, added func()) (model, error) {
	connections := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: o.InitAddress, Username: o.Username, Password: o.Password, DB: o.SelectDB, TLSConfig: o.TLSConfig,
		MasterName: o.Sentinel.MasterSet, IsClusterMode: clustered,
	})
	client, err := baseline.New(connections, baseline.Options{
		Service: service, Consumer: fmt.Sprint("process-", os.Getpid()), TTL: ttl,
		Added: func(string) { added() }, Disowned: func(string) {},
	})
	p := &perStream{Client: client, redis: connections, over: make(chan struct{})}
	p.until, p.end = context.WithCancel(context.Background())
	return p, err
}

func (p *perStream) run(ctx context.Context) error {
	defer close(p.over)
	defer context.AfterFunc(ctx, p.end)()
	return p.Run(p.until)
}

func (p *perStream) ready(ctx context.Context) error { return p.redis.Ping(ctx).Err() }
func (p *perStream) held() int                       { return p.Held() }
func (p *perStream) lost() int64                     { return p.Disowned() }
func (p *perStream) renewed() float64                { return float64(p.Extended()) }
func (p *perStream) stop(context.Context) error {
	p.end()
	<-p.over
	return p.redis.Close()
}
