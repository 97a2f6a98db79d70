package maintenance

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/notices"
)

// front is an address in front of a server, as a managed service has it: the server may be exchanged for another one, and
// clients that ask for notices get them.
type front struct {
	*notices.Node
	listener net.Listener
	group    sync.WaitGroup

	mu      sync.Mutex
	backend string
	conns   map[net.Conn]struct{} // of both sides
	closed  bool
	taken   int // connections of clients to the server
}

func newFront(t *testing.T, backend string) *front {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return frontOn(t, l, backend)
}

// newFrontAt makes a front at an address that another one had.
func newFrontAt(t *testing.T, addr, backend string) *front {
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	return frontOn(t, l, backend)
}

func frontOn(t *testing.T, l net.Listener, backend string) *front {
	f := &front{Node: notices.New(notices.Options{}), listener: l, backend: backend, conns: make(map[net.Conn]struct{})}
	f.group.Go(func() {
		for {
			conn, err := f.listener.Accept()
			if err != nil {
				return
			}
			f.group.Go(func() { f.serve(conn) })
		}
	})
	t.Cleanup(func() {
		f.kill()
		f.group.Wait()
	})
	return f
}

func (f *front) addr() string { return f.listener.Addr().String() }

// lead points the address to another server, and closes the connections to the previous one.
func (f *front) lead(backend string) {
	f.mu.Lock()
	f.backend = backend
	f.mu.Unlock()
	f.cut(false)
}

// kill takes the address away: nobody listens there any more, and what was connected is not.
func (f *front) kill() {
	f.listener.Close()
	f.Node.Close()
	f.cut(true)
}

// clients returns how many connections clients have to the server through this address.
func (f *front) clients() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns) / 2
}

// accepted returns how many connections clients ever made to the server through this address.
func (f *front) accepted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken
}

func (f *front) cut(forGood bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = f.closed || forGood
	for conn := range f.conns {
		conn.Close()
	}
}

// keep registers a connection, or closes it if the front is closed.
func (f *front) keep(conn net.Conn) (forget func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[conn] = struct{}{}
	if f.closed {
		conn.Close()
	}
	return func() {
		conn.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, conn)
	}
}

// serve looks at the first bytes of a client: a side connection gives a name of its own.
func (f *front) serve(conn net.Conn) {
	first := make([]byte, 4096)
	n, err := conn.Read(first)
	if err != nil {
		conn.Close()
		return
	}
	first = first[:n]
	if bytes.Contains(first, []byte("streamlease-notices")) {
		f.Serve(&begun{Conn: conn, first: first})
		return
	}
	defer f.keep(conn)()
	f.mu.Lock()
	backend := f.backend
	f.taken++
	f.mu.Unlock()
	server, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer f.keep(server)()
	if _, err := server.Write(first); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(conn, server)
		conn.Close()
	})
	_, _ = io.Copy(server, conn)
	server.Close()
	back.Wait()
}

// begun is a connection from which something was read already.
type begun struct {
	net.Conn
	first []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}
