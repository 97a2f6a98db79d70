package enginetest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/enginetest/internal/memory"
)

const (
	// maxServers is how many servers a history has, one after the other: each needs a real one.
	maxServers = 4
	// maxProcesses is how many processes run at a time.
	maxProcesses = 4
	callLimit    = 5 * time.Second
)

// history is a random history of a fleet.
type history struct {
	t       *testing.T
	fleet   *Fleet
	layer   string
	work    *work
	calls   sync.WaitGroup // of the test, which go on beside it
	running []*Process
	down    bool
	servers int
	names   []string // of data streams
	log     []string

	mu  sync.Mutex
	rnd *rand.Rand
}

func newHistory(t *testing.T, server *memory.Server, seed uint64) *history {
	h := &history{t: t, servers: 1, rnd: rand.New(rand.NewPCG(seed, 0))}
	h.fleet = newFleet(t, server, "svc", engine.WithLogger(slog.New(slog.DiscardHandler)), engine.WithPartitions(1+h.n(3)*h.n(2)))
	h.layer = []string{"handler", "handler", "each", "feed", "schedule"}[h.n(5)]
	h.work = &work{h}
	for i := range 8 {
		h.names = append(h.names, fmt.Sprintf("data:%d", i))
	}
	h.names = append(h.names, "{tag}a", "{tag}b", "with a space", "ünï\x00\r\n", string(make([]byte, 300)))
	return h
}

// n returns a random number below max. Handlers of all processes ask for them, too.
func (h *history) n(max int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rnd.IntN(max)
}

// upTo returns a random time, short ones being as likely as long ones.
func (h *history) upTo(limit time.Duration) time.Duration {
	for h.n(3) > 0 && limit > 10*time.Millisecond {
		limit /= 10
	}
	return time.Duration(h.n(int(limit)))
}

func (h *history) name() string { return h.names[h.n(len(h.names))] }

// call runs f beside the history, with a context that ends.
func (h *history) call(f func(ctx context.Context)) {
	h.calls.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		f(ctx)
	})
}

// process returns a random process, nil if there is none.
func (h *history) process() *Process {
	if len(h.running) == 0 {
		return nil
	}
	return h.running[h.n(len(h.running))]
}

// step does something random, and lets some time pass.
func (h *history) step() {
	all := []struct {
		weight int
		what   string
		do     func()
	}{
		{10, "start", h.start},
		{20, "produce", h.produce},
		{4, "malformed", h.malformed},
		{4, "kill", func() { h.with(func(p *Process) { p.Kill(); h.forget(p) }) }},
		{3, "pause", func() { h.with((*Process).Pause) }},
		{6, "resume", func() { h.with((*Process).Resume) }},
		{3, "cut off", func() { h.with((*Process).CutOff) }},
		{3, "lose answers", func() { h.with((*Process).LoseAnswers) }},
		{8, "reconnect", func() { h.with((*Process).Reconnect) }},
		{4, "drain", h.drain},
		{8, "call", func() { h.with(h.engineCall) }},
		{12, "operate", h.operate},
		{4, "tamper", h.tamper},
		{4, "server", h.changeServer},
		{4, "wait", func() { h.advance(h.upTo(4 * time.Minute)) }},
	}
	sum := 0
	for _, s := range all {
		sum += s.weight
	}
	at := h.n(sum)
	for _, s := range all {
		if at -= s.weight; at < 0 {
			h.log = append(h.log, time.Now().UTC().Format("15:04:05.000000 ")+s.what)
			s.do()
			break
		}
	}
	h.advance(h.upTo(8 * time.Second))
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf("  "+format, args...))
}

func (h *history) advance(d time.Duration) { h.fleet.Advance(d) }

func (h *history) with(f func(p *Process)) {
	if p := h.process(); p != nil {
		f(p)
	}
}

