package storm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/bench/bar"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	// Service is the name of the service whose processes are struck.
	Service = "soak"
	// nodeTimeout is when a master that stands still counts as dead, in sessions.
	nodeTimeout = 1
)

// Work is what the processes of a soak have to do, and how that is judged.
type Work interface {
	// Prepare makes what there is to do, and starts the processes with Soak.Start.
	Prepare(ctx context.Context, s *Soak) error
	// Drive gives the processes something to do until ctx ends.
	Drive(ctx context.Context) error
	// Finish, when the cluster is whole again, waits until everything is done that was to do, drains the processes with Soak.Drain, and checks
	// what they noted.
	Finish(ctx context.Context) (Result, error)
}

// Result is the outcome of a soak. It is written as JSON, too.
type Result interface {
	Write(out io.Writer)
	// Holds reports whether every promise held.
	Holds() bool
}

// Soak is a private cluster, and processes that work on it while troubles strike.
type Soak struct {
	Client  rueidis.Client
	Layout  *cluster.Layout
	Storm   *Storm
	Places  []*Place
	Dir     string // of notes and logs
	Outcome Outcome

	what    string // it is a soak of
	options Options
	alive   context.Context // its end kills the processes
}

// RunSoak has processes do work while troubles strike, on a private cluster, and reports what came of it; what says what it is a soak of. If a
// promise did not hold, logs and notes are kept.
func RunSoak(ctx context.Context, what string, o Options, w Work, r *report.Report) (err error) {
	s := &Soak{what: what, options: o, Outcome: Outcome{Struck: make(map[string]int)}}
	if s.Layout, err = cluster.NewLayout(Service, o.Partitions); err != nil {
		return err
	}
	c, err := servers.StartCluster(ctx, servers.ClusterOptions{NodeTimeout: nodeTimeout * o.SessionTTL})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	s.Storm = &Storm{Cluster: c, Session: o.SessionTTL}
	for n := range o.Partitions {
		s.Storm.Slots = append(s.Storm.Slots, s.Layout.Keys(n).Slot)
	}
	if s.Client, err = rueidis.NewClient(c.ClientOption()); err != nil {
		return err
	}
	defer s.Client.Close()
	if s.Dir, err = os.MkdirTemp("", "streamlease-soak-"); err != nil {
		return err
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			err = errors.Join(err, os.RemoveAll(s.Dir))
			return
		}
		err = fmt.Errorf("seed %d: %w; notes and logs are in %s", o.Seed, err, s.Dir)
	}()
	result, err := s.run(ctx, w, r)
	if err != nil {
		return err
	}
	if err := r.Write(result, result.Write); err != nil {
		return err
	}
	if !result.Holds() {
		return errors.New("a promise did not hold")
	}
	return nil
}

// run prepares the work, has troubles strike for as long as they are to, and finishes the work.
func (s *Soak) run(ctx context.Context, w Work, r *report.Report) (result Result, err error) {
	alive, kill := context.WithCancel(ctx)
	s.alive = alive
	defer func() {
		kill()
		for _, p := range s.Places {
			p.Abandon()
		}
	}()
	if err := w.Prepare(ctx, s); err != nil {
		return nil, err
	}
	steps := r.Steps(fmt.Sprintf("soak of %s, seed %d", s.what, s.options.Seed), int(s.options.For.Seconds())+1)
	defer steps.End()
	if err = errors.Join(s.strike(ctx, w, steps), ctx.Err()); err == nil {
		err = s.Storm.Cluster.AwaitReady(ctx)
	}
	if err == nil {
		result, err = w.Finish(ctx)
	}
	return result, errors.Join(err, s.Storm.Write(s.Dir))
}

// strike has troubles strike while the work goes on.
func (s *Soak) strike(ctx context.Context, w Work, steps *bar.Bar) error {
	until, end := context.WithTimeout(ctx, s.options.For)
	defer end()
	g, until := errgroup.WithContext(until)
	for i, p := range s.Places {
		g.Go(func() error { return s.Storm.StrikeProcess(until, p, s.options.Rand(uint64(i+1))) })
	}
	g.Go(func() error { return s.Storm.Watch(until) })
	if !s.options.Spare {
		g.Go(func() error { return s.Storm.StrikeServers(until, s.options.Rand(0)) })
	}
	g.Go(func() error { return w.Drive(until) })
	g.Go(func() error {
		began := time.Now()
		for measure.Pause(until, time.Second) == nil {
			passed := min(int(time.Since(began).Seconds()), int(s.options.For.Seconds()))
			steps.Reach(passed, fmt.Sprintf("troubles, seed %d", s.options.Seed))
		}
		return nil
	})
	return g.Wait()
}

// Start starts the processes, and returns when all of them answer. Their names begin with name; args are those of Place.
func (s *Soak) Start(ctx context.Context, name string, args func(run, notes string) []string) error {
	nodes := s.Storm.Cluster.Nodes()
	url := "redis://" + nodes[0].Addr() + "?addr=" + nodes[1].Addr()
	for i := range s.options.Processes {
		s.Places = append(s.Places, &Place{Alive: s.alive, Trouble: s.Storm.ServersIn, Name: fmt.Sprint(name, "-", i+1), Dir: s.Dir,
			URL: url, Session: s.options.SessionTTL, Args: args})
	}
	g, _ := errgroup.WithContext(ctx)
	for _, p := range s.Places {
		g.Go(p.Start)
	}
	return g.Wait()
}

// Drain drains the processes. Those that do not start or end as they should, and the errors that they have logged, are in the outcome then.
func (s *Soak) Drain() error {
	for _, p := range s.Places {
		p.Judge(journal.Monotonic(), errors.Join(p.Look(), p.Drain()))
		s.Outcome.BadEnds = append(s.Outcome.BadEnds, p.BadEnds...)
		s.Outcome.Excused += p.Excused
		logged, err := p.Errors()
		if s.Outcome.Errors = append(s.Outcome.Errors, logged...); err != nil {
			return err
		}
	}
	return nil
}

// Troubles returns the troubles that struck, and what processes found by themselves. They are counted in the outcome then.
func (s *Soak) Troubles(itself []Struck) []Struck {
	all := Besides(itself, s.Storm.Struck())
	for _, t := range all {
		s.Outcome.Struck[t.Name]++
	}
	return all
}
