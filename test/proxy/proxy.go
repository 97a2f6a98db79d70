package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// Proxy listens on a loopback port and connects each client to the backend. Its methods may be called from several goroutines.
type Proxy struct {
	listener net.Listener
	backend  string
	running  sync.WaitGroup // the accept loop and every link

	mu struct {
		sync.Mutex
		links   map[*link]struct{}
		cut     bool
		stopped bool
		stalled chan struct{} // closed by Resume; nil when nothing is stalled
		delay   time.Duration
		rate    float64      // bytes a second in each direction; 0: as fast as can be
		free    [2]time.Time // when what was sent has passed, by direction
		err     error        // the first breach of the protocol

		scripts map[string]string // SHA1 in lower case to name
		faults  []*injected       // replaced, never changed in place
		seen    map[string]int    // by name in upper case
		struck  map[string]int
		counted chan struct{} // closed and replaced when a count changes
	}
}

// Start starts a proxy in front of a server's address. ctx bounds the start only. The backend need not be there yet: a client
// for whom it cannot be reached is reset.
func Start(ctx context.Context, backend string) (*Proxy, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{listener: l, backend: backend}
	p.mu.links = make(map[*link]struct{})
	p.mu.scripts = make(map[string]string)
	p.mu.seen = make(map[string]int)
	p.mu.struck = make(map[string]int)
	p.mu.counted = make(chan struct{})
	p.running.Go(p.accept)
	return p, nil
}

// New starts a proxy for a test and stops it at the end of the test, which fails if either side broke the protocol.
func New(t testing.TB, backend string) *Proxy {
	t.Helper()
	p, err := Start(context.Background(), backend)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Addr is where clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// ClientOption is what a client through this proxy alone needs: no cache, no cluster. A password is the caller's to add.
func (p *Proxy) ClientOption() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:       []string{p.Addr()},
		DisableCache:      true,
		ForceSingleClient: true,
	}
}

// Stall lets no more bytes through in either direction, while connections stay open and new ones are accepted, until Resume. What
// reaches the proxy meanwhile arrives afterwards, even if its client has hung up.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.stalled == nil {
		p.mu.stalled = make(chan struct{})
	}
}

// Resume ends a stall; without one it does nothing.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.stalled != nil {
		close(p.mu.stalled)
		p.mu.stalled = nil
	}
}

// Cut resets every connection, and every new one as soon as it is accepted, until Restore. When it returns nothing more is forwarded;
// what was forwarded before may still run.
func (p *Proxy) Cut() {
	p.mu.Lock()
	p.mu.cut = true
	links := p.linksLocked()
	p.mu.Unlock()
	resetAll(links)
}

// Restore lets clients connect again.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.cut = false
}

// Delay adds d to the way of what is sent from now on, requests and replies alike, so 2*d to a round trip. Zero ends it. Nothing
// overtakes.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.delay = d
}

// Bandwidth lets so many bytes a second through in each direction, of all connections together and in the order in which they
// come, as a link that they share. Zero ends it; what was sent before arrives when it would have.
func (p *Proxy) Bandwidth(bytesPerSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.rate = bytesPerSecond
}

// Stop closes everything and waits until no goroutine is left. It returns the first breach of the protocol by a server or a
// client, if there was one. Stopping again does nothing and returns the same.
func (p *Proxy) Stop() error {
	p.mu.Lock()
	p.mu.stopped = true
	links := p.linksLocked()
	p.mu.Unlock()
	_ = p.listener.Close() // the second time it is closed already
	resetAll(links)
	p.running.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.err
}

func (p *Proxy) linksLocked() []*link {
	links := make([]*link, 0, len(p.mu.links))
	for l := range p.mu.links {
		links = append(links, l)
	}
	return links
}

func resetAll(links []*link) {
	for _, l := range links {
		l.reset()
	}
	for _, l := range links {
		<-l.done
	}
}

// accept ends when the listener is closed.
func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		l := newLink(p, conn.(*net.TCPConn))
		if p.admit(l) {
			p.running.Go(func() {
				l.run(p.backend)
				p.forget(l)
			})
		} else {
			l.refuse()
		}
	}
}

func (p *Proxy) admit(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.cut || p.mu.stopped {
		return false
	}
	p.mu.links[l] = struct{}{}
	return true
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.links, l)
}

// report keeps the first breach of the protocol; ends of connections are none.
func (p *Proxy) report(err error) {
	if !errors.Is(err, errProtocol) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.err == nil {
		p.mu.err = err
	}
}

// The directions of a link.
const (
	toServer = iota
	toClient
)

// arrival is when bytes that are sent now arrive.
func (p *Proxy) arrival(direction, size int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.delay == 0 && p.mu.rate == 0 {
		return time.Time{}
	}
	at := time.Now()
	if p.mu.rate > 0 {
		if free := p.mu.free[direction]; free.After(at) {
			at = free
		}
		at = at.Add(time.Duration(float64(size) / p.mu.rate * float64(time.Second)))
		p.mu.free[direction] = at
	}
	return at.Add(p.mu.delay)
}

func (p *Proxy) stall() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.stalled
}
