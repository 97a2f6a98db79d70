package enginetest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
)

// errKilled is what a handler of a killed process is given to return, in its place. Nobody gets to see it.
var errKilled = errors.New("the process was killed")

// gate is what calls of the handlers of a process pass: not while it is paused, and not after it was killed.
type gate struct {
	mu     sync.Mutex
	killed bool
	opened chan struct{} // closed: open
}

func newGate() *gate {
	g := &gate{opened: make(chan struct{})}
	close(g.opened)
	return g
}

// pass returns nil when the call may be made. A call whose context ends meanwhile is made all the same once the process goes on:
// that is what a process finds that was stopped.
func (g *gate) pass() error {
	for {
		g.mu.Lock()
		killed, opened := g.killed, g.opened
		g.mu.Unlock()
		if killed {
			return errKilled
		}
		select {
		case <-opened:
			return nil
		default:
			<-opened
		}
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
		g.opened = make(chan struct{})
	default:
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) kill() {
	g.mu.Lock()
	g.killed = true
	g.mu.Unlock()
	g.open()
}

// alive reports whether the process was not killed.
func (g *gate) alive() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.killed
}

// aliveHandler is the log of a process, which says nothing once it was killed.
type aliveHandler struct {
	slog.Handler
	gate *gate
}

func (h aliveHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.gate.alive() && h.Handler.Enabled(ctx, level)
}

func (h aliveHandler) Handle(ctx context.Context, r slog.Record) error {
	if !h.gate.alive() {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h aliveHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return aliveHandler{h.Handler.WithAttrs(attrs), h.gate}
}

func (h aliveHandler) WithGroup(name string) slog.Handler {
	return aliveHandler{h.Handler.WithGroup(name), h.gate}
}

type gateKey struct{}

// gateOf returns the gate of the process that ctx belongs to; outside a process, one that is open.
func gateOf(ctx context.Context) *gate {
	if g, ok := ctx.Value(gateKey{}).(*gate); ok {
		return g
	}
	return newGate()
}
