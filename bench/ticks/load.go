package ticks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
)

// Model is a way of firing ticks, with a number of processes.
type Model string

// The models that are compared.
const (
	One   Model = "one process"
	Two   Model = "two processes"
	Locks Model = "tickers and locks" // two processes, too: with one, no lock would be needed
)

var models = []Model{One, Two, Locks}

// processes is how many a model has.
func (m Model) processes() int {
	if m == One {
		return 1
	}
	return 2
}

// Cell is one number of schedules with one interval, on each model.
type Cell struct {
	Schedules int
	Every     time.Duration
	Rounds    []map[Model]Cost
}

// Cost is what it took to fire ticks.
type Cost struct {
	Ticks        float64       // a second
	Commands     float64       // a second, from clients
	Redis        float64       // share of a core
	Client       float64       // share of a core, of all processes together
	P50          time.Duration // from when a tick was due to its handler
	P99          time.Duration
	P999         time.Duration
	Max          time.Duration
	ServerMemory float64         // bytes a schedule
	Memory       float64         // bytes a schedule of live heap and stacks, of all processes together
	Goroutines   int             // of one process, at most
	Machine      float64         // share of all cores of this machine that all programs used
	Noise        measure.Latency // how late a process that does nothing wakes up meanwhile
}

func (b *bench) loads(ctx context.Context) error {
	for _, n := range b.o.Schedules {
		for _, every := range b.o.Every {
			c := Cell{Schedules: n, Every: every}
			for round := range b.o.Rounds {
				turns := slices.Clone(models)
				if round%2 == 1 {
					slices.Reverse(turns)
				}
				costs := make(map[Model]Cost)
				for _, m := range turns {
					cost, err := b.cost(ctx, m, n, every)
					if err != nil {
						return fmt.Errorf("%s, %s every %v: %w", m, report.Grouped(n), every, err)
					}
					costs[m] = cost
					b.steps.Done()
				}
				c.Rounds = append(c.Rounds, costs)
			}
			b.result.Cells = append(b.result.Cells, c)
		}
	}
	return nil
}

// ebb is how long the effects of taking schedules take to pass: goroutines that delivered them end after 10 s without work.
const ebb = 11 * time.Second

// cost has a model fire ticks.
func (b *bench) cost(ctx context.Context, m Model, schedules int, every time.Duration) (c Cost, err error) {
	o := ticker.Options{Model: ticker.Owned, Schedules: schedules, SessionTTL: b.o.SessionTTL}
	if m == Locks {
		o.Model, o.Every = ticker.Locked, every
	}
	s, err := stage(ctx, b.o.URL, o, b.report)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for range m.processes() {
		if err := s.start(ctx); err != nil {
			return c, err
		}
	}
	if m != Locks {
		for _, p := range s.living() {
			if _, err := p.Ask("idle"); err != nil {
				return c, err
			}
		}
		if err := s.put(ctx, every); err != nil {
			return c, err
		}
		if err := s.owned(ctx); err != nil {
			return c, err
		}
	}
	if err := measure.Pause(ctx, min(b.o.For, ebb)); err != nil {
		return c, err
	}
	ends, err := s.profiled(b.o.Profiles, fmt.Sprintf("%s-%d-%v", strings.ReplaceAll(string(m), " ", "-"), schedules, every))
	if err != nil {
		return c, err
	}
	c, err = s.measure(ctx, b.o.For)
	return c, errors.Join(err, ends())
}

// instant is the state of all processes at one moment.
type instant struct {
	at     time.Time
	ticks  int64
	client time.Duration
	late   []measure.Histogram
	server measure.Usage
	cores  measure.Cores
}

func (s *scene) look(ctx context.Context) (i instant, err error) {
	for _, p := range s.living() {
		a, err := p.Ask("look")
		if err != nil {
			return i, err
		}
		i.ticks += a.Ticks
		i.client += a.CPU
		i.late = append(i.late, a.Late)
	}
	i.at = time.Now()
	if i.server, err = measure.ReadUsage(ctx, s.target.Client); err != nil {
		return i, err
	}
	i.cores, err = measure.ReadCores()
	return i, err
}

