package main

import (
	"context"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/test/servers"
)

// recovering are the scripts that only a recovery runs, and acquire, which takes the recovered streams.
var recovering = []string{"peers", "claimdead", "recover", "sweep", "promote", "acquire"}

// takeover is what happens from the death of the child until its streams have a new owner.
type takeover struct {
	server  *servers.Server
	self    *process
	child   *child
	orphans int           // streams that the child owned when it was killed
	at      time.Duration // when the child was killed, on the clock of the journals

	sent    measure.Commands
	ran     int64
	scripts map[string]int64
}

// newTakeover notes the counts so far.
func newTakeover(ctx context.Context, server *servers.Server, self *process, c *child) (*takeover, error) {
	t := &takeover{server: server, self: self, child: c}
	return t, t.count(ctx)
}

// count sets each count to what came since the last call.
func (t *takeover) count(ctx context.Context) error {
	stats, err := t.server.CommandStats(ctx)
	if err != nil {
		return err
	}
	ran := int64(0)
	for _, s := range stats {
		ran += s.Calls
	}
	t.ran = ran - t.ran
	sent, err := measure.CommandsSent(ctx, t.server)
	if err != nil {
		return err
	}
	t.sent = sent.Since(t.sent)
	scripts := make(map[string]int64)
	for _, name := range recovering {
		scripts[name] = t.self.scripts(name) - t.scripts[name]
	}
	t.scripts = scripts
	return nil
}

func (t *takeover) kill() (err error) {
	t.at, err = t.child.kill()
	for _, e := range t.child.journal.Read() {
		if e.Until >= t.at-time.Second {
			t.orphans++
		}
	}
	return err
}

// report writes how long the takeover took and what it cost.
func (t *takeover) report(ctx context.Context, out *screen) error {
	if err := t.count(ctx); err != nil {
		return err
	}
	var without []time.Duration
	for _, e := range t.self.journal.Read() {
		if e.From > t.at {
			without = append(without, e.From-t.at)
		}
	}
	if len(without) != t.orphans {
		return errNotTaken(len(without), t.orphans)
	}
	slices.Sort(without)
	at := func(q float64) time.Duration {
		return measure.Quantile(without, q).Round(10 * time.Millisecond)
	}
	out.say("All are owned again. Each of the %s had no owner for some time: p50 %v, p99 %v, at most %v.",
		report.Grouped(t.orphans), at(.5), at(.99), at(1))
	text, sum := "", int64(0)
	for _, name := range recovering {
		if n := t.scripts[name]; n > 0 {
			text += ", " + name + " " + report.Grouped(n)
			sum += n
		}
	}
	out.say("That cost %s scripts (%s); with renewals and beats meanwhile, %s commands from clients, and %s that the server ran in all.",
		report.Grouped(sum), text[2:], report.Grouped(t.sent.Total()), report.Grouped(t.ran))
	return nil
}
