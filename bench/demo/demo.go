package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	service = "demo"
	prefix  = "demo:user:" // of the names of data streams; a number follows
	before  = 3            // messages in each data stream before the takeover
	after   = 3            // and after it
	// afterwards is how long the survivor is watched after the takeover.
	afterwards = 3 * time.Second
)

// demo is the whole run: server, producers, owners, proof.
func demo(ctx context.Context, o options, out *screen) (err error) {
	server, err := servers.Start(ctx, servers.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	info, err := server.Info(ctx, "server")
	if err != nil {
		return err
	}
	out.say("Started a private Redis %s on %s.", info["redis_version"], server.Addr())

	client, err := rueidis.NewClient(server.ClientOption())
	if err != nil {
		return err
	}
	defer client.Close()
	p := producer.Producer{Client: client, Service: service, Prefix: prefix}
	filled, err := p.Fill(ctx, o.streams, 0, before)
	if err != nil {
		return err
	}
	announced, err := p.Announce(ctx, 0, o.streams)
	if err != nil {
		return err
	}
	out.say("Producers wrote %s messages into %s data streams (%v) and announced each stream by XADD (%v).",
		report.Grouped(o.streams*before), report.Grouped(o.streams), filled.Round(time.Millisecond), announced.Round(time.Millisecond))

	layout, err := cluster.NewLayout(service, 1)
	if err != nil {
		return err
	}
	s := &show{options: o, out: out, server: server, proof: proof{client: client, keys: layout.Keys(0), group: layout.Group(), streams: o.streams, producer: p}}
	return s.run(ctx)
}

// show is the two processes, and what happens to them.
type show struct {
	options
	out    *screen
	server *servers.Server
	proof  proof

	self  *process
	child *child
	watch *watch
}

// run starts the processes, plays the show, and has both hand back, whatever happens.
func (s *show) run(ctx context.Context) (err error) {
	began := time.Now()
	s.child, err = startChild(childSpec{
		Addr: s.server.Addr(), Journal: filepath.Join(s.server.Dir(), "child.journal"),
		Streams: s.streams, Most: s.streams / 2, LeaseTTL: s.leaseTTL, SessionTTL: s.sessionTTL,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.child.close()) }()
	s.watch = &watch{out: s.out, server: s.server, child: s.child}
	if err := s.watch.until(ctx, func() bool { return s.child.report().Held == s.streams/2 }); err != nil {
		return err
	}
	s.self, err = startProcess(s.options, s.server.ClientOption(), "demo", filepath.Join(s.server.Dir(), "self.journal"), 0)
	if err != nil {
		return err
	}
	s.watch.self, s.proof.process = s.self, s.self
	err = s.play(ctx, began)
	drain := time.Now()
	if err = errors.Join(err, s.self.shutdown()); err != nil {
		return err
	}
	took := time.Since(drain)
	if err := s.proof.allHandedBack(ctx); err != nil {
		return err
	}
	s.out.say("Handed all %s back in %v: each handler was notified before, with a valid lease; all are announced again and none is leased.",
		report.Grouped(s.streams), took.Round(time.Millisecond))
	return nil
}

// play shows both processes while they own streams, and then the takeover by one.
func (s *show) play(ctx context.Context, began time.Time) error {
	err := s.watch.until(ctx, func() bool {
		a, b := s.self.report(), s.child.report()
		return a.Held+b.Held == s.streams && a.Messages+b.Messages == int64(before*s.streams)
	})
	if err != nil {
		return err
	}
	a, b := s.self.report(), s.child.report()
	s.out.say("Two processes own all %s after %v, this one %s and its child, process %d, %s. They have read %s messages as owners.\n"+
		"Holding them for %v, with leases of %v and sessions of %v:",
		report.Grouped(s.streams), time.Since(began).Round(time.Millisecond), report.Grouped(a.Held), s.child.process.Pid, report.Grouped(b.Held),
		report.Grouped(a.Messages+b.Messages), s.hold, s.lease(), s.session())
	if err := s.watch.during(ctx, s.hold); err != nil {
		return err
	}
	if err := s.takeover(ctx); err != nil {
		return err
	}
	if err := s.goOn(ctx, a.Messages+b.Messages); err != nil {
		return err
	}
	if err := s.watch.during(ctx, min(s.hold, afterwards)); err != nil {
		return err
	}
	if err := s.proof.oneOwner(s.out, s.child.journal); err != nil {
		return err
	}
	return s.proof.nothingLost(ctx, s.out)
}

// takeover kills the child, and shows what becomes of its streams.
func (s *show) takeover(ctx context.Context) error {
	t, err := newTakeover(ctx, s.server, s.self, s.child)
	if err != nil {
		return err
	}
	if err := t.kill(); err != nil {
		return err
	}
	s.out.say("Killed process %d with SIGKILL: %s streams have no owner now. Its session ends within %v, and the next heartbeat notices:",
		s.child.process.Pid, report.Grouped(t.orphans), s.session())
	if err := s.watch.until(ctx, func() bool { return s.self.report().Held == s.streams }); err != nil {
		return err
	}
	return t.report(ctx, s.out)
}

// goOn writes more into each stream, and shows that the survivor reads on where each owner has stopped.
func (s *show) goOn(ctx context.Context, read int64) error {
	if _, err := s.proof.producer.Fill(ctx, s.streams, before, before+after); err != nil {
		return err
	}
	last := before + after - 1
	if err := s.watch.until(ctx, func() bool { return s.self.owner.reached(last) == s.streams }); err != nil {
		return err
	}
	messages := int64((before + after) * s.streams)
	again := s.self.report().Messages + s.child.report().Messages - messages
	s.out.say("Producers wrote %s messages more. This process has read them all, each stream on from where its owner had stopped: none is missing "+
		"or out of turn, and %s of %s came a second time.", report.Grouped(messages-read), report.Grouped(again), report.Grouped(messages))
	return nil
}

// errNotTaken is the error for streams whose takeover the journals do not show.
func errNotTaken(n, want int) error {
	return fmt.Errorf("%d streams of the killed process were taken over, want %d", n, want)
}
