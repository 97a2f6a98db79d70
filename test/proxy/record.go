package proxy

import (
	"context"
	"strings"
)

// record counts a request that is about to be forwarded.
func (p *Proxy) record(r *request) {
	names := p.names(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.countLocked(p.mu.seen, names)
}

func (p *Proxy) countLocked(counts map[string]int, names []string) {
	for _, name := range names {
		counts[name]++
	}
	close(p.mu.counted)
	p.mu.counted = make(chan struct{})
}

// Seen returns how many requests of this name were forwarded: the name of a script, a command ("EVALSHA" counts every script) or
// both words of a command with subcommands ("SCRIPT LOAD").
func (p *Proxy) Seen(command string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.seen[strings.ToUpper(command)]
}

// Struck returns how many requests of this name were hit by a fault.
func (p *Proxy) Struck(command string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.struck[strings.ToUpper(command)]
}

// WaitSeen waits until Seen(command) is n or more. Its error is the cause of ctx's end.
func (p *Proxy) WaitSeen(ctx context.Context, command string, n int) error {
	return p.wait(ctx, func() bool { return p.mu.seen[strings.ToUpper(command)] >= n })
}

// WaitStruck waits until Struck(command) is n or more. Its error is the cause of ctx's end.
func (p *Proxy) WaitStruck(ctx context.Context, command string, n int) error {
	return p.wait(ctx, func() bool { return p.mu.struck[strings.ToUpper(command)] >= n })
}

// wait calls enough with the mutex held.
func (p *Proxy) wait(ctx context.Context, enough func() bool) error {
	for {
		p.mu.Lock()
		done, counted := enough(), p.mu.counted
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-counted:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
