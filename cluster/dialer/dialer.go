package dialer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Config is how a Dialer behaves. All functions may be called from any goroutine.
type Config struct {
	// Relaxed returns how long a server may take to answer, for now, because of what it announced; 0: no longer than usual.
	Relaxed func() time.Duration

	// MaxRelaxed is the most that Relaxed returns.
	MaxRelaxed time.Duration

	// Returned is called when a route ended because of what servers answered, with the reason for a log.
	Returned func(address, reason string)
}

// Dialer makes the connections of clients with the same options. Its methods may be called from any goroutine. It starts none.
type Dialer struct {
	opt    rueidis.ClientOption // as they were given
	tight  time.Duration        // how long a server may take to answer at ordinary times; at most 0: there is no limit
	buffer int                  // size of the client's buffer for writing
	cfg    atomic.Pointer[Config]

	mu struct {
		sync.Mutex
		routes map[string]*route // by address
		leaves map[string]int    // how often connections for an address were left
		conns  map[*conn]struct{}
	}
}

// New returns a Dialer that connects as the client library does with these options, which must have their ConnWriteTimeout.
func New(opt rueidis.ClientOption) *Dialer {
	d := &Dialer{opt: opt, tight: opt.ConnWriteTimeout, buffer: opt.WriteBufferEachConn}
	if d.buffer < 32 { // as the library decides
		d.buffer = rueidis.DefaultWriteBuffer
	}
	d.mu.routes = make(map[string]*route)
	d.mu.leaves = make(map[string]int)
	d.mu.conns = make(map[*conn]struct{})
	d.Configure(Config{})
	return d
}

// Configure replaces the configuration.
func (d *Dialer) Configure(c Config) {
	if c.Relaxed == nil {
		c.Relaxed = func() time.Duration { return 0 }
	}
	if c.Returned == nil {
		c.Returned = func(string, string) {}
	}
	d.cfg.Store(&c)
}

func (d *Dialer) relaxed() time.Duration          { return d.cfg.Load().Relaxed() }
func (d *Dialer) returned(address, reason string) { d.cfg.Load().Returned(address, reason) }

// ClientOption returns options for a client whose connections the dialer makes. maxRelaxed is the most that Config.Relaxed will
// return: the client itself gives up a connection after that time only, and the connection before. Without a limit
// (ConnWriteTimeout below 0), neither does.
func (d *Dialer) ClientOption(maxRelaxed time.Duration) rueidis.ClientOption {
	opt := d.opt
	opt.DialFn, opt.DialCtxFn = nil, d.dial
	if d.tight > 0 {
		opt.ConnWriteTimeout = max(opt.ConnWriteTimeout, maxRelaxed)
	}
	return opt
}

// SideOption returns options for connections that follow the same routes, and that their user leaves and times out itself.
func (d *Dialer) SideOption() rueidis.ClientOption {
	opt := d.opt
	opt.DialFn = nil
	opt.DialCtxFn = func(ctx context.Context, address string, nd *net.Dialer, config *tls.Config) (net.Conn, error) {
		raw, _, err := d.connect(ctx, address, nd, config)
		return raw, err
	}
	return opt
}

// dial makes a connection of a client. One that was being made while those for its address were left is made again: it may lead to
// where nobody is to be any more, and nobody would leave it.
func (d *Dialer) dial(ctx context.Context, address string, nd *net.Dialer, config *tls.Config) (net.Conn, error) {
	for {
		before := d.left(address)
		raw, target, err := d.connect(ctx, address, nd, config)
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, d: d, address: address, target: target}
		c.mu.out.commands = true
		if d.opt.DisableTCPNoDelay {
			allowDelay(raw) // the client cannot, since it does not see this connection
		}
		if d.keep(c, before) {
			return c, nil
		}
		raw.Close()
	}
}

// left returns how often connections for an address were left.
func (d *Dialer) left(address string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.leaves[address]
}

// keep lists a connection, unless connections for its address were left since.
func (d *Dialer) keep(c *conn, before int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.leaves[c.address] != before {
		return false
	}
	d.mu.conns[c] = struct{}{}
	return true
}

