package firing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/soak/storm"
	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	service = "soak"
	prefix  = "tick-"
	// patience is how long a change may take, while servers are in trouble.
	patience = 2 * time.Minute
	// nodeTimeout is when a master that stands still counts as dead, in sessions.
	nodeTimeout = 1
	// unsaved is how long before a trouble a tick may have been fired whose checkpoint was not stored: the second in which they are
	// collected, and a busy machine.
	unsaved = 3 * time.Second
	// calm is how long nothing is disturbed in the end, besides three sessions: everything that was missed comes, and then what is due.
	calm = 8 * time.Second
)

// Options say what a soak of ticks does, and for how long.
type Options struct {
	For        time.Duration // how long troubles strike
	Processes  int
	Partitions int
	Schedules  int
	Changes    float64 // of schedules, a second on average
	LeaseTTL   time.Duration
	SessionTTL time.Duration
	Seed       uint64 // of troubles and changes; 0: chosen at random
	Spare      bool   // the cluster: troubles strike processes only
}

// Result is the outcome.
type Result struct {
	Options
	Struck  map[string]int
	Changed map[string]int
	Retried int      // calls of changes that failed, and were made again
	Repairs int      // times that the table was made what it is meant to be, since servers may have forgotten changes
	Differs []string // in what the table is not what it is meant to be in the end
	BadEnds []string
	Errors  []string // that processes have logged
	Excused int      // starts and drains that failed while servers were in trouble
	fired.Findings
}

func (r *Result) holds() bool {
	return r.Faults() == 0 && len(r.BadEnds)+len(r.Errors)+len(r.Differs) == 0
}

// soak is one run.
type soak struct {
	options Options
	cluster *servers.Cluster
	client  rueidis.Client
	editor  *editor
	places  []*storm.Place
	storm   *storm.Storm
	audit   fired.Audit
	dir     string
	result  Result
}

// Run has processes fire ticks while troubles strike and schedules are changed, on a private cluster, and checks what they fired. If a promise
// did not hold, logs and notes are kept.
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
	steps := r.Steps(fmt.Sprint("soak of ticks, seed ", o.Seed), int(o.For.Seconds())+1)
	defer steps.End()
	until, end := context.WithTimeout(ctx, o.For)
	defer end()
	g, until := errgroup.WithContext(until)
	for i, p := range s.places {
		g.Go(func() error { return s.storm.StrikeProcess(until, p, rand.New(rand.NewPCG(o.Seed, uint64(i+1)))) })
	}
	g.Go(func() error { return s.storm.Watch(until) })
	if !o.Spare {
		g.Go(func() error { return s.storm.StrikeServers(until, rand.New(rand.NewPCG(o.Seed, 0))) })
	}
	g.Go(func() error { return s.editor.run(until, o.Changes) })
	g.Go(func() error {
		began := time.Now()
		for measure.Pause(until, time.Second) == nil {
			steps.Reach(min(int(time.Since(began).Seconds()), int(o.For.Seconds())), fmt.Sprintf("troubles, seed %d", o.Seed))
		}
		return nil
	})
	if err := errors.Join(g.Wait(), ctx.Err()); err != nil {
		return errors.Join(err, s.storm.Write(s.dir))
	}
	return errors.Join(s.finish(ctx), s.storm.Write(s.dir), s.editor.write(s.dir))
}

// prepare starts the processes, and puts the schedules.
func (s *soak) prepare(ctx, alive context.Context) error {
	o := s.options
	layout, err := cluster.NewLayout(service, o.Partitions)
	if err != nil {
		return err
	}
	s.storm = &storm.Storm{Cluster: s.cluster, Session: o.SessionTTL}
	for n := range o.Partitions {
		s.storm.Slots = append(s.storm.Slots, layout.Keys(n).Slot)
	}
	table, err := schedule.NewTable(s.client, service, engine.WithPartitions(o.Partitions))
	if err != nil {
		return err
	}
	s.editor = newEditor(table, s.storm, o)
	nodes := s.cluster.Nodes()
	for i := range o.Processes {
		s.places = append(s.places, &storm.Place{Alive: alive, Trouble: s.storm.ServersIn, Name: fmt.Sprint("ticker-", i+1), Dir: s.dir,
			URL: "redis://" + nodes[0].Addr() + "?addr=" + nodes[1].Addr(), Session: o.SessionTTL, Args: o.args})
	}
	g, _ := errgroup.WithContext(ctx)
	for _, p := range s.places {
		g.Go(p.Start)
	}
	if err := g.Wait(); err != nil {
		return err
	}
	s.audit = fired.Audit{Session: o.SessionTTL, Unsaved: unsaved, Within: within, Zero: time.Duration(time.Now().UnixNano()) - journal.Monotonic()}
	if err := s.editor.populate(ctx); err != nil {
		return err
	}
	s.audit.Begin = journal.Monotonic()
	return nil
}

// args are the arguments with which this program becomes the process of that name.
func (o Options) args(run, notes string) []string {
	return ticker.Options{Model: ticker.Owned, Service: service, Prefix: prefix, Partitions: o.Partitions, LeaseTTL: o.LeaseTTL,
		SessionTTL: o.SessionTTL, Consumer: run, Notes: notes, Troubled: true}.Args()
}

// finish waits until everything is fired that was missed, drains the processes, and checks what they noted.
func (s *soak) finish(ctx context.Context) error {
	if err := s.cluster.AwaitReady(ctx); err != nil {
		return err
	}
	if err := s.editor.settle(ctx); err != nil {
		return err
	}
	if err := measure.Pause(ctx, calm+3*s.options.SessionTTL); err != nil {
		return err
	}
	s.audit.End = journal.Monotonic()
	for _, p := range s.places {
		p.Judge(journal.Monotonic(), errors.Join(p.Look(), p.Drain()))
		s.result.BadEnds = append(s.result.BadEnds, p.BadEnds...)
		s.result.Excused += p.Excused
		logged, err := p.Errors()
		if s.result.Errors = append(s.result.Errors, logged...); err != nil {
			return err
		}
		for _, r := range p.Runs() {
			all, err := fired.Notes(r.Notes).More()
			if err != nil {
				return err
			}
			s.audit.Add(r.Name, all)
		}
	}
	var err error
	if s.result.Differs, err = s.editor.differs(ctx); err != nil {
		return err
	}
	s.judge()
	return ctx.Err()
}

// judge checks what was noted.
func (s *soak) judge() {
	s.audit.Changes, s.audit.Repairs = s.editor.changes, s.editor.repairs
	s.result.Changed, s.result.Retried, s.result.Repairs = s.editor.made, s.editor.retried, len(s.editor.repairs)
	var itself []storm.Struck
	for _, t := range s.audit.Troubles { // what processes found by themselves
		itself = append(itself, storm.Struck{Name: storm.Stood, Process: t.Process, From: t.From, Until: t.Until})
	}
	s.audit.Troubles = nil
	layout, _ := cluster.NewLayout(service, s.options.Partitions) // prepare has made the same
	for _, t := range storm.Besides(itself, s.storm.Struck()) {
		s.result.Struck[t.Name]++
		s.audit.Troubles = append(s.audit.Troubles, fired.Trouble{
			Name: t.Name, Process: t.Process, From: t.From, Until: t.Until, Quiet: t.Quiet(), Harmless: t.Harmless(), Forgets: t.Name == storm.Crashed,
			Hits: func(schedule int) bool { return t.Hits(layout.Keys(layout.Of(name(schedule))).Slot) },
		})
	}
	s.result.Findings = s.audit.Run()
}
