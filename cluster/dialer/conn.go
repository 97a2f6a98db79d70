package dialer

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// ErrLeft is the error of a command on a connection that was left. The command was not sent.
var ErrLeft = errors.New("dialer: the connection was left for the endpoint that a server announced; the command was not sent")

// conn is one connection of a client. The client writes from one goroutine at a time and reads from one at a time.
type conn struct {
	net.Conn
	d       *Dialer
	address string // that the client asked for
	target  string // that was dialled

	mu struct {
		sync.Mutex
		out, in  counter
		pending  int         // commands that were written and not answered
		ahead    int         // how many of them are answered when the last PING is that is watched; 0: none is
		blocked  int         // how many of them are answered when the last one is that a server lets wait
		writing  bool        // a write has not returned
		split    bool        // what the client flushes did not fit into the last write
		answered bool        // something was read
		asked    time.Time   // the deadline that the client wants
		probed   time.Time   // since when a PING waits, or may soon, and nothing was read; zero: none does
		watch    *time.Timer // looks at probed
		leaving  bool        // it is left as soon as nothing is on its way
		ended    error       // what reads and writes return; nil: it is open
	}
}

// Write sends what the client flushes, or refuses it with ErrLeft. What is refused, or was not sent because of it, is never part of
// what went before: a batch that does not fit into the client's buffer is not torn.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.leaveIfQuietLocked()
	if err := c.mu.ended; err != nil {
		c.mu.Unlock()
		_ = c.Conn.Close()
		return 0, err
	}
	commands, probe, wait := c.mu.out.feed(b) // before it is sent: the answer may come before Write returns
	if probe > 0 && c.mu.blocked == 0 {       // else it waits behind a command that waits
		c.mu.ahead = c.mu.pending + probe
	}
	if wait > 0 {
		c.mu.blocked = c.mu.pending + wait
	}
	c.mu.pending += commands
	c.mu.split = len(b) >= c.d.buffer
	c.mu.writing = true
	switch {
	case !c.policedLocked():
		c.mu.ahead, c.mu.probed = 0, time.Time{}
	case !c.mu.probed.IsZero():
	case c.mu.ahead > 0:
		c.probeLocked(time.Now())
	default:
		c.probeLocked(time.Now().Add(c.d.tight)) // a PING may wait behind this write
	}
	c.mu.Unlock()
	n, err := c.Conn.Write(b)
	c.mu.Lock()
	c.mu.writing = false
	if c.mu.ahead == 0 {
		c.mu.probed = time.Time{}
	}
	c.mu.Unlock()
	if err != nil {
		err = c.explain(err)
	}
	return n, err
}

// Read reads answers. A deadline that passes is looked at again: a window of maintenance may have opened since it was set.
func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if n > 0 {
			c.received(b[:n])
			return n, nil // an error comes again
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) && c.extend() {
			continue
		}
		return 0, c.explain(err)
	}
}

// received takes in what the server sent.
func (c *conn) received(b []byte) {
	c.mu.Lock()
	first := !c.mu.answered
	c.mu.answered = true
	answers, _, _ := c.mu.in.feed(b)
	c.mu.pending = max(c.mu.pending-answers, 0)
	c.mu.ahead = max(c.mu.ahead-answers, 0)
	c.mu.blocked = max(c.mu.blocked-answers, 0)
	switch {
	case c.mu.probed.IsZero():
	case !c.policedLocked():
		c.mu.ahead, c.mu.probed = 0, time.Time{}
	case c.mu.ahead > 0:
		c.mu.probed = time.Now()
	case c.mu.writing:
		c.mu.probed = time.Now().Add(c.d.tight) // as when it began
	default:
		c.mu.probed = time.Time{}
	}
	serves := ""
	if moved := c.mu.in.moved; len(moved) > 0 {
		serves = string(moved[strings.LastIndexByte(string(moved), ' ')+1:])
		c.mu.in.moved = moved[:0]
	}
	c.leaveIfQuietLocked()
	left := c.mu.ended != nil
	c.mu.Unlock()
	if left {
		_ = c.Conn.Close()
	}
	if first {
		c.d.answered(c.address, c.target)
	}
	if serves != "" {
		c.d.refused(c.address, c.target, serves)
	}
}

