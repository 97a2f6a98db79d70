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
		rate    float64      // bytes per second in each direction; 0: unlimited
		free    [2]time.Time // when everything sent so far has passed, by direction
		err     error        // the first protocol error

		scripts map[string]string // SHA1 in lower case to name
		faults  []*injected       // replaced, never changed in place
		seen    map[string]int    // by name in upper case
		struck  map[string]int
		counted chan struct{} // closed and replaced when a count changes
	}
}

// Start starts a proxy in front of the address of a server. ctx bounds the start only. The server need not run yet: the proxy
// resets clients while it cannot reach the server.
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

// New starts a proxy for a test and stops it at the end of the test. A protocol error of either side fails the test.
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

// Addr returns the address that clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// ClientOption returns options for a client of this proxy alone: no cache, no cluster. The caller adds a password.
func (p *Proxy) ClientOption() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:       []string{p.Addr()},
		DisableCache:      true,
		ForceSingleClient: true,
	}
}

// Stall stops all bytes in both directions until Resume, while connections stay open and new ones are accepted. What reaches the
// proxy meanwhile arrives afterwards, even if the client has hung up.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.stalled == nil {
		p.mu.stalled = make(chan struct{})
	}
}

// Resume ends a stall. Without one it does nothing.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.stalled != nil {
		close(p.mu.stalled)
		p.mu.stalled = nil
	}
}

// Cut resets every connection, and every new one as soon as it is accepted, until Restore. After it returns nothing more is
// forwarded; earlier requests may still run.
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

// Delay delays requests and replies sent from now on by d, and so a round trip by 2*d. Zero ends it. The order is kept.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.delay = d
}

// Bandwidth limits the bytes per second in each direction, for all connections together and in the order in which bytes come, like
// a shared link. Zero ends it; what was sent before still arrives at its time.
func (p *Proxy) Bandwidth(bytesPerSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.rate = bytesPerSecond
}

// Stop closes everything and waits until no goroutine is left. It returns the first protocol error of a server or a client, if
// there was one. Stopping again does nothing and returns the same.
func (p *Proxy) Stop() error {
	p.mu.Lock()
	p.mu.stopped = true
	links := p.linksLocked()
	p.mu.Unlock()
	_ = p.listener.Close() // at the second call it is closed already
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

// report keeps the first protocol error. Errors of connections are not protocol errors.
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

// arrival returns when bytes that are sent now arrive.
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
