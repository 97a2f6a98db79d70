package cluster_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// A client is closed while a call makes a connection, since the one before broke. The connection used to stay open for ever, and with it two
// goroutines: an engine left it behind that ended while its server did not answer.
func TestConnectionMadeWhileItsClientIsClosedIsClosed(t *testing.T) {
	s := servers.New(t)
	opt := s.ClientOption()
	var mu sync.Mutex
	var conns []*seen
	dialing, dial := make(chan struct{}, 10), make(chan struct{})
	opt.DialCtxFn = func(ctx context.Context, address string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		mu.Lock()
		first := len(conns) == 0
		mu.Unlock()
		if !first {
			dialing <- struct{}{}
			<-dial
		}
		conn, err := d.DialContext(context.WithoutCancel(ctx), "tcp", address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		c := &seen{Conn: conn}
		conns = append(conns, c)
		return c, nil
	}
	opt.ForceSingleClient, opt.DisableRetry = true, true
	c, err := cluster.NewClient(opt)
	require.NoError(t, err)
	require.NoError(t, ping(c))
	require.NoError(t, conns[0].Conn.Close())
	called := make(chan error, 1)
	require.True(t, wait.For(time.Minute, time.Millisecond, func() bool {
		go func() { called <- ping(c) }()
		select {
		case <-called: // it has not noticed yet that its connection is broken
			return false
		case <-dialing:
			return true
		}
	}))
	c.Close()
	close(dial)
	<-called
	require.True(t, wait.For(time.Minute, time.Millisecond, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, x := range conns[1:] {
			if !x.isClosed() {
				return false
			}
		}
		return len(conns) > 1
	}), "the connection is left open")
}

func ping(c rueidis.Client) error {
	return c.Do(context.Background(), c.B().Ping().Build()).Error()
}

// seen is a connection of which it is known whether it was closed.
type seen struct {
	net.Conn
	mu     sync.Mutex
	closed bool
}

func (c *seen) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.Conn.Close()
}

func (c *seen) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