func (h *history) start() {
	if len(h.running) >= maxProcesses {
		return
	}
	opts := []engine.Option{engine.WithMaxStreams([]int{0, 0, 3, 100}[h.n(4)]), engine.WithReadBatch([]int{0, 0, 1, 7}[h.n(4)]),
		engine.WithDrainTimeout(time.Duration(1+h.n(20)) * time.Second)}
	if h.n(3) == 0 {
		opts = append(opts, engine.WithKeyspaceEvents())
	}
	if h.n(3) == 0 {
		opts = append(opts, engine.WithLeaseTTL(10*time.Second))
	}
	opts = append(opts, h.work.recovery())
	h.running = append(h.running, h.fleet.Start(string(rune('a'+h.n(6))), h.work.program(), opts...))
}

func (h *history) forget(p *Process) {
	for i, r := range h.running {
		if r == p {
			h.running = append(h.running[:i:i], h.running[i+1:]...)
		}
	}
}

func (h *history) drain() {
	h.with(func(p *Process) {
		h.forget(p)
		if h.n(2) == 0 {
			p.Resume()
		}
		h.calls.Go(func() { _ = p.Drain() })
	})
}

// engineCall has a process do what its program may ask of its engine.
func (h *history) engineCall(p *Process) {
	e, name := p.Engine(), h.name()
	h.call(func(ctx context.Context) {
		switch h.n(9) {
		case 0:
			_ = e.Requeue(ctx, name)
		case 1:
			_ = e.DoneStream(ctx, name)
		case 2:
			e.SetMaxStreams(h.n(10))
		case 3:
			e.Pause()
		case 4:
			e.Resume()
		case 5:
			e.SetWeight([]float64{0.5, 1, 3}[h.n(3)])
		case 6:
			_ = e.Evacuate(ctx)
		case 7:
			_ = e.Checkpoints(ctx)
		default:
			for l := range e.Leases() {
				h.work.end(ctx, l)
				break
			}
		}
	})
}

// produce announces, signals, or sends messages.
func (h *history) produce() {
	f, name := h.fleet, h.name()
	h.call(func(ctx context.Context) {
		info := []any{nil, map[string]any{"n": h.n(1000), "text": "ü€\\\"\x01"}, string(make([]byte, 5000))}[h.n(3)]
		switch {
		case h.layer == "feed" && h.n(4) > 0:
			h.work.send(ctx, name)
			return
		case h.layer == "schedule" && h.n(4) > 0:
			h.work.put(ctx)
			return
		}
		switch h.n(6) {
		case 0:
			_, _ = f.publisher.Publish(ctx, name, info, engine.WithNotBefore(time.Now().Add(h.upTo(time.Minute))))
		case 1:
			_, _ = f.publisher.Publish(ctx, name, info, engine.OnlyIfUnowned())
		case 2:
			var many []api.Announcement
			for range 1 + h.n(20) {
				many = append(many, api.Announcement{Stream: h.name(), Info: info})
			}
			_, _ = f.publisher.PublishMany(ctx, many...)
		case 3:
			_ = f.publisher.Signal(ctx, name, make([]byte, h.n(100)))
		default:
			_, _ = f.publisher.Publish(ctx, name, info)
		}
	})
}

// changeServer takes the server down, replaces it, or brings it back.
func (h *history) changeServer() {
	s := h.fleet.Server()
	kind := h.n(6)
	h.note("kind %d", kind)
	switch {
	case h.down || kind == 0:
		s.Start()
		h.down = false
	case kind == 1:
		s.Stop()
		h.down = true
	case h.servers == maxServers:
	case kind == 2:
		h.servers++
		s.Restart()
	case kind == 3 && h.n(2) == 0:
		h.servers++
		s.RestartEmpty()
	case kind == 4:
		h.servers++
		s.StopReplication()
	default:
		h.servers++
		s.FailOver()
	}
}

// end has all processes end, or fail to, and the network and the server as they should be.
func (h *history) end() {
	h.fleet.Server().Start()
	for _, p := range h.running {
		p.Resume()
	}
	h.advance(time.Minute)
	var wg sync.WaitGroup
	for _, p := range h.fleet.processes {
		wg.Go(func() { _ = p.Drain() })
	}
	wg.Wait()
	h.calls.Wait()
	h.afterwards()
}
