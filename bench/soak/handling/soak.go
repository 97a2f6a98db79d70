package handling

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/bench/notes"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/soak/storm"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	service = "soak"
	prefix  = "user-"
	// patience is how long everything may take to be handled after the last trouble, with four sessions more.
	patience = 2 * time.Minute
	// nodeTimeout is when a master that stands still counts as dead, in sessions.
	nodeTimeout = 1
	// slack is added to the interval of checkpoints: the second in which they are collected, and a busy machine.
	slack = 2 * time.Second
)

// Options say what a soak of messages does, and for how long.
type Options struct {
	For        time.Duration // how long troubles strike
	Processes  int
	Partitions int
	Streams    int
	Rate       int // messages a second
	LeaseTTL   time.Duration
	SessionTTL time.Duration
	Checkpoint time.Duration // the feed's CheckpointEvery
	Seed       uint64        // of troubles and messages; 0: chosen at random
	Spare      bool          // the cluster: troubles strike processes only
}

// Result is the outcome.
type Result struct {
	Options
	Struck    map[string]int
	Sent      int // messages that were acknowledged
	Unsent    int // messages that were refused, or not answered
	NotThere  int // acknowledged numbers that their streams do not have in the end, since a failover forgot them
	Unhandled int // messages that were not handled when the time for that was up
	BadEnds   []string
	Errors    []string // that processes have logged
	Excused   int      // starts and drains that failed while servers were in trouble
	Findings
}

func (r *Result) holds() bool {
	return r.hold() && r.Unhandled == 0 && len(r.BadEnds)+len(r.Errors) == 0
}

// place is where processes read, and what they note.
type place struct {
	*storm.Place
	notes map[string]*notes.Tail[note] // by process
}

// collect adds what was noted since the last call to the audit.
func (p place) collect(a *audit) (err error) {
	for _, r := range p.Runs() {
		n := p.notes[r.Name]
		if n == nil {
			n = &notes.Tail[note]{Path: r.Notes, Size: noteSize, Parse: noteOf}
			p.notes[r.Name] = n
		}
		all, failed := n.More()
		a.add(r.Name, all)
		err = errors.Join(err, failed)
	}
	return err
}

// soak is one run.
type soak struct {
	options Options
	cluster *servers.Cluster
	client  rueidis.Client
	load    load
	places  []place
	storm   *storm.Storm
	audit   audit
	dir     string
	result  Result
}

// Run has processes read messages while troubles strike, on a private cluster, and checks what they handled. If a promise did not hold, logs
// and notes are kept.
func Run(ctx context.Context, o Options, r *report.Report) (err error) {
	for o.Seed == 0 {
		o.Seed = uint64(rand.Uint32())
	}
	s := &soak{options: o, result: Result{Options: o, Struck: make(map[string]int)}}
	if s.cluster, err = servers.StartCluster(ctx, servers.ClusterOptions{NodeTimeout: nodeTimeout * o.SessionTTL}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.cluster.Stop()) }()
	if s.client, err = rueidis.NewClient(s.cluster.ClientOption()); err != nil {
		return err
	}
	defer s.client.Close()
	if s.dir, err = os.MkdirTemp("", "streamlease-soak-"); err != nil {
		return err
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			err = errors.Join(err, os.RemoveAll(s.dir))
			return
		}
		err = fmt.Errorf("seed %d: %w; notes and logs are in %s", o.Seed, err, s.dir)
	}()
	if err := s.run(ctx, r); err != nil {
		return err
	}
	if err := r.Write(s.result, s.result.write); err != nil {
		return err
	}
	if !s.result.holds() {
		return errors.New("a promise did not hold")
	}
	return nil
}

func (s *soak) run(ctx context.Context, r *report.Report) (err error) {
	o := s.options
	alive, kill := context.WithCancel(ctx)
	defer func() {
		kill()
		for _, p := range s.places {
			p.Abandon()
		}
	}()
	if err := s.prepare(ctx, alive); err != nil {
		return err
	}
	steps := r.Steps(fmt.Sprint("soak of messages, seed ", o.Seed), int(o.For.Seconds())+1)
	defer steps.End()
	until, end := context.WithTimeout(ctx, o.For)
	defer end()
	g, until := errgroup.WithContext(until)
	for i, p := range s.places {
		g.Go(func() error { return s.storm.StrikeProcess(until, p.Place, rand.New(rand.NewPCG(o.Seed, uint64(i+1)))) })
	}
	g.Go(func() error { return s.storm.Watch(until) })
	if !o.Spare {
		g.Go(func() error { return s.storm.StrikeServers(until, rand.New(rand.NewPCG(o.Seed, 0))) })
	}
	g.Go(func() error { return s.load.run(until, o.Rate) })
	g.Go(func() error {
		began := time.Now()
		for tick := time.Tick(time.Second); ; {
			select {
			case <-tick:
				steps.Reach(min(int(time.Since(began).Seconds()), int(o.For.Seconds())), fmt.Sprintf("troubles, seed %d", o.Seed))
			case <-until.Done():
				return nil
			}
		}
	})
	if err := errors.Join(g.Wait(), ctx.Err()); err != nil {
		return errors.Join(err, s.storm.Write(s.dir))
	}
	return errors.Join(s.finish(ctx), s.storm.Write(s.dir))
}

