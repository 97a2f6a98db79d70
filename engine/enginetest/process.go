package enginetest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/enginetest/internal/memory"
)

// Process is a process of the fleet: an engine, or a whole program, with a network of its own to the server.
type Process struct {
	fleet  *Fleet
	name   string
	link   *memory.Link
	gate   *gate
	cancel context.CancelFunc
	engine *engine.Engine // nil: the program opened its own
	ended  chan struct{}

	mu     sync.Mutex
	err    error // of the program
	killed bool
	seen   bool // the test knows how it ended
}

// Start starts a process with an engine, which runs the program. name is its consumer ID, and begins the name of its consumer in
// Redis; it need not be unique. The options come after those that were given to [New].
func (f *Fleet) Start(name string, program Program, opts ...engine.Option) *Process {
	f.t.Helper()
	p := f.process(name)
	all := []engine.Option{engine.WithConsumerID(name), engine.WithLogger(slog.New(aliveHandler{f.log().With("process", name).Handler(), p.gate}))}
	for _, o := range f.shared {
		all = append(all, o)
	}
	e, err := engine.Open(optionOf(p.link), f.service, append(all, opts...)...)
	f.check("opening the engine of "+name, err)
	p.engine = e
	p.run(func(ctx context.Context) error { return program(ctx, e) })
	return p
}

// Go starts a process that opens its engine itself, as a program does: main gets options for the clients of the process, which are
// as those for a Redis server, and runs until ctx ends.
func (f *Fleet) Go(name string, main func(ctx context.Context, opt rueidis.ClientOption) error) *Process {
	f.t.Helper()
	p := f.process(name)
	p.run(func(ctx context.Context) error { return main(ctx, p.ClientOption()) })
	return p
}

func (f *Fleet) process(name string) *Process {
	p := &Process{fleet: f, name: name, link: f.server.Link(), gate: newGate(), ended: make(chan struct{})}
	f.processes = append(f.processes, p)
	return p
}

func (p *Process) run(program func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithValue(p.fleet.context(), gateKey{}, p.gate))
	p.cancel = cancel
	go func() {
		defer close(p.ended)
		err := program(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err = err
	}()
}

// Name is the name that the process was started with.
func (p *Process) Name() string { return p.name }

// Engine is the engine of a process that [Fleet.Start] started; nil for others.
func (p *Process) Engine() *engine.Engine { return p.engine }

// ClientOption returns options for a client of this process, which is cut and paused with it.
func (p *Process) ClientOption() rueidis.ClientOption { return optionOf(p.link) }

// Ended is closed when the program has returned.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err is what the program returned, nil while it runs.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = true
	return p.err
}

// Streams returns the names of the streams that the process owns, by what its engine knows; nothing for one that [Fleet.Go] started.
func (p *Process) Streams() (names []string) {
	if p.engine != nil {
		for l := range p.engine.Leases() {
			names = append(names, l.Stream())
		}
	}
	return names
}

// Kill ends the process as SIGKILL does: from now on nothing that it sends arrives, its handlers are called no more, and its engine logs
// nothing. The others learn of it by its session, which ends after the session TTL. The context of its program ends, too, so that its
// goroutines do; what the program returns then is no error of the test. A handler may call it.
func (p *Process) Kill() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	p.link.Cut()
	p.gate.kill()
	p.cancel()
	if p.engine != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		go func() { _ = p.engine.Shutdown(ctx) }() // it stops at once, and hands nothing back
	}
}

// Pause stops the process as SIGSTOP does, or a host that hangs, as far as others can see: what it sends and what it is sent waits,
// and so do calls of its handlers. Nobody is told. Code of the test that runs at that moment goes on; its leases end at their deadlines.
func (p *Process) Pause() {
	p.gate.shut()
	p.link.Stall(memory.Requests)
	p.link.Stall(memory.Answers)
}

// Resume has a paused process go on.
func (p *Process) Resume() {
	p.mend()
	p.gate.open()
}

// CutOff breaks the network of the process: its connections end, and it can make no others until [Process.Reconnect]. It runs on.
func (p *Process) CutOff() { p.link.Cut() }

// LoseAnswers has what the process asks arrive and be done, while no answer comes back until [Process.Reconnect].
func (p *Process) LoseAnswers() { p.link.Stall(memory.Answers) }

// Reconnect mends what CutOff and LoseAnswers broke.
func (p *Process) Reconnect() { p.mend() }

// mend has the network up again, unless the process was killed: nothing that it sends may arrive any more.
func (p *Process) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.killed {
		p.link.Mend()
	}
}

// Drain ends the process as SIGTERM does and waits: its streams are handed back. It returns what the program returned, nil after a
// clean drain. It waits for handlers, so a handler must not.
func (p *Process) Drain() error {
	p.cancel()
	<-p.ended
	return p.Err()
}

// end drains the process at the end of the test, and fails the test if that does not go as it should.
func (p *Process) end() {
	p.Resume()
	p.mu.Lock()
	killed := p.killed
	p.mu.Unlock()
	p.cancel()
	select {
	case <-p.ended:
	case <-time.After(p.fleet.Patience):
		p.fleet.t.Errorf("process %s has not ended within %v of the end of the test: does a handler not return when its context ends?",
			p.name, p.fleet.Patience)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil && !killed && !p.seen && !errors.Is(p.err, context.Canceled) {
		p.fleet.t.Errorf("process %s ended with an error: %v", p.name, p.err)
	}
}
