package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/wheel"
)

const (
	// kneeShare is by which factor a renewal may cost more than in the cheapest batch to count as cheap.
	kneeShare = 1.2
	// goalTenant is how much longer another tenant may wait at the defaults than alone on the server.
	goalTenant = 2 * time.Millisecond
	// settleIn is how long streams are held before the measurement.
	settleIn = time.Second
)

// PipelineOptions say what is held, and with which batches and ticks.
type PipelineOptions struct {
	URL      string // of the Redis; empty: private servers
	Streams  int
	LeaseTTL time.Duration // 0: the default
	Batches  []int         // each with the default tick
	Ticks    []time.Duration
	For      time.Duration
}

// Pipelined is the result of one batch size and tick.
type Pipelined struct {
	Batch     int // 0: nobody holds anything
	Tick      time.Duration
	Renewals  float64       // a second
	Scripts   float64       // a second
	Redis     time.Duration // of executing scripts on the server, a renewal
	RedisCPU  float64       // share of a core
	ClientCPU float64
	Machine   float64       // share of all cores of this machine, by all programs
	LateP99   time.Duration // of renewals
	Ping, Get Probed
}

// Pipeline measures what another tenant of the server sees while one process renews. Each batch size and tick has a server and a process
// of its own.
func Pipeline(ctx context.Context, o PipelineOptions, r *report.Report) error {
	all := []Pipelined{{}}
	for _, batch := range with(o.Batches, lease.DefaultMaxBatch) {
		all = append(all, Pipelined{Batch: batch, Tick: wheel.DefaultTick})
	}
	for _, tick := range o.Ticks {
		if tick != wheel.DefaultTick {
			all = append(all, Pipelined{Batch: lease.DefaultMaxBatch, Tick: tick})
		}
	}
	steps := r.Steps("pipeline", len(all))
	defer steps.End()
	for i := range all {
		if err := all[i].measure(ctx, o, r); err != nil {
			return fmt.Errorf("batch %d, tick %v: %w", all[i].Batch, all[i].Tick, err)
		}
		steps.Done()
	}
	steps.End()
	return r.Write(all, func(out io.Writer) { writePipelined(out, o, all) }, plotPipelined(all)...)
}

// with returns the values and one more, sorted and without duplicates.
func with(values []int, value int) []int {
	all := append(slices.Clone(values), value)
	slices.Sort(all)
	return slices.Compact(all)
}