// prepare announces the streams and starts the processes.
func (s *soak) prepare(ctx, alive context.Context) error {
	o := s.options
	layout, err := cluster.NewLayout(service, o.Partitions)
	if err != nil {
		return err
	}
	p := producer.Producer{Client: s.client, Service: service, Prefix: prefix,
		Input: func(stream string) string { return layout.Keys(layout.Of(stream)).Input }}
	if _, err := p.Announce(ctx, 0, o.Streams); err != nil {
		return err
	}
	s.load = load{client: s.client, name: p.Stream, rnd: rand.New(rand.NewPCG(o.Seed, 1<<32)), sent: make([]int, o.Streams)}
	s.storm = &storm.Storm{Cluster: s.cluster, Session: o.SessionTTL}
	for n := range o.Partitions {
		s.storm.Slots = append(s.storm.Slots, layout.Keys(n).Slot)
	}
	for i := range 2 * o.Partitions {
		s.storm.Slots = append(s.storm.Slots, cluster.Slot(p.Stream(i%o.Streams)))
	}
	s.audit = audit{session: o.SessionTTL, interval: o.Checkpoint + slack, slots: func(stream int) (own, partition uint16) {
		return cluster.Slot(p.Stream(stream)), layout.Keys(layout.Of(p.Stream(stream))).Slot
	}}
	for i := range o.Processes {
		options := ReaderOptions{Service: service, Partitions: o.Partitions, Prefix: prefix, LeaseTTL: o.LeaseTTL,
			SessionTTL: o.SessionTTL, Checkpoint: o.Checkpoint}
		s.places = append(s.places, place{&storm.Place{Alive: alive, Trouble: s.storm.ServersIn, Name: fmt.Sprint("reader-", i+1), Dir: s.dir,
			URL: "redis://" + s.cluster.Nodes()[0].Addr() + "?addr=" + s.cluster.Nodes()[1].Addr(), Session: o.SessionTTL, Args: options.args},
			make(map[string]*notes.Tail[note])})
	}
	g, _ := errgroup.WithContext(ctx)
	for _, p := range s.places {
		g.Go(p.Start)
	}
	return g.Wait()
}

// finish waits until everything is handled, drains the processes, and checks what they noted.
func (s *soak) finish(ctx context.Context) error {
	if err := s.cluster.AwaitReady(ctx); err != nil {
		return err
	}
	there, forgotten, err := s.load.there(ctx)
	if err != nil {
		return err
	}
	s.result.NotThere, s.result.Unsent = forgotten, s.load.lost
	for _, n := range s.load.sent {
		s.result.Sent += n
	}
	for end := time.Now().Add(patience + 4*s.options.SessionTTL); ; time.Sleep(100 * time.Millisecond) {
		if err := s.collect(); err != nil {
			return err
		}
		s.result.Unhandled = 0
		for stream, ids := range there {
			s.result.Unhandled += s.audit.unhandled(stream, ids)
		}
		if s.result.Unhandled == 0 || time.Now().After(end) || ctx.Err() != nil {
			break
		}
	}
	for _, p := range s.places {
		p.Judge(journal.Monotonic(), errors.Join(p.Look(), p.Drain()))
		s.result.BadEnds = append(s.result.BadEnds, p.BadEnds...)
		s.result.Excused += p.Excused
		logged, err := p.Errors()
		if s.result.Errors = append(s.result.Errors, logged...); err != nil {
			return err
		}
	}
	if err := errors.Join(s.collect(), ctx.Err()); err != nil {
		return err
	}
	s.audit.troubles = storm.Besides(s.audit.troubles, s.storm.Struck())
	for _, t := range s.audit.troubles {
		s.result.Struck[t.Name]++
	}
	for stream, ids := range there {
		s.audit.stream(stream, ids, &s.result.Findings)
	}
	return nil
}

func (s *soak) collect() (err error) {
	for _, p := range s.places {
		err = errors.Join(err, p.collect(&s.audit))
	}
	return err
}
