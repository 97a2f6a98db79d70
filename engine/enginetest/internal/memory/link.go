package memory

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Link is the network between one process and the server.
type Link struct {
	server *Server

	mu      sync.Mutex
	cut     bool
	pass    [2]chan struct{} // closed: bytes in that direction pass
	stalled [2]bool
	conns   map[*linked]struct{}
}

// Direction is one of the two directions of a link.
type Direction int

// The directions.
const (
	Requests Direction = iota
	Answers
)

// Link returns a link that is up.
func (s *Server) Link() *Link {
	l := &Link{server: s, conns: make(map[*linked]struct{})}
	for d := range l.pass {
		l.pass[d] = make(chan struct{})
		close(l.pass[d])
	}
	return l
}

// Dial connects. It has the signature of a dial function of the client, which need not know the address: there is one server.
func (l *Link) Dial(ctx context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
	if err := l.await(ctx.Done(), nil, Requests); err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, cmp.Or(context.Cause(ctx), err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, fmt.Errorf("dial %s: %w", address, errDown)
	}
	inner, pipe := net.Pipe()
	if err := l.server.accept(pipe); err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	c := &linked{Conn: inner, link: l, closed: make(chan struct{})}
	l.conns[c] = struct{}{}
	return c, nil
}

// Cut ends all connections, and refuses others until Mend.
func (l *Link) Cut() {
	l.mu.Lock()
	l.cut = true
	l.release()
	conns := l.conns
	l.conns = make(map[*linked]struct{})
	l.mu.Unlock()
	for c := range conns {
		c.Close()
	}
}

// Stall holds back what is sent in that direction, connection attempts included, until Mend. Nothing is lost, and nobody hears
// of it.
func (l *Link) Stall(d Direction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stalled[d] {
		l.stalled[d], l.pass[d] = true, make(chan struct{})
	}
}

// Mend has the link up again: what was held back goes on its way.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
	l.release()
}

// release has whoever waits for bytes to pass look again. l.mu is held.
func (l *Link) release() {
	for d := range l.pass {
		if l.stalled[d] {
			l.stalled[d] = false
			close(l.pass[d])
		}
	}
}

// await returns when bytes in that direction pass, or else an error.
func (l *Link) await(done, closed <-chan struct{}, d Direction) error {
	for {
		l.mu.Lock()
		cut, stalled, pass := l.cut, l.stalled[d], l.pass[d]
		l.mu.Unlock()
		if cut { // also what was held back is lost
			return errDown
		}
		if !stalled {
			return nil
		}
		select {
		case <-pass:
		case <-done:
			return os.ErrDeadlineExceeded
		case <-closed:
			return net.ErrClosed
		}
	}
}

// linked is the client's end of a connection.
type linked struct {
	net.Conn
	link   *Link
	closed chan struct{}
	once   sync.Once

	mu        sync.Mutex
	deadlines [2]time.Time
}

func (c *linked) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if held := c.hold(Answers); held != nil {
		return 0, held
	}
	return n, err
}

func (c *linked) Write(b []byte) (int, error) {
	if err := c.hold(Requests); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// hold waits while the link is stalled, at most until the deadline of the direction.
func (c *linked) hold(d Direction) error {
	c.mu.Lock()
	deadline := c.deadlines[d]
	c.mu.Unlock()
	ctx := context.Background()
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	return c.link.await(ctx.Done(), c.closed, d)
}

func (c *linked) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadlines = [2]time.Time{t, t}
	c.mu.Unlock()
	return c.Conn.SetDeadline(t)
}

func (c *linked) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadlines[Answers] = t
	c.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

func (c *linked) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadlines[Requests] = t
	c.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

func (c *linked) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.link.mu.Lock()
		delete(c.link.conns, c)
		c.link.mu.Unlock()
	})
	return c.Conn.Close()
}
