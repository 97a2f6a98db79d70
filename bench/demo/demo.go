package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	service = "demo"
	entries = 3 // in each data stream
	// goodbye is how long handing back may take after an interrupt.
	goodbye = 5 * time.Second
)

type options struct {
	streams  int
	leaseTTL time.Duration
	hold     time.Duration
}

// demo is the whole run: server, producers, owner, proof.
func demo(ctx context.Context, o options, out *screen) (err error) {
	server, err := servers.Start(ctx, servers.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	info, err := server.Info(ctx, "server")
	if err != nil {
		return err
	}
	out.say("Started a private Redis %s on %s.", info["redis_version"], server.Addr())

	client, err := rueidis.NewClient(server.ClientOption())
	if err != nil {
		return err
	}
	defer client.Close()
	p := producer.Producer{Client: client, Service: service, Prefix: "demo:user:"}
	filled, err := p.Fill(ctx, o.streams, entries)
	if err != nil {
		return err
	}
	announced, err := p.Announce(ctx, 0, o.streams)
	if err != nil {
		return err
	}
	out.say("Producers wrote %s entries into %s data streams (%v) and announced each stream by XADD (%v).",
		grouped(o.streams*entries), grouped(o.streams), filled.Round(time.Millisecond), announced.Round(time.Millisecond))
	return own(ctx, o, out, server, client, p)
}

// own runs the engine until all is proven, and hands everything back whatever happens.
func own(ctx context.Context, o options, out *screen, server *servers.Server, client rueidis.Client, p producer.Producer) (err error) {
	registry := prometheus.NewRegistry()
	e, err := engine.Open(server.ClientOption(), service,
		engine.WithConsumerID("demo"), engine.WithLeaseTTL(o.leaseTTL), engine.WithRegisterer(registry),
		engine.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		return err
	}
	owner := newOwner(client, o.streams, entries)
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		err := e.Run(context.WithoutCancel(ctx), owner.handler())
		if err != nil {
			owner.fail(err)
		}
		ended <- err
	}()
	defer owner.close()
	shutdown := func() error {
		patience, cancel := context.WithTimeout(context.Background(), goodbye)
		defer cancel()
		err := e.Shutdown(patience)
		<-ended // the same error
		return err
	}

	watch := &watch{out: out, server: server, engine: e, owner: owner, registry: registry, began: began}
	if err := watch.take(ctx); err != nil {
		return errors.Join(err, shutdown())
	}
	out.say("One process owns all %s of them after %v and has read %s entries as their owner. Holding them for %v, with leases of %v:",
		grouped(o.streams), watch.taken.Round(time.Millisecond), grouped(owner.entriesRead.Load()), o.hold, o.leaseTTL)
	if err := watch.hold(ctx, o.hold); err != nil {
		return errors.Join(err, shutdown())
	}

	layout, err := cluster.NewLayout(service, 1)
	if err != nil {
		return errors.Join(err, shutdown())
	}
	proof := proof{client: client, keys: layout.Keys(0), group: layout.Group(), engine: e, owner: owner, streams: o.streams, producer: p}
	if err := proof.nothingLost(ctx, out, watch.renewed()); err != nil {
		return errors.Join(err, shutdown())
	}
	drain := time.Now()
	if err := shutdown(); err != nil {
		return err
	}
	took := time.Since(drain)
	if err := proof.allHandedBack(ctx); err != nil {
		return err
	}
	out.say("Handed all %s back in %v: each was told first, its lease still valid; all are announced again and none is leased.",
		grouped(o.streams), took.Round(time.Millisecond))
	return nil
}

// proof looks at the server.
type proof struct {
	client   rueidis.Client
	keys     *cluster.Keys
	group    string
	engine   *engine.Engine
	owner    *owner
	streams  int
	producer producer.Producer
}

// nothingLost checks that every stream is held, and that the server says so too.
func (p *proof) nothingLost(ctx context.Context, out *screen, renewed float64) error {
	if err := p.owner.err(); err != nil {
		return err
	}
	onServer := 0
	for from := 0; from < p.streams; from += 500 {
		var gets rueidis.Commands
		var want []string
		for i := from; i < min(from+500, p.streams); i++ {
			stream := p.producer.Stream(i)
			l, held := p.engine.Lease(stream)
			if !held {
				return fmt.Errorf("stream %s is not held", stream)
			}
			want = append(want, fmt.Sprintf("%s %d %s", p.engine.ID(), l.Token(), l.Entry()))
			gets = append(gets, p.client.B().Get().Key(p.keys.Lease(stream)).Build())
		}
		for i, result := range p.client.DoMulti(ctx, gets...) {
			value, err := result.ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				return err
			}
			if value != want[i] {
				return fmt.Errorf("the lease of %s on the server is %q, not %q", p.producer.Stream(from+i), value, want[i])
			}
			onServer++
		}
	}
	out.say("No lease was lost: %s of %s are held, %s lease keys on the server name this process and its tokens, "+
		"%s were disowned; a lease was renewed %.1f times on average.",
		grouped(p.engine.Stats().Held), grouped(p.streams), grouped(onServer), grouped(p.owner.disowned.Load()), renewed/float64(p.streams))
	return nil
}

// allHandedBack checks that the streams wait for the next consumer as if nobody had had them.
func (p *proof) allHandedBack(ctx context.Context) error {
	if err := p.owner.err(); err != nil {
		return err
	}
	if n := p.owner.handed.Load(); n != int64(p.streams) {
		return fmt.Errorf("%d of %d streams were told that they are released", n, p.streams)
	}
	waiting, err := p.client.Do(ctx, p.client.B().Xlen().Key(p.keys.Input).Build()).AsInt64()
	if err != nil {
		return err
	}
	pending, err := p.client.Do(ctx, p.client.B().Xpending().Key(p.keys.Input).Group(p.group).Build()).ToArray()
	if err != nil {
		return err
	}
	n, err := pending[0].AsInt64()
	if err != nil {
		return err
	}
	if waiting != int64(p.streams) || n != 0 {
		return fmt.Errorf("%d announcements wait and %d are pending, want %d and 0", waiting, n, p.streams)
	}
	for i := range p.streams {
		if _, held := p.engine.Lease(p.producer.Stream(i)); held {
			return fmt.Errorf("stream %s is still held", p.producer.Stream(i))
		}
	}
	left, err := p.client.Do(ctx, p.client.B().Eval().
		Script("local n, c = 0, '0' repeat local r = redis.call('SCAN', c, 'MATCH', ARGV[1], 'COUNT', 10000) c = r[1] n = n + #r[2] until c == '0' return n").
		Numkeys(0).Arg(p.keys.LeasePrefix()+"*").Build()).AsInt64()
	if err != nil {
		return err
	}
	if left != 0 {
		return fmt.Errorf("%d lease keys are left on the server", left)
	}
	return nil
}