// measure measures processes at work for a time of d.
func (s *scene) measure(ctx context.Context, d time.Duration) (c Cost, err error) {
	before, err := s.look(ctx)
	if err != nil {
		return c, err
	}
	noise, err := wakes(ctx, d)
	if err != nil {
		return c, err
	}
	after, err := s.look(ctx)
	if err != nil {
		return c, err
	}
	took := after.at.Sub(before.at).Seconds()
	used := after.server.Since(before.server)
	sent := measure.SentByEngine()
	if s.options.Model == ticker.Locked {
		sent = append(slices.Clone(sent), "set")
	}
	c = Cost{
		Ticks: float64(after.ticks-before.ticks) / took, Commands: float64(used.Sent(sent...).Total()) / took, Redis: used.CPU.Seconds() / took,
		Client: (after.client - before.client).Seconds() / took, Machine: after.cores.Since(before.cores), Noise: noise,
		ServerMemory: float64(after.server.Memory-s.idle.Memory) / float64(s.options.Schedules),
	}
	var late measure.Histogram
	for i := range after.late {
		h, err := after.late[i].Since(before.late[i])
		if err != nil {
			return c, err
		}
		late = sum(late, h)
	}
	c.P50, c.P99, c.P999, c.Max = late.Quantile(.5), late.Quantile(.99), late.Quantile(.999), late.Quantile(1)
	for _, p := range s.living() {
		a, err := p.Ask("memory")
		if err != nil {
			return c, err
		}
		c.Memory += float64(a.Memory) / float64(s.options.Schedules)
		c.Goroutines = max(c.Goroutines, a.Goroutines)
	}
	return c, nil
}

// sum adds up histograms, of which the zero value has nothing.
func sum(a, b measure.Histogram) measure.Histogram {
	if a.Buckets == nil {
		return b
	}
	for i, n := range b.Buckets {
		a.Buckets[i] += n
	}
	a.Zero += b.Zero
	return a
}

// wakeStep is how long a process sleeps that looks how late it wakes up.
const wakeStep = 10 * time.Millisecond

// wakes sleeps for short times, for d in all, and returns how late it woke up: that much of the lateness of ticks is the machine's.
func wakes(ctx context.Context, d time.Duration) (measure.Latency, error) {
	var r measure.Recorder
	for end := time.Now().Add(d); time.Now().Before(end); {
		began := time.Now()
		if err := measure.Pause(ctx, wakeStep); err != nil {
			return measure.Latency{}, err
		}
		r.Observe(time.Since(began) - wakeStep)
	}
	return measure.LatencyOf(r.Read()), nil
}

// profiled begins a profile of the first process, if profiles are asked for. The function that it returns ends it.
func (s *scene) profiled(folder, name string) (ends func() error, err error) {
	if folder == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("-profiles: %w", err)
	}
	p := s.living()[0]
	if _, err := p.Ask("profile %s", filepath.Join(folder, name+".pprof")); err != nil {
		return nil, fmt.Errorf("-profiles: %w", err)
	}
	return func() error {
		_, err := p.Ask("profile")
		return err
	}, nil
}

// middle is the median over the rounds of a figure of a model.
func middle[T float64 | time.Duration](c Cell, m Model, of func(Cost) T) T {
	var all []T
	for _, r := range c.Rounds {
		if cost, ok := r[m]; ok {
			all = append(all, of(cost))
		}
	}
	return measure.Median(all)
}

// times is the median over the rounds of how many times a figure of one model is that of another; 0 if there is none.
func (c Cell) times(m, than Model, of func(Cost) float64) float64 {
	var all []float64
	for _, r := range c.Rounds {
		if against := of(r[than]); against > 0 {
			all = append(all, of(r[m])/against)
		}
	}
	return measure.Median(all)
}

func (c Cell) name() string {
	return fmt.Sprintf("%s schedules, every %v", report.Grouped(c.Schedules), c.Every)
}