func (p *Pipelined) measure(ctx context.Context, o PipelineOptions, r *report.Report) (err error) {
	s, err := target.Open(ctx, o.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.Redis = s.Version
	if p.Batch == 0 {
		return p.probe(ctx, s, o.For)
	}
	w, err := pod.StartWorker(ctx, pod.WorkerOptions{
		URL: s.URL, Service: s.Producer("pipeline").Service, LeaseTTL: o.LeaseTTL, MaxBatch: p.Batch, Tick: p.Tick,
	})
	if err != nil {
		return err
	}
	// Everything that it holds is deleted with the rest, so it hands nothing back.
	defer func() { err = errors.Join(err, w.Kill()) }()
	if _, err := s.Announce(ctx, "pipeline", o.Streams); err != nil {
		return err
	}
	if _, err := w.Ask("await %d", o.Streams); err != nil {
		return err
	}
	if err := measure.Pause(ctx, settleIn); err != nil {
		return err
	}
	return p.window(ctx, s, w, o.For)
}

// probe measures what another tenant sees, and how busy this machine is meanwhile.
func (p *Pipelined) probe(ctx context.Context, s *target.Target, d time.Duration) error {
	before, err := measure.ReadCores()
	if err != nil {
		return err
	}
	if p.Ping, p.Get, err = probe(ctx, s, d); err != nil {
		return err
	}
	after, err := measure.ReadCores()
	p.Machine = after.Since(before)
	return err
}

// window measures the renewals while the probe runs.
func (p *Pipelined) window(ctx context.Context, s *target.Target, w *pod.Process, d time.Duration) error {
	began := time.Now()
	first, err := w.Ask("look")
	if err != nil {
		return err
	}
	before, err := measure.ReadUsage(ctx, s.Client)
	if err != nil {
		return err
	}
	if err := p.probe(ctx, s, d); err != nil {
		return err
	}
	after, err := measure.ReadUsage(ctx, s.Client)
	if err != nil {
		return err
	}
	last, err := w.Ask("look")
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	if last.Disowned > 0 {
		return fmt.Errorf("%d streams were lost", last.Disowned)
	}
	late, err := last.Lateness.Since(first.Lateness)
	if err != nil {
		return err
	}
	renewed := last.Renewed - first.Renewed
	used := after.Since(before)
	p.Renewals, p.Scripts = renewed/took, float64(used.Calls.Scripts())/took
	if renewed > 0 {
		p.Redis = time.Duration(float64(used.Ran["evalsha"]) / renewed)
	}
	p.RedisCPU, p.ClientCPU = used.CPU.Seconds()/took, (last.CPU-first.CPU).Seconds()/took
	p.LateP99 = late.Quantile(.99)
	return nil
}

func writePipelined(out io.Writer, o PipelineOptions, all []Pipelined) {
	t := report.NewColumns("batch", all, func(p Pipelined) any {
		if p.Batch == 0 {
			return "nobody"
		}
		return p.Batch
	})
	ofWorker := func(figure func(Pipelined) any) func(Pipelined) any {
		return func(p Pipelined) any {
			if p.Batch == 0 {
				return ""
			}
			return figure(p)
		}
	}
	t.Line("tick", ofWorker(func(p Pipelined) any { return p.Tick }))
	t.Line("renewals a second", ofWorker(func(p Pipelined) any { return report.Grouped(p.Renewals) }))
	t.Line("scripts a second", ofWorker(func(p Pipelined) any { return fmt.Sprintf("%.0f", p.Scripts) }))
	t.Line("Redis time a renewal", ofWorker(func(p Pipelined) any { return fmt.Sprintf("%.2f µs", micros(p.Redis)) }))
	t.Line("Redis CPU", ofWorker(func(p Pipelined) any { return report.Percent(p.RedisCPU) }))
	t.Line("client CPU", ofWorker(func(p Pipelined) any { return report.Percent(p.ClientCPU) }))
	t.Line("all cores", func(p Pipelined) any { return report.Percent(p.Machine) })
	t.Line("lateness, p99", ofWorker(func(p Pipelined) any { return report.Milliseconds(p.LateP99) }))
	for _, tenant := range []struct {
		command string
		of      func(Pipelined) Probed
	}{{"PING", func(p Pipelined) Probed { return p.Ping }}, {"GET", func(p Pipelined) Probed { return p.Get }}} {
		t.Line(tenant.command+", p50", func(p Pipelined) any { return report.Milliseconds(tenant.of(p).P50) })
		t.Line(tenant.command+", p99", func(p Pipelined) any { return report.Milliseconds(tenant.of(p).P99) })
		t.Line(tenant.command+", p99.9", func(p Pipelined) any { return report.Milliseconds(tenant.of(p).P999) })
		t.Line(tenant.command+", max", func(p Pipelined) any { return report.Milliseconds(tenant.of(p).Max) })
	}
	t.Write(out)
	fmt.Fprintf(out, `
batch      leases a script, at most; nobody: the same server while nobody holds anything
held       %s streams in one process, lease TTL %v
PING, GET  of another tenant, each a thousand times a second, one at a time on a connection of its own
Redis time of executing scripts, beats included, without reading requests and writing answers
CPU        share of one core, including the other tenant's commands; all cores: share that all programs used, which delays answers, too
`, report.Grouped(o.Streams), cmp.Or(o.LeaseTTL, engine.DefaultLeaseTTL))
	writeKnee(out, all)
}

// writeKnee writes from which size on larger batches save little, and how the defaults compare.
func writeKnee(out io.Writer, all []Pipelined) {
	var usual Pipelined
	var batches []Pipelined // at the default tick
	for _, p := range all {
		if p.Batch > 0 && p.Tick == wheel.DefaultTick {
			batches = append(batches, p)
			if p.Batch == lease.DefaultMaxBatch {
				usual = p
			}
		}
	}
	cheapest := slices.MinFunc(batches, func(a, b Pipelined) int { return int(a.Redis - b.Redis) })
	knee := batches[slices.IndexFunc(batches, func(p Pipelined) bool { return float64(p.Redis) <= kneeShare*float64(cheapest.Redis) })]
	fmt.Fprintf(out, "\nThe cheapest renewals are those in batches of %d; from %d on they cost at most %.0f %% more.\n",
		cheapest.Batch, knee.Batch, 100*(kneeShare-1))
	report.Goal(out, fmt.Sprintf("batch %d, the default: µs of Redis a renewal, where %d costs %.2f", usual.Batch, cheapest.Batch, micros(cheapest.Redis)),
		micros(usual.Redis), "at most", kneeShare*micros(cheapest.Redis))
	report.Goal(out, "the defaults: ms until another tenant's GET is answered, p99", millis(usual.Get.P99), "at most", millis(all[0].Get.P99+goalTenant))
}

func micros(d time.Duration) float64 { return d.Seconds() * 1e6 }
func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }
