package notice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/cluster/dialer"
)

const (
	// pingEvery is how often a PING is sent on a side connection; one that receives nothing for silent is dead.
	pingEvery = time.Second
	silent    = 3 * pingEvery

	// answerTime bounds connecting, and the wait for each answer of the handshake.
	answerTime = 5 * time.Second

	// lookAgain is how often to check whether a server that does not announce has been replaced by another one, and
	// askAgain how often to ask it although it has not.
	lookAgain = time.Hour
	askAgain  = 24 * time.Hour

	// handOffs is how often to try the new endpoint of a node that moves.
	handOffs = 3
)

// Delays between attempts to connect: to a node's own address, and to the new endpoint of one that moves.
var (
	reconnect = backoff.Exponential{First: 100 * time.Millisecond, Max: 10 * time.Second, Jitter: 0.5}
	handOff   = backoff.Exponential{First: 500 * time.Millisecond, Max: 500 * time.Millisecond, Jitter: 0.5}
)

// State is the state of a Watcher's connection to one node.
type State uint8

const (
	Connecting State = iota // not connected yet, or no longer
	Listening               // the node announces maintenance
	Refused                 // it does not
)

var stateNames = [...]string{Connecting: "connecting", Listening: "listening", Refused: "refused"}

// String returns the name of the constant in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "invalid"
}

// Node is what is known of a node.
type Node struct {
	Address string
	State   State
	Err     error // of the last attempt; for Refused, what the server answered
}

// node holds the side connection to one node. Its goroutine runs loop and owns all fields.
type node struct {
	w       *Watcher
	address string
	again   chan struct{} // makes loop check a node that refused now

	refused  string    // identity of the server that refused; empty: none did
	asked    time.Time // when it did
	endpoint string    // where to connect instead of address; empty: to address
	tries    int       // attempts to connect to endpoint
	moves    moves
	offer    offer     // what endpoint was announced with
	reported time.Time // when a notice without an endpoint is, or was last reported
	home     homing
	base     context.Context // ends when the node is listened to no longer
}

// errRefused ends an attempt on a node that does not announce.
var errRefused = errors.New("the server does not announce maintenance")

// errMoved ends a connection whose node moves away.
var errMoved = errors.New("the node moves")

// loop keeps a connection to the node until ctx ends.
func (n *node) loop(ctx context.Context) {
	n.base = ctx
	failures := 0
	for ctx.Err() == nil {
		if n.home.wanted.Swap(false) {
			n.endpoint, n.tries = "", 0
			n.refused = "" // it was the server at the endpoint, which may look the same
		}
		began := time.Now()
		err := n.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case errors.Is(err, errRefused):
			n.report(ctx, nil) // it answers
			n.rest(ctx)
			continue
		case errors.Is(err, errMoved), time.Since(began) > reconnect.Max:
			failures = 0
		}
		n.w.state(ctx, n.address, Connecting, err)
		if n.endpoint != "" {
			failures = 0
			if n.tries++; n.tries <= handOffs {
				backoff.Sleep(ctx, handOff.Delay(1, n.w.random()))
				continue
			}
			n.report(ctx, err)
			n.endpoint, n.tries = "", 0
		}
		failures++
		backoff.Sleep(ctx, reconnect.Delay(failures, n.w.random()))
	}
}

// rest waits until a node that refused may have changed.
func (n *node) rest(ctx context.Context) {
	timer := time.NewTimer(lookAgain - time.Duration(float64(lookAgain)/10*n.w.random()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-n.again:
	}
}

// connect opens a connection, asks for notices, and listens until the connection ends.
func (n *node) connect(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := dialer.Dial(dialing, &n.w.opt, n.address, cmp.Or(n.endpoint, n.address))
	if err != nil {
		return err
	}
	defer conn.Close()
	n.home.conn.Store(&conn)
	if n.home.wanted.Load() {
		return errMoved
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	l := &line{n: n, conn: conn}
	l.in = newReader(&patient{conn: conn})
	defer l.stay()
	if err := l.handshake(ctx); err != nil {
		return err
	}
	n.tries = 0
	n.report(ctx, nil)
	n.w.state(ctx, n.address, Listening, nil)
	var pings sync.WaitGroup
	defer pings.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pings.Go(func() { l.ping(ctx) })
	return l.listen(ctx)
}

// line is one connection.
type line struct {
	n     *node
	conn  net.Conn
	in    *reader
	since time.Time   // when it was asked for notices, or was last held up: what arrives soon after may be old
	heard time.Time   // when something last arrived
	leave *time.Timer // closes it because its node moves; nil: it does not
	left  atomic.Bool // leave has closed it
}

// patient reads from a connection, and fails when nothing comes for silent.
type patient struct{ conn net.Conn }

func (p *patient) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(silent)); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

func (l *line) handshake(ctx context.Context) error {
	n := l.n
	first, err := hello(&n.w.opt, l.conn.RemoteAddr())
	if err != nil {
		return err
	}
	answer, err := l.ask(ctx, first)
	if err != nil {
		return l.refusal(ctx, "", err)
	}
	id := identity(&answer)
	if n.refused == id && time.Since(n.asked) < askAgain {
		return errRefused
	}
	n.refused = ""
	l.since = time.Now()
	_, err = l.ask(ctx, optIn(endpointType(n.w.cfg.Endpoint, n.w.opt.TLSConfig != nil, l.conn.RemoteAddr())))
	l.since = time.Now() // what the server repeats comes before its answer or after it
	l.heard = l.since
	return l.refusal(ctx, id, err)
}

// refusal records that the server, not the connection to it, was the cause.
func (l *line) refusal(ctx context.Context, id string, err error) error {
	var said *ServerError
	if err == nil || !errors.As(err, &said) || !said.definite() {
		return err
	}
	l.n.refused, l.n.asked = id, time.Now()
	l.n.w.state(ctx, l.n.address, Refused, err)
	return fmt.Errorf("%w: %w", errRefused, err)
}

// ask sends a command and waits for its answer; pushes that arrive before it are processed.
func (l *line) ask(ctx context.Context, words []byte) (value, error) {
	deadline := time.Now().Add(answerTime)
	if err := l.write(words); err != nil {
		return value{}, err
	}
	for time.Now().Before(deadline) {
		v, err := l.in.read()
		switch {
		case err != nil:
			return v, err
		case v.kind == '>':
			l.pushed(ctx, &v)
		case v.isError():
			return v, &ServerError{v.text}
		default:
			return v, nil
		}
	}
	return value{}, errors.New("received pushes, but no answer")
}

func (l *line) write(words []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(silent)); err != nil {
		return err
	}
	_, err := l.conn.Write(words)
	return err
}

// ping sends PING until ctx ends. A connection that cannot be written to cannot be read from either, so errors say nothing new.
func (l *line) ping(ctx context.Context) {
	for backoff.Sleep(ctx, pingEvery-time.Duration(float64(pingEvery)/10*l.n.w.random())) {
		if l.write(ping) != nil {
			return
		}
	}
}

// listen processes pushes until the connection ends or the node has moved.
func (l *line) listen(ctx context.Context) error {
	n := l.n
	for ctx.Err() == nil {
		v, err := l.in.read()
		if err != nil {
			if l.left.Load() || n.home.wanted.Load() {
				return errMoved
			}
			return err
		}
		if now := time.Now(); now.Sub(l.heard) > silent {
			l.since, l.heard = now, now // this process stood still: what it reads now may have waited for as long
		} else {
			l.heard = now
		}
		if v.kind == '>' {
			l.pushed(ctx, &v)
		}
	}
	return ctx.Err()
}

// pushed processes a push.
func (l *line) pushed(ctx context.Context, v *value) {
	notice, ok := parse(v)
	if !ok {
		return
	}
	if notice.Kind == Moving {
		l.move(notice)
	}
	l.n.w.take(ctx, l.n.address, l.since, notice)
}

// move replaces the connection: soon if the node has announced its new endpoint, else after half of the announced time, by
// when the same address leads elsewhere. The same notice, repeated on the new connection, is ignored.
func (l *line) move(m Notice) {
	n, now := l.n, time.Now()
	if n.moves.repeated(&m, now, horizon(now, l.since)) || m.Endpoint == cmp.Or(n.endpoint, n.address) {
		return // or it is there: what was announced at the old address is repeated at the new one
	}
	h := Handoff{Node: n.address, Endpoint: m.Endpoint, Seq: m.Seq, End: now.Add(max(m.In, 0))}
	in := min(max(m.In/2, 0), n.w.cfg.MaxWindow)
	if m.Endpoint != "" {
		n.endpoint, n.tries, n.offer = m.Endpoint, 0, offer{Handoff: h}
		in = min(time.Duration(float64(handOff.First)*n.w.random()), in)
	} else {
		n.reportIn(in, h)
	}
	l.stay()
	l.leave = time.AfterFunc(in, func() {
		l.left.Store(true)
		l.conn.Close()
	})
}

// stay stops the timer of move.
func (l *line) stay() {
	if l.leave != nil {
		l.leave.Stop()
	}
}
