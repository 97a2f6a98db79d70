package suite

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
)

// service is the name under which everything is measured.
const service = "bench"

// prefix is what the names of streams begin with; a number follows.
const prefix = "user-"

// EnvRedis tells a child which Redis to use, as a URL: a password has no place on a command line, which everybody can read.
const EnvRedis = "STREAMLEASE_BENCH_REDIS"

// reach is how long a server may take to answer before anything was measured, and how long cleaning up may take.
const reach = 10 * time.Second

// site is the Redis on which something is measured, and the names that belong to it there.
type site struct {
	client  rueidis.Client
	url     string // for children
	name    string // that all keys begin with
	version string
	cluster bool
	parts   int             // partitions of its services
	private *servers.Server // nil: it is somebody's
	used    []lot
}

// lot is streams that were announced to a service.
type lot struct {
	producer producer.Producer
	streams  int
}

// openSite starts a private server if url is empty, else goes there.
func openSite(ctx context.Context, url string) (*site, error) {
	return openSiteOn(ctx, url, servers.Options{})
}

// openSiteOn is openSite with options for the private server.
func openSiteOn(ctx context.Context, url string, o servers.Options) (*site, error) {
	s := &site{url: url, name: service, parts: cluster.DefaultPartitions}
	if url == "" {
		server, err := servers.Start(ctx, o)
		if err != nil {
			return nil, err
		}
		s.private, s.url = server, "redis://"+server.Addr()
	} else {
		s.name = "streamlease-bench-" + strings.ToLower(rand.Text()[:10])
	}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *site) connect(ctx context.Context) error {
	o, err := s.option()
	if err != nil {
		return err
	}
	where := Redacted(s.url)
	if s.client, err = rueidis.NewClient(o); err != nil {
		return fmt.Errorf("-redis: no connection to %s: %w", where, err)
	}
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	probe := s.name + "-probe"
	if err := s.client.Do(ctx, s.client.B().Set().Key(probe).Value("1").PxMilliseconds(1000).Build()).Error(); err != nil {
		return fmt.Errorf("-redis: %s takes no writes: %w", where, err)
	}
	if err := s.client.Do(ctx, s.client.B().Del().Key(probe).Build()).Error(); err != nil {
		return fmt.Errorf("-redis: %s takes no deletions: %w", where, err)
	}
	u, err := measure.ReadUsage(ctx, s.client)
	if err != nil {
		return fmt.Errorf("-redis: %s: %w", where, err)
	}
	s.version, s.cluster = u.Version, u.Cluster
	if s.private == nil {
		s.version += " at " + where
	}
	return nil
}

// front is the address that a proxy can stand before, as the one way of a client to the server; else why none can.
func (s *site) front() (addr, why string) {
	o, err := s.option()
	switch {
	case err != nil:
		return "", err.Error()
	case o.TLSConfig != nil:
		return "", "what goes over TLS"
	case s.cluster || len(o.InitAddress) > 1:
		return "", "several nodes"
	case o.Sentinel.MasterSet != "":
		return "", "a server that Sentinels tell of"
	case o.DialCtxFn != nil:
		return "", "a socket that is a file"
	}
	return o.InitAddress[0], ""
}

// by is the URL for a child that goes there by way of another address.
func (s *site) by(addr string) (string, error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return "", withoutURL(err)
	}
	u.Host = addr
	return u.String(), nil
}

// option is how a client gets there.
func (s *site) option() (rueidis.ClientOption, error) {
	if s.private != nil {
		return s.private.ClientOption(), nil
	}
	return redisOption(s.url)
}

func redisOption(address string) (rueidis.ClientOption, error) {
	o, err := rueidis.ParseURL(address)
	if err != nil {
		return o, fmt.Errorf("-redis: not the URL of a Redis server, as redis://user:password@host:6379: %w", withoutURL(err))
	}
	o.Dialer.Timeout = cmp.Or(o.Dialer.Timeout, reach/2)
	return o, nil
}

// withoutURL is the reason alone: the text of a parse error repeats the URL, password included.
func withoutURL(err error) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		return parse.Err
	}
	return err
}

// Redacted is the URL without its password.
func Redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the URL given"
	}
	return u.Redacted()
}

// announce announces so many streams to the service of that name, and returns their producer.
func (s *site) announce(ctx context.Context, name string, streams int) (producer.Producer, error) {
	p := s.use(name, streams)
	_, err := p.Announce(ctx, 0, streams)
	return p, err
}

// use is the producer of a service whose streams are among the first so many, all of which is removed in the end.
func (s *site) use(name string, streams int) producer.Producer {
	p := s.producer(name)
	s.used = append(s.used, lot{p, streams})
	return p
}

// producer is that of the service of that name. Streams on somebody's server carry the name, since locks of the baseline
// are called after nothing else.
func (s *site) producer(name string) producer.Producer {
	p := producer.Producer{Client: s.client, Service: s.name + "-" + name, Prefix: prefix}
	if layout, err := cluster.NewLayout(p.Service, s.parts); err == nil && s.parts > 1 {
		p.Input = func(stream string) string { return layout.Keys(layout.Of(stream)).Input }
	}
	if s.private == nil {
		p.Prefix = p.Service + ":" + prefix
	}
	return p
}

// close removes all that was put there, also after an interrupt, and stops what was started.
func (s *site) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*reach)
	defer cancel()
	var err error
	if s.private == nil {
		for _, l := range s.used {
			err = errors.Join(err, s.remove(ctx, l))
		}
	}
	return errors.Join(err, s.stop())
}

func (s *site) stop() error {
	if s.client != nil {
		s.client.Close()
	}
	if s.private != nil {
		return s.private.Stop()
	}
	return nil
}

// remove deletes the keys of a service.
func (s *site) remove(ctx context.Context, l lot) error {
	layout, err := cluster.NewLayout(l.producer.Service, s.parts)
	if err != nil {
		return err
	}
	keys := []string{layout.Meta()}
	for part := range s.parts {
		k := layout.Keys(part)
		keys = append(keys, k.Input, k.Sessions, k.Later, k.Token, k.Scan, k.DeadLetters)
	}
	for i := range l.streams {
		stream := l.producer.Stream(i)
		keys = append(keys, layout.Keys(layout.Of(stream)).Lease(stream))
	}
	for _, marks := range []string{"recover", "copied"} {
		found, err := s.matching(ctx, "{"+l.producer.Service+"-input*}:"+marks+":*")
		if err != nil {
			return fmt.Errorf("looking for what %s left: %w", l.producer.Service, err)
		}
		keys = append(keys, found...)
	}
	const page = 500
	for ; len(keys) > 0; keys = keys[min(page, len(keys)):] {
		var unlink rueidis.Commands
		for _, key := range keys[:min(page, len(keys))] {
			unlink = append(unlink, s.client.B().Unlink().Key(key).Build())
		}
		for _, result := range s.client.DoMulti(ctx, unlink...) {
			if err := result.Error(); err != nil {
				return fmt.Errorf("removing what was announced to %s: %w", l.producer.Service, err)
			}
		}
	}
	return nil
}

// matching are the keys of a pattern, on all servers.
func (s *site) matching(ctx context.Context, pattern string) (keys []string, err error) {
	for _, node := range s.client.Nodes() {
		for cursor := uint64(0); ; {
			page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(pattern).Count(1000).Build()).AsScanEntry()
			if err != nil {
				return nil, err
			}
			keys = append(keys, page.Elements...)
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	return keys, nil
}

// childRedis is the Redis that the parent told of.
func childRedis() (rueidis.ClientOption, error) { return redisOption(os.Getenv(EnvRedis)) }
