package behave_test

import (
	"context"
	"crypto/tls"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// kind is a kind of servers that all tests can run on, and what is run on it unless asked for more. Only this file knows how many servers a kind consists of.
type kind struct {
	name       string
	program    servers.Program
	partitions int // in tests that do not say how many they need
	// granted: engines run as a user with the documented rights to their service and no others.
	granted bool
	// start starts servers that several tests share, each with a service of its own, because starting takes seconds. Nil: each
	// test starts its own.
	start func() (group, error)
	// own starts servers for one test.
	own func(testing.TB, servers.Program) group
	// tests are the names of the tests that run on it; nil: all.
	tests [][]string
	// streams is how many streams the tests hold that hold many.
	streams int
}

// kinds are all kinds. Everything runs on the first one.
var kinds = []*kind{
	{name: "redis", partitions: 1, own: single, streams: 10_000},
	{name: "redis-8", program: servers.Redis8, partitions: 1, granted: true, own: single, tests: [][]string{everywhere, byProgram}, streams: 1000},
	{name: "valkey-8", program: servers.Valkey8, partitions: 1, own: single, tests: [][]string{everywhere, byProgram}, streams: 1000},
	{name: "cluster", partitions: 1, start: startCluster, own: ownCluster, tests: [][]string{everywhere}, streams: 1000},
	{name: "cluster-16", partitions: 16, granted: true, start: startCluster, own: ownCluster, tests: [][]string{everywhere, byPartitions},
		streams: 5000},
	{name: "sentinel", partitions: 1, start: startSentinel, own: ownSentinel, tests: [][]string{everywhere}, streams: 1000},
	{name: "memory", program: servers.Memory, partitions: 1, own: single, tests: [][]string{everywhere, byProgram}, streams: 2000},
}

// on is the kind that the tests currently run on, and the servers that they share. It changes only while no test runs.
var on struct {
	*kind
	shared group
}

// group is a number of servers that together are one Redis.
type group interface {
	ClientOption() rueidis.ClientOption
	Stop() error
	data() []*servers.Server           // those with data, the masters first
	masters() []*servers.Server        // at the start; no test changes them
	owner(slot uint16) *servers.Server // at the start
	restart(context.Context) error     // after all servers with data were killed; they start empty
}

type (
	one         struct{ *servers.Server }
	manyMasters struct{ *servers.Cluster }
	watched     struct{ *servers.Sentinel }
)

func single(t testing.TB, p servers.Program) group { return one{servers.New(t, servers.On(p))} }

func (s one) data() []*servers.Server           { return []*servers.Server{s.Server} }
func (s one) masters() []*servers.Server        { return s.data() }
func (s one) owner(uint16) *servers.Server      { return s.Server }
func (s one) restart(ctx context.Context) error { return s.Restart(ctx, false) }

// Nodes of a cluster that wait for a processor must not count as dead.
var clusterOptions = servers.ClusterOptions{NodeTimeout: 6 * time.Second}

func startCluster() (group, error) {
	c, err := servers.StartCluster(context.Background(), clusterOptions)
	if err != nil {
		return nil, err
	}
	return manyMasters{c}, nil
}

func ownCluster(t testing.TB, _ servers.Program) group {
	return manyMasters{servers.NewCluster(t, clusterOptions)}
}

func (c manyMasters) data() []*servers.Server    { return c.Nodes() }
func (c manyMasters) masters() []*servers.Server { return c.Nodes()[:3] }

// owner relies on the equal parts that a cluster starts with.
func (c manyMasters) owner(slot uint16) *servers.Server { return c.Nodes()[int(slot)*3/16384] }

func (c manyMasters) restart(ctx context.Context) error {
	for _, s := range c.Nodes() {
		if err := s.Restart(ctx, false); err != nil {
			return err
		}
	}
	return c.AwaitReady(ctx)
}

func startSentinel() (group, error) {
	s, err := servers.StartSentinel(context.Background(), servers.SentinelOptions{DownAfter: 6 * time.Second})
	if err != nil {
		return nil, err
	}
	return watched{s}, nil
}

func ownSentinel(t testing.TB, _ servers.Program) group {
	return watched{servers.NewSentinel(t, servers.SentinelOptions{})}
}

func (s watched) data() []*servers.Server      { return s.Servers() }
func (s watched) masters() []*servers.Server   { return s.Servers()[:1] }
func (s watched) owner(uint16) *servers.Server { return s.Servers()[0] }

func (s watched) restart(ctx context.Context) error {
	for _, one := range s.Servers() { // the master first: a replica has started when it is in step with it
		if err := one.Restart(ctx, false); err != nil {
			return err
		}
	}
	return s.AwaitReady(ctx)
}

// backend is the Redis that a test runs on, and how to reach it.
type backend struct {
	group
	opt    rueidis.ClientOption // for clients of engines
	client rueidis.Client       // for the test; no engine uses it
}

// newBackend is for tests that do not harm the servers.
func newBackend(t testing.TB) *backend {
	t.Logf("on %s", on.name)
	if on.shared != nil {
		return backendOf(t, on.shared)
	}
	return ownBackend(t)
}

// ownBackend starts servers that end with the test.
func ownBackend(t testing.TB) *backend { return backendOf(t, on.own(t, on.program)) }

func backendOf(t testing.TB, g group) *backend {
	b := &backend{group: g, opt: g.ClientOption()}
	b.client = b.connect(t)
	return b
}

// connect makes a client for the test, which may do anything and is closed at the end of the test.
func (b *backend) connect(t testing.TB) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(b.ClientOption())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// scripts returns how many script calls the servers have counted so far.
func (b *backend) scripts(t testing.TB) (calls int64) {
	t.Helper()
	for _, s := range b.masters() {
		stats, err := s.CommandStats(context.Background())
		require.NoError(t, err)
		calls += stats["evalsha"].Calls + stats["eval"].Calls
	}
	return calls
}

// kill ends all servers with data at once, as a power cut does; sentinels keep running.
func (b *backend) kill(t testing.TB) {
	t.Helper()
	for _, s := range b.data() {
		require.NoError(t, s.Kill())
	}
}

// through puts a proxy between the master of a slot and clients that use the returned options.
func (b *backend) through(t testing.TB, slot uint16) (*proxy.Proxy, rueidis.ClientOption) {
	t.Helper()
	master := b.owner(slot).Addr()
	p := proxy.New(t, master)
	opt := b.opt
	opt.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		if addr == master {
			addr = p.Addr()
		}
		return d.DialContext(ctx, "tcp", addr)
	}
	return p, opt
}

// cli runs redis-cli, connected to the master of a slot, with arguments or with commands on its input, and returns what it
// printed.
func (b *backend) cli(t testing.TB, slot uint16, input string, args ...string) string {
	t.Helper()
	binary, err := exec.LookPath("redis-cli")
	require.NoError(t, err, "install it with `apt-get install redis-tools` or `make deps`")
	args = append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(b.owner(slot).Port())}, args...)
	command := exec.Command(binary, args...)
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

// TestPrograms reports which servers the tests could not run on, and fails if all of them are required.
func TestPrograms(t *testing.T) { servers.Available(t) }