// connect dials the targets for an address until one answers. Each has an equal share of the time that is left. One whose time
// ran out counts as without an answer only if it had half of its share of nd.Timeout: else the caller has too little. (Half, since
// a caller that began with as much as nd.Timeout has spent a part of it.)
func (d *Dialer) connect(ctx context.Context, address string, nd *net.Dialer, config *tls.Config) (net.Conn, string, error) {
	targets := d.targets(address)
	timeout := cmp.Or(max(nd.Timeout, 0), rueidis.DefaultDialTimeout)
	enough := timeout / time.Duration(2*len(targets))
	limit := time.Now().Add(timeout)
	if at, ok := ctx.Deadline(); ok && at.Before(limit) {
		limit = at
	}
	var failed error
	for i, target := range targets {
		began, share := time.Now(), time.Duration(0)
		granted := limit.Sub(began)
		if i < len(targets)-1 {
			share = max(granted/time.Duration(len(targets)-i), time.Millisecond)
			granted = min(granted, share)
		}
		raw, err := d.attempt(ctx, share, nd, config, address, target)
		if err == nil {
			return raw, target, nil
		}
		failed = errors.Join(failed, err)
		if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			break // nobody waits for it, which says nothing about the target
		}
		if granted >= enough || time.Since(began) < granted {
			d.unanswered(address, target)
		}
	}
	return nil, "", failed
}

// attempt dials one target, for at most limit if that is not 0.
func (d *Dialer) attempt(ctx context.Context, limit time.Duration, nd *net.Dialer, config *tls.Config, address, target string) (net.Conn, error) {
	opt := d.opt
	opt.Dialer, opt.TLSConfig = *nd, config
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
		opt.Dialer.Timeout = limit // the deprecated way to dial has no context
	}
	return Dial(ctx, &opt, address, target)
}

// Dial connects to target as the client library connects to address with these options. With TLS and no ServerName, the server may
// show a certificate for the name of either.
func Dial(ctx context.Context, opt *rueidis.ClientOption, address, target string) (net.Conn, error) {
	var failed error
	for _, config := range configs(opt.TLSConfig, address, target) {
		c, err := open(ctx, opt, config, target)
		if err == nil {
			return c, nil
		}
		failed = cmp.Or(failed, err)
		var refused *tls.CertificateVerificationError
		if !errors.As(err, &refused) {
			break
		}
	}
	return nil, failed
}

func open(ctx context.Context, opt *rueidis.ClientOption, config *tls.Config, target string) (net.Conn, error) {
	switch {
	case opt.DialCtxFn != nil:
		return opt.DialCtxFn(ctx, target, &opt.Dialer, config)
	case opt.DialFn != nil:
		return opt.DialFn(target, &opt.Dialer, config)
	case config != nil:
		d := tls.Dialer{NetDialer: &opt.Dialer, Config: config}
		return d.DialContext(ctx, "tcp", target)
	}
	return opt.Dialer.DialContext(ctx, "tcp", target)
}

// configs returns the TLS configurations to try, in order. The name that a user chose is never changed. Else the name that is
// dialled comes first, since servers may choose a certificate by it; but an endpoint that is an IP address in place of a name most
// likely has the certificate of the name.
func configs(config *tls.Config, address, target string) []*tls.Config {
	if config == nil || config.ServerName != "" || address == target {
		return []*tls.Config{config}
	}
	names := []string{host(target), host(address)}
	if isIP(names[0]) && !isIP(names[1]) {
		names[0], names[1] = names[1], names[0]
	}
	all := make([]*tls.Config, len(names))
	for i, name := range names {
		all[i] = config.Clone()
		all[i].ServerName = name
	}
	return all
}

func host(address string) string {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return name
}

func isIP(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

func compare(a, b string) int { return cmp.Compare(a, b) }

// allowDelay does what the client's option DisableTCPNoDelay asks for.
func allowDelay(c net.Conn) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if plain, ok := c.(*net.TCPConn); ok {
		_ = plain.SetNoDelay(false) // a matter of speed
	}
}
