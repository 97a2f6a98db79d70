package servers

import (
	"context"
	"testing"

	"github.com/redis/rueidis"
)

// New starts a server for a test and stops it at the end of the test, when it also logs the end of the server's log if the test
// failed. Where no server can be started the test fails and says how to install one: tests never skip for the lack of a server.
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
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the server on %s:\n%s", s.Addr(), s.LogTail())
		}
		if err := s.Stop(); err != nil {
			t.Errorf("stop the server on %s: %v", s.Addr(), err)
		}
	})
	return s
}

// Client connects to the server and closes the connection at the end of the test, before the server stops.
func (s *Server) Client(t testing.TB) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(s.ClientOption())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
