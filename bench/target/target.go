package target

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
)

// Service is the name of the service on private servers.
const Service = "bench"

// Prefix is the prefix of the names of streams, which a number follows.
const Prefix = "user-"

// Timeout is how long a server may take to answer outside of what is measured.
const Timeout = 10 * time.Second

// Target is the Redis on which something is measured, and the names of the keys there.
type Target struct {
	Client     rueidis.Client
	URL        string // for child processes
	Name       string // prefix of all keys
	Version    string
	Cluster    bool
	Partitions int             // partitions of its services
	Private    *servers.Server // nil: the server is not ours
	tracked    []tracked
}

// tracked are streams that were announced to a service.
type tracked struct {
	producer producer.Producer
	streams  int
	data     bool // something is written to the streams themselves
}

// Open connects to the server at url, or starts a private one if url is empty. Close the target afterwards.
func Open(ctx context.Context, url string) (*Target, error) {
	return OpenWith(ctx, url, servers.Options{})
}

// OpenWith is Open with options for the private server.
func OpenWith(ctx context.Context, url string, o servers.Options) (*Target, error) {
	t := &Target{URL: url, Name: Service, Partitions: cluster.DefaultPartitions}
	if url == "" {
		server, err := servers.Start(ctx, o)
		if err != nil {
			return nil, err
		}
		t.Private, t.URL = server, "redis://"+server.Addr()
	} else {
		t.Name = "streamlease-bench-" + strings.ToLower(rand.Text()[:10])
	}
	if err := t.connect(ctx); err != nil {
		return nil, errors.Join(err, t.stop())
	}
	return t, nil
}

func (t *Target) connect(ctx context.Context) error {
	o, err := t.ClientOption()
	if err != nil {
		return err
	}
	where := address.Redacted(t.URL)
	if t.Client, err = rueidis.NewClient(o); err != nil {
		return fmt.Errorf("-redis: no connection to %s: %w", where, err)
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	probe := t.Name + "-probe"
	if err := t.Client.Do(ctx, t.Client.B().Set().Key(probe).Value("1").PxMilliseconds(1000).Build()).Error(); err != nil {
		return fmt.Errorf("-redis: %s takes no writes: %w", where, err)
	}
	if err := t.Client.Do(ctx, t.Client.B().Del().Key(probe).Build()).Error(); err != nil {
		return fmt.Errorf("-redis: %s takes no deletions: %w", where, err)
	}
	u, err := measure.ReadUsage(ctx, t.Client)
	if err != nil {
		return fmt.Errorf("-redis: %s: %w", where, err)
	}
	t.Version, t.Cluster = u.Version, u.Cluster
	if t.Private == nil {
		t.Version += " at " + where
	}
	return nil
}

// SingleAddr is the only address to which clients connect, in front of which a proxy can stand. Where there is no such address, why says what
// the proxy cannot stand in front of.
func (t *Target) SingleAddr() (addr, why string) {
	o, err := t.ClientOption()
	switch {
	case err != nil:
		return "", err.Error()
	case o.TLSConfig != nil:
		return "", "a connection over TLS"
	case t.Cluster || len(o.InitAddress) > 1:
		return "", "several nodes"
	case o.Sentinel.MasterSet != "":
		return "", "a server behind Sentinels"
	case o.DialCtxFn != nil:
		return "", "a Unix socket"
	}
	return o.InitAddress[0], ""
}

// Via is the URL of the target through another address, that of a proxy.
func (t *Target) Via(addr string) (string, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return "", errors.New("the URL of the target cannot be parsed")
	}
	u.Host = addr
	return u.String(), nil
}

// ClientOption is how clients connect to the target.
func (t *Target) ClientOption() (rueidis.ClientOption, error) {
	if t.Private != nil {
		return t.Private.ClientOption(), nil
	}
	return option(t.URL)
}

func option(url string) (rueidis.ClientOption, error) {
	o, err := address.Option(url)
	if err != nil {
		return o, err
	}
	o.Dialer.Timeout = cmp.Or(o.Dialer.Timeout, Timeout/2)
	return o, nil
}

