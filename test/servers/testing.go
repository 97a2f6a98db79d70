package servers

import (
	"context"
	"testing"

	"github.com/redis/rueidis"
)

// New starts a server for a test and stops it at the end of the test. If the test failed it also prints the end of the server's
// log. If no server can be started the test fails and says how to install one: tests never skip because a server is missing.
func New(t testing.TB, opts ...Option) *Server {
	t.Helper()
	var o Options
	for _, opt := range opts {
		opt(&o)
	}
	if o.ReplicaOf != nil && o.Password == "" {
		o.Password = o.ReplicaOf.opts.Password
	}
	s, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	stopWithTest(t, s.Stop, s)
	return s
}

// NewCluster starts a cluster for a test, like New.
func NewCluster(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	c, err := StartCluster(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	stopWithTest(t, c.Stop, c.nodes...)
	return c
}

// NewSentinel starts a master, replicas and sentinels for a test, like New.
func NewSentinel(t testing.TB, o SentinelOptions) *Sentinel {
	t.Helper()
	s, err := StartSentinel(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	stopWithTest(t, s.Stop, append(s.Servers(), s.sentinels...)...)
	return s
}

// stopWithTest stops servers at the end of a test, and prints the ends of their logs if it failed.
func stopWithTest(t testing.TB, stop func() error, all ...*Server) {
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range all {
				t.Logf("log of the server on %s:\n%s", s.Addr(), s.LogTail())
			}
		}
		if err := stop(); err != nil {
			t.Errorf("stop servers: %v", err)
		}
	})
}

// Client connects to the server and closes the connection at the end of the test, before the server stops.
func (s *Server) Client(t testing.TB) rueidis.Client {
	t.Helper()
	return connect(t, s.ClientOption())
}

// Client connects to the cluster, until the end of the test.
func (c *Cluster) Client(t testing.TB) rueidis.Client {
	t.Helper()
	return connect(t, c.ClientOption())
}

// Client connects to the master that the sentinels name, until the end of the test.
func (s *Sentinel) Client(t testing.TB) rueidis.Client {
	t.Helper()
	return connect(t, s.ClientOption())
}

func connect(t testing.TB, o rueidis.ClientOption) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