// explain returns why the connection ended, if we ended it, in place of the error that this caused.
func (c *conn) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.ended != nil {
		return c.mu.ended
	}
	return err
}

// SetDeadline sets the deadline that the client wants, or a shorter one: it wants the time that applies while servers may be slow.
func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.mu.asked = t
	c.mu.Unlock()
	if !t.IsZero() && c.d.tight > 0 && c.d.relaxed() == 0 {
		if usual := time.Now().Add(c.d.tight); usual.Before(t) {
			t = usual
		}
	}
	return c.Conn.SetDeadline(t)
}

// extend sets the deadline that the client wants, if that is later and servers may be slow by now.
func (c *conn) extend() bool {
	c.mu.Lock()
	asked, ended := c.mu.asked, c.mu.ended
	c.mu.Unlock()
	return ended == nil && time.Now().Before(asked) && c.d.relaxed() > 0 && c.Conn.SetDeadline(asked) == nil
}

// policedLocked reports whether silence may end the connection: there is a limit, and it is known what was answered.
func (c *conn) policedLocked() bool { return c.d.tight > 0 && !c.mu.in.lost && !c.mu.out.lost }

// probeLocked starts to watch for the answer to a PING that is sent at a time.
func (c *conn) probeLocked(at time.Time) {
	c.mu.probed = at
	if c.mu.watch == nil {
		c.mu.watch = time.AfterFunc(c.d.tight, c.overdue)
		return
	}
	c.mu.watch.Reset(c.d.tight)
}

// overdue ends the connection if a PING has no answer for too long. The client would notice only when it has no answer after the
// longest time that servers may take.
func (c *conn) overdue() {
	relaxed := c.d.relaxed()
	c.mu.Lock()
	if c.mu.probed.IsZero() || c.mu.ended != nil {
		c.mu.Unlock()
		return
	}
	left := max(c.d.tight, relaxed) - time.Since(c.mu.probed)
	if left > 0 {
		c.mu.watch.Reset(min(left, c.d.tight))
		c.mu.Unlock()
		return
	}
	c.mu.ended = os.ErrDeadlineExceeded
	c.mu.Unlock()
	_ = c.Conn.Close()
}

// leaveIfQuietLocked ends a connection that is being left if nothing is on its way on it.
func (c *conn) leaveIfQuietLocked() {
	if c.mu.leaving && c.mu.ended == nil && c.mu.pending == 0 && !c.mu.split && c.mu.out.idle() && c.mu.in.idle() {
		c.mu.ended = ErrLeft
	}
}

// Close closes the connection.
func (c *conn) Close() error {
	c.d.mu.Lock()
	delete(c.d.mu.conns, c)
	c.d.mu.Unlock()
	c.mu.Lock()
	silent := !c.mu.answered && c.mu.ended == nil
	c.mu.answered = c.mu.answered || silent // reported once
	if c.mu.watch != nil {
		c.mu.watch.Stop()
	}
	c.mu.probed = time.Time{}
	c.mu.Unlock()
	if silent {
		c.d.unanswered(c.address, c.target)
	}
	return c.Conn.Close()
}

// leave has connections for an address left that do not lead to target, and closes those that are not quiet after patience.
func (d *Dialer) leave(address, target string, patience time.Duration) {
	var going []*conn
	d.mu.Lock()
	d.mu.leaves[address]++
	for c := range d.mu.conns {
		if c.address == address && c.target != target {
			going = append(going, c)
		}
	}
	d.mu.Unlock()
	busy := going[:0]
	for _, c := range going {
		c.mu.Lock()
		c.mu.leaving = true
		c.leaveIfQuietLocked()
		quiet := c.mu.ended != nil
		c.mu.Unlock()
		if quiet {
			_ = c.Conn.Close() // wakes whoever reads; the client closes its side when it sees that
		} else {
			busy = append(busy, c)
		}
	}
	if len(busy) > 0 {
		time.AfterFunc(patience, func() {
			for _, c := range busy {
				_ = c.Conn.Close() // what is on its way has no answer
			}
		})
	}
}