// Announce announces the first streams of the service of that name, and returns their producer. Close deletes what becomes of them.
func (t *Target) Announce(ctx context.Context, name string, streams int) (producer.Producer, error) {
	p := t.Track(name, streams)
	_, err := p.Announce(ctx, 0, streams)
	return p, err
}

// Track returns the producer of the service of that name. Close deletes what the first streams of it leave.
func (t *Target) Track(name string, streams int) producer.Producer {
	p := t.Producer(name)
	t.tracked = append(t.tracked, tracked{p, streams, false})
	return p
}

// TrackData is Track where something is written to the streams themselves. Close deletes these, too.
func (t *Target) TrackData(name string, streams int) producer.Producer {
	p := t.Producer(name)
	t.tracked = append(t.tracked, tracked{p, streams, true})
	return p
}

// Producer returns the producer of the service of that name. On a server that is not ours the names of streams contain the service, since
// the locks of the baseline are named after the stream alone.
func (t *Target) Producer(name string) producer.Producer {
	p := producer.Producer{Client: t.Client, Service: t.Name + "-" + name, Prefix: Prefix}
	if layout, err := cluster.NewLayout(p.Service, t.Partitions); err == nil && t.Partitions > 1 {
		p.Input = func(stream string) string { return layout.Keys(layout.Of(stream)).Input }
	}
	if t.Private == nil {
		p.Prefix = p.Service + ":" + Prefix
	}
	return p
}

// Clear deletes what was announced so far, and what became of it.
func (t *Target) Clear(ctx context.Context) error {
	tracked := t.tracked
	t.tracked = nil
	if t.Private != nil {
		return t.Client.Do(ctx, t.Client.B().Flushall().Sync().Build()).Error()
	}
	var err error
	for _, l := range tracked {
		err = errors.Join(err, t.remove(ctx, l))
	}
	return err
}

// Close deletes everything that was put on a server that is not ours, after an interrupt, too, and stops what was started.
func (t *Target) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*Timeout)
	defer cancel()
	var err error
	if t.Private == nil {
		err = t.Clear(ctx)
	}
	return errors.Join(err, t.stop())
}

func (t *Target) stop() error {
	if t.Client != nil {
		t.Client.Close()
	}
	if t.Private != nil {
		return t.Private.Stop()
	}
	return nil
}

// remove deletes the keys of a service.
func (t *Target) remove(ctx context.Context, l tracked) error {
	layout, err := cluster.NewLayout(l.producer.Service, t.Partitions)
	if err != nil {
		return err
	}
	// Every other key begins with an input stream's name in braces. What a process leaves behind depends on how it ended, so look.
	keys, err := t.keysMatching(ctx, "{"+layout.Keys(0).Input+"*}*")
	if err != nil {
		return fmt.Errorf("looking for what %s left: %w", l.producer.Service, err)
	}
	for part := range t.Partitions {
		keys = append(keys, layout.Keys(part).Input)
	}
	if l.data {
		for i := range l.streams {
			keys = append(keys, l.producer.Stream(i))
		}
	}
	const page = 500
	for ; len(keys) > 0; keys = keys[min(page, len(keys)):] {
		var unlink rueidis.Commands
		for _, key := range keys[:min(page, len(keys))] {
			unlink = append(unlink, t.Client.B().Unlink().Key(key).Build())
		}
		for _, result := range t.Client.DoMulti(ctx, unlink...) {
			if err := result.Error(); err != nil {
				return fmt.Errorf("removing what was announced to %s: %w", l.producer.Service, err)
			}
		}
	}
	return nil
}

// keysMatching returns the keys of a pattern on all servers.
func (t *Target) keysMatching(ctx context.Context, pattern string) (keys []string, err error) {
	for _, node := range t.Client.Nodes() {
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

// ChildOption is how a child process connects to the target of its parent.
func ChildOption() (rueidis.ClientOption, error) { return option(address.OfParent()) }
