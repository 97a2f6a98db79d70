package notice

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// Handoff is the outcome of a Moving notice for the node that sent it. What it says concerns the endpoint on which it came, so each
// node's own connection tries the new one, and each is reported.
type Handoff struct {
	Node     string // its address, by which the list of nodes knows it
	Endpoint string // that takes its place; empty: the same address, which leads elsewhere by now
	Seq      int64
	End      time.Time // when the old endpoint goes away, as announced
	Err      error     // why the new endpoint does not answer, after all attempts; nil if it does
}

// moves are the Moving notices that a node has acted on.
type moves []moved

// moved is one notice.
type moved struct {
	seq      int64
	endpoint string
	at       time.Time
}

// repeated reports whether a notice was acted on before, within horizon: a server repeats it on each new connection. Only its
// endpoint tells it from another one without a number, or with the same number under which another server counts. A lower number
// is no sign of an old notice, for the same reason.
func (m *moves) repeated(n *Notice, now time.Time, horizon time.Duration) bool {
	*m = slices.DeleteFunc(*m, func(old moved) bool { return now.Sub(old.at) > remembered })
	if slices.ContainsFunc(*m, func(old moved) bool {
		return now.Sub(old.at) < horizon && old.seq == n.Seq && (old.endpoint == n.Endpoint || n.Seq >= 0 && (old.endpoint == "" || n.Endpoint == ""))
	}) {
		return true
	}
	if len(*m) == maxWindows {
		*m = slices.Delete(*m, 0, 1)
	}
	*m = append(*m, moved{seq: n.Seq, endpoint: n.Endpoint, at: now})
	return false
}

// offer is an endpoint that a node's connection is to try.
type offer struct {
	Handoff
	reported bool
}

// report reports the outcome of the offer, once.
func (n *node) report(ctx context.Context, err error) {
	if n.offer.Endpoint == "" || n.offer.reported {
		return
	}
	n.offer.reported = true
	h := n.offer.Handoff
	h.Err = err
	n.w.handedOff(ctx, h)
}

// reportGap bounds how often notices without an endpoint are reported. One is covered by another that is due so soon after it.
const reportGap = time.Second

// reportIn reports a notice without an endpoint after a while, whatever becomes of the connection that it came on.
func (n *node) reportIn(in time.Duration, h Handoff) {
	at := time.Now().Add(in)
	switch late := n.reported.Sub(at); {
	case late >= 0 && late <= reportGap:
		return
	case late < 0 && late > -reportGap:
		at = n.reported.Add(reportGap)
	}
	if at.After(n.reported) {
		n.reported = at
	}
	time.AfterFunc(time.Until(at), func() { n.w.handedOff(n.base, h) })
}

// homing makes a node's connection return to the node's own address. Return sets it, and the node's goroutine resets it.
type homing struct {
	wanted atomic.Bool
	conn   atomic.Pointer[net.Conn] // the last one
}

// Return has the connection to a node return from the endpoint that was announced to the node's own address: that was not in its
// place, or the address is in service again. Safe for concurrent use.
func (w *Watcher) Return(address string) {
	w.mu.Lock()
	r := w.mu.nodes[address]
	w.mu.Unlock()
	if r == nil {
		return
	}
	r.node.home.wanted.Store(true)
	select {
	case r.node.again <- struct{}{}: // it rests if the server at the endpoint refused
	default:
	}
	if conn := r.node.home.conn.Load(); conn != nil {
		(*conn).Close()
	}
}

// handedOff sends a handoff to the goroutine of Run.
func (w *Watcher) handedOff(ctx context.Context, h Handoff) {
	select {
	case w.events <- event{handoff: &h}:
	case <-ctx.Done():
	}
}
