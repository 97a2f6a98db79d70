package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// underWay is the number of requests, and of replies, of one connection that a stall or a delay buffers before it blocks.
const underWay = 4096

// link is the connection of one client and its counterpart to the server.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	server *net.TCPConn // set by run before its goroutines start

	ctx    context.Context // ends with the link
	cancel context.CancelFunc
	done   chan struct{} // closed when everything is closed and no goroutine is left

	requests chan *request // from read to forward; closed when the client has hung up
	replies  chan reply    // from collect to answer; closed when the server has hung up
	hungUp   chan struct{} // closed when the client has hung up
	wake     chan struct{} // wakes answer for an entry that the server does not reply to

	mu struct {
		sync.Mutex
		matcher matcher
	}
}

// reply is one value on its way from the server to the client.
type reply struct {
	raw []byte
	due time.Time // not passed on earlier
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	l := &link{
		proxy:    p,
		client:   client,
		done:     make(chan struct{}),
		requests: make(chan *request, underWay),
		replies:  make(chan reply, underWay),
		hungUp:   make(chan struct{}),
		wake:     make(chan struct{}, 1),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// run returns when both connections are closed.
func (l *link) run(backend string) {
	defer close(l.done)
	defer l.client.Close()
	defer l.cancel()
	var d net.Dialer
	server, err := d.DialContext(l.ctx, "tcp", backend)
	if err != nil {
		l.reset()
		return
	}
	defer server.Close()
	l.server = server.(*net.TCPConn)
	// Ending the link ends only its context; closing the connections then ends reads and writes.
	defer context.AfterFunc(l.ctx, func() {
		_ = l.client.Close()
		_ = l.server.Close()
	})()
	var parts sync.WaitGroup
	parts.Go(l.read)
	parts.Go(l.forward)
	parts.Go(l.collect)
	parts.Go(l.answer)
	parts.Wait()
}

// refuse ends a link that was never run.
func (l *link) refuse() {
	l.reset()
	_ = l.client.Close()
	close(l.done)
}

// reset ends the link so that the client sees a connection reset, not an orderly close.
func (l *link) reset() {
	_ = l.client.SetLinger(0) // fails only on a connection that is closed already
	l.cancel()
}

// read takes requests from the client until it hangs up.
func (l *link) read() {
	defer close(l.requests)
	defer close(l.hungUp)
	d := newDecoder(l.client)
	for {
		raw, args, err := d.request()
		if err != nil {
			l.proxy.report(err)
			if errors.Is(err, errProtocol) {
				l.reset()
			}
			return
		}
		if len(args) == 0 {
			continue // Redis does not answer it
		}
		select {
		case l.requests <- &request{raw: raw, args: args, due: l.proxy.arrival(toServer, len(raw))}:
		case <-l.ctx.Done():
			return
		}
	}
}

// forward sends requests to the server in order. Faults strike here.
func (l *link) forward() {
	mute := false
	for r := range l.requests {
		if !l.hold(r.due) {
			return
		}
		if mute {
			continue
		}
		if refusal := r.refused(); refusal != "" {
			l.answerLocally(pending{local: errorReply(refusal), due: l.proxy.arrival(toClient, len(refusal))})
			continue
		}
		fault := l.proxy.strike(r)
		switch fault.Action {
		case DropRequest:
			mute = true
			l.answerLocally(pending{mute: true})
			continue
		case ReplyError:
			l.answerLocally(pending{local: errorReply(fault.Error), due: l.proxy.arrival(toClient, len(fault.Error))})
			continue
		case CutBefore:
			l.reset()
			return
		case Delay:
			if !l.hold(time.Now().Add(fault.Delay)) {
				return
			}
		}
		entry := r.expect()
		if fault.Action == DropReply || fault.Action == CutAfter {
			entry.fate = fault.Action
		}
		l.expect(entry)
		l.proxy.record(r)
		if _, err := l.server.Write(r.raw); err != nil {
			return // collect sees the end, too
		}
	}
	// A server cancels what a client waits for when that client hangs up, so it has to know.
	_ = l.server.CloseWrite()
}

func errorReply(text string) []byte { return []byte("-" + text + "\r\n") }

// expect is called before the request is written, and so before its reply.
func (l *link) expect(e pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.matcher.push(e)
}

func (l *link) answerLocally(e pending) {
	l.expect(e)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// collect takes replies and pushes from the server until it hangs up.
func (l *link) collect() {
	defer close(l.replies)
	d := newDecoder(l.server)
	for {
		raw, err := d.reply()
		if err != nil {
			l.proxy.report(err)
			return
		}
		select {
		case l.replies <- reply{raw: raw, due: l.proxy.arrival(toClient, len(raw))}:
		case <-l.ctx.Done():
			return
		}
	}
}

// answer passes replies on in order, and ends the link when there are no more. Only answer writes to the client.
func (l *link) answer() {
	mute := false
	for {
		for {
			e, ok := l.nextLocal()
			if !ok {
				break
			}
			if e.mute {
				mute = true
			} else if !l.write(e.local, e.due, mute) {
				return
			}
		}
		select {
		case <-l.ctx.Done():
			return
		case <-l.wake:
		case r, ok := <-l.replies:
			if !ok {
				l.end(mute || l.silenced())
				return
			}
			switch l.take(r.raw) {
			case DropReply:
				mute = true
			case CutAfter:
				if l.hold(r.due) {
					l.reset()
				}
				return
			default:
				if !l.write(r.raw, r.due, mute) {
					return
				}
			}
		}
	}
}

func (l *link) nextLocal() (pending, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.matcher.popLocal()
}

func (l *link) silenced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.matcher.silenced()
}

func (l *link) take(raw []byte) Action {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.matcher.take(raw)
}

// write returns false if the link has ended. A client that has hung up does not end it: requests of that client may still be under
// way.
func (l *link) write(raw []byte, due time.Time, mute bool) bool {
	if !l.hold(due) {
		return false
	}
	if !mute {
		_, _ = l.client.Write(raw)
	}
	return true
}

// end closes the client's connection after the server's. A client that is to receive nothing more does not see even that.
func (l *link) end(mute bool) {
	if !l.hold(time.Time{}) {
		return
	}
	if mute {
		select {
		case <-l.hungUp:
		case <-l.ctx.Done():
		}
	}
	l.cancel()
}

// hold waits until due, and then until nothing is stalled. It returns false if the link ends meanwhile.
func (l *link) hold(due time.Time) bool {
	if wait := time.Until(due); !due.IsZero() && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.ctx.Done():
			return false
		}
	}
	for stalled := l.proxy.stall(); stalled != nil; stalled = l.proxy.stall() {
		select {
		case <-stalled:
		case <-l.ctx.Done():
			return false
		}
	}
	return l.ctx.Err() == nil
}
