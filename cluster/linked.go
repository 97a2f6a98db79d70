package cluster

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/redis/rueidis"
)

// linked is a client of the library that leaves no connection behind. The library keeps one open for ever, with two goroutines, that it was
// making while it was closed: a call that finds its connection broken makes another, whatever has become of the client meanwhile.
//
// It knows the connections where the options have a function that dials, as those of a dialer.Dialer have.
type linked struct {
	rueidis.Client

	mu struct {
		sync.Mutex
		closed bool
		open   map[*link]struct{}
	}
}

// newLinked makes a client. Errors are those of rueidis.NewClient.
func newLinked(opt rueidis.ClientOption) (*linked, error) {
	l := &linked{}
	l.mu.open = make(map[*link]struct{})
	if dial := opt.DialCtxFn; dial != nil {
		opt.DialCtxFn = func(ctx context.Context, address string, d *net.Dialer, config *tls.Config) (net.Conn, error) {
			conn, err := dial(ctx, address, d, config)
			if err != nil {
				return nil, err
			}
			return l.keep(conn)
		}
	}
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, err
	}
	l.Client = client
	return l, nil
}

// Close closes the client, waits for calls in progress, and then closes what is left.
func (l *linked) Close() {
	l.Client.Close()
	l.mu.Lock()
	l.mu.closed = true
	left := l.mu.open
	l.mu.open = nil
	l.mu.Unlock()
	for c := range left {
		_ = c.Conn.Close()
	}
}

// keep takes in a new connection, or closes it if it comes too late.
func (l *linked) keep(conn net.Conn) (net.Conn, error) {
	c := &link{Conn: conn, of: l}
	l.mu.Lock()
	closed := l.mu.closed
	if !closed {
		l.mu.open[c] = struct{}{}
	}
	l.mu.Unlock()
	if closed {
		_ = conn.Close()
		return nil, rueidis.ErrClosing
	}
	return c, nil
}

// link is a connection of a linked client.
type link struct {
	net.Conn
	of *linked
}

func (c *link) Close() error {
	c.of.mu.Lock()
	delete(c.of.mu.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
