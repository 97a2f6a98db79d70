package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// sustained is the share of a rate that has to be done, or the rate was too much.
	sustained = 0.95
	// busy is the share of a processor, or of the time of handlers, from which it counts as the limit.
	busy = 0.9
)

// ChurnOptions say how fast streams come and go.
type ChurnOptions struct {
	URL     string // of the Redis; empty: a private server
	Rates   []int  // streams a second, rising; the first that is too much is the last one measured
	For     time.Duration
	Workers int // handlers at a time; 0: the default
}

// Churned is the result of announcing streams that are owned and done at once.
type Churned struct {
	Workers int
	Steps   []ChurnStep
	Limit   string // what limited the last step; empty: nothing
}

// ChurnStep is the result of one rate.
type ChurnStep struct {
	Rate        int             // announcements a second that were due
	Announced   float64         // a second
	Done        float64         // a second
	Own         measure.Latency // from when an announcement was due until its handler was called
	End         measure.Latency // likewise, until Done had returned
	RedisCPU    float64         // share of a core
	ConsumerCPU float64
	ProducerCPU float64
	Machine     float64       // share of all cores of this machine, by all programs
	Handlers    float64       // share of their time in which they waited for a Done
	Scripts     float64       // a stream
	Redis       time.Duration // of executing commands on the server, a stream
}

func (s ChurnStep) sustained() bool { return s.Done >= sustained*float64(s.Rate) }

// Churn raises the rate until it is too much. This process announces, another one owns.
func Churn(ctx context.Context, o ChurnOptions, r *report.Report) (err error) {
	s, err := target.Open(ctx, o.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.Redis = s.Version
	p, err := s.Announce(ctx, "churn", 0)
	if err != nil {
		return err
	}
	w, err := pod.StartWorker(ctx, pod.WorkerOptions{URL: s.URL, Service: p.Service, Workers: o.Workers, Churn: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	if _, err = w.Ask("look"); err != nil {
		return err
	}
	result := Churned{Workers: cmp.Or(o.Workers, engine.DefaultWorkers)}
	mill := &churner{producer: p, worker: w, workers: result.Workers}
	steps := r.Steps("churn", len(o.Rates))
	defer steps.End()
	for _, rate := range o.Rates {
		step, err := mill.step(ctx, rate, o.For)
		if err != nil {
			return fmt.Errorf("%d streams a second: %w", rate, err)
		}
		result.Steps = append(result.Steps, step)
		steps.Done()
		if !step.sustained() {
			result.Limit = step.limit()
			break
		}
	}
	steps.End()
	if err := failOnLeft(ctx, p); err != nil {
		return err
	}
	return r.Write(result, func(out io.Writer) { writeChurned(out, result) }, result.plots()...)
}

// churner is a producer here and a consumer in another process.
type churner struct {
	worker    *pod.Process
	producer  producer.Producer
	workers   int
	announced int
}

// reading is the state of everything at one moment.
type reading struct {
	at       time.Time
	worker   pod.Snapshot
	redis    measure.Usage
	producer time.Duration
	cores    measure.Cores
}

func (m *churner) look(ctx context.Context) (t reading, err error) {
	t.at = time.Now()
	if t.worker, err = m.worker.Ask("look"); err != nil {
		return t, err
	}
	if t.redis, err = measure.ReadUsage(ctx, m.producer.Client); err != nil {
		return t, err
	}
	if t.producer, err = measure.CPU(); err != nil {
		return t, err
	}
	t.cores, err = measure.ReadCores()
	return t, err
}

// step announces at a rate for a time of d, and then waits until all is done.
func (m *churner) step(ctx context.Context, rate int, d time.Duration) (s ChurnStep, err error) {
	before, err := m.look(ctx)
	if err != nil {
		return s, err
	}
	n, err := m.announce(ctx, rate, d)
	if err != nil {
		return s, err
	}
	after, err := m.look(ctx)
	if err != nil {
		return s, err
	}
	last, err := m.worker.Ask("done %d", m.announced)
	if err != nil {
		return s, err
	}
	if last.Churn.Failed > 0 || last.Disowned > 0 {
		return s, fmt.Errorf("%d calls of Done failed, %d streams were lost", last.Churn.Failed, last.Disowned)
	}
	took := after.at.Sub(before.at).Seconds()
	used := after.redis.Since(before.redis)
	ran := time.Duration(0)
	for _, name := range []string{"evalsha", "eval", "xreadgroup", "xadd"} { // no script here calls the last two
		ran += used.Ran[name]
	}
	done := float64(after.worker.Churn.Done - before.worker.Churn.Done)
	s = ChurnStep{
		Rate: rate, Announced: float64(n) / took, Done: done / took,
		RedisCPU:    used.CPU.Seconds() / took,
		ConsumerCPU: (after.worker.CPU - before.worker.CPU).Seconds() / took,
		ProducerCPU: (after.producer - before.producer).Seconds() / took,
		Machine:     after.cores.Since(before.cores),
		Handlers:    (after.worker.Churn.Waited - before.worker.Churn.Waited).Seconds() / took / float64(m.workers),
		Scripts:     float64(used.Calls.Scripts()) / done,
		Redis:       time.Duration(float64(ran) / done),
	}
	// The late ones matter most, so those that were done after the time count here.
	own, err := last.Churn.Own.Since(before.worker.Churn.Own)
	if err != nil {
		return s, err
	}
	end, err := last.Churn.End.Since(before.worker.Churn.End)
	s.Own, s.End = measure.LatencyOf(own), measure.LatencyOf(end)
	return s, err
}

// announce makes the announcements that are due at each moment, and returns how many it made. Each carries the time at which it was due,
// so that a producer that falls behind does not hide latency. It gives up after twice the time.
func (m *churner) announce(ctx context.Context, rate int, d time.Duration) (n int, err error) {
	began, first := journal.Monotonic(), m.announced
	at := func(i int) time.Duration {
		return began + time.Duration(float64(i-first)/float64(rate)*float64(time.Second))
	}
	m.producer.Info = func(i int) string { return `{"At":` + strconv.FormatInt(int64(at(i)), 10) + `}` }
	total := int(float64(rate) * d.Seconds())
	for n < total {
		now := journal.Monotonic() - began
		if now > 2*d {
			break
		}
		upTo := min(total, int(float64(rate)*now.Seconds())+1)
		if upTo == n {
			if err := measure.Pause(ctx, time.Millisecond); err != nil {
				return n, err
			}
			continue
		}
		if _, err := m.producer.Announce(ctx, first+n, first+upTo); err != nil {
			return n, err
		}
		n = upTo
		m.announced = first + n
	}
	return n, nil
}

// limit is what limited a step that was too much.
func (s ChurnStep) limit() string {
	ours := s.RedisCPU + s.ConsumerCPU + s.ProducerCPU
	switch {
	case s.RedisCPU >= busy:
		return fmt.Sprintf("Redis: its one core is busy, %s", report.Percent(s.RedisCPU))
	case s.Machine >= busy:
		return fmt.Sprintf("this machine: its %d cores are busy, of which Redis, consumer and producer use %s of one; other programs use the rest",
			runtime.NumCPU(), report.Percent(ours))
	case s.Handlers >= busy:
		return "the handlers: all of them wait for their Done all the time, so more of them would do more (-workers)"
	case s.Announced < sustained*float64(s.Rate) && s.Done >= sustained*s.Announced:
		return "the producer here, which could not announce that fast"
	}
	return "neither Redis nor a processor nor the handlers, but what is between them"
}

func writeChurned(out io.Writer, r Churned) {
	best := ChurnStep{}
	for _, s := range r.Steps {
		if s.Done > best.Done {
			best = s
		}
	}
	t := report.NewColumns("streams/s, asked for", r.Steps, func(s ChurnStep) any { return report.Grouped(s.Rate) })
	t.Line("announced", func(s ChurnStep) any { return report.Grouped(s.Announced) })
	t.Line("owned and done", func(s ChurnStep) any { return report.Grouped(s.Done) })
	t.Line("until owned, p50", func(s ChurnStep) any { return report.Milliseconds(s.Own.P50) })
	t.Line("until owned, p99", func(s ChurnStep) any { return report.Milliseconds(s.Own.P99) })
	t.Line("until owned, max", func(s ChurnStep) any { return report.Milliseconds(s.Own.Max) })
	t.Line("until done, p50", func(s ChurnStep) any { return report.Milliseconds(s.End.P50) })
	t.Line("until done, p99", func(s ChurnStep) any { return report.Milliseconds(s.End.P99) })
	t.Line("until done, max", func(s ChurnStep) any { return report.Milliseconds(s.End.Max) })
	t.Line("Redis CPU", func(s ChurnStep) any { return report.Percent(s.RedisCPU) })
	t.Line("consumer CPU", func(s ChurnStep) any { return report.Percent(s.ConsumerCPU) })
	t.Line("producer CPU", func(s ChurnStep) any { return report.Percent(s.ProducerCPU) })
	t.Line("all cores", func(s ChurnStep) any { return report.Percent(s.Machine) })
	t.Line("handlers", func(s ChurnStep) any { return report.Percent(s.Handlers) })
	t.Line("scripts a stream", func(s ChurnStep) any { return fmt.Sprintf("%.3f", s.Scripts) })
	t.Line("Redis time a stream", func(s ChurnStep) any { return fmt.Sprintf("%.1f µs", micros(s.Redis)) })
	t.Write(out)
	fmt.Fprintf(out, `
until owned, done  from when an announcement was due until its handler was called, and until its Done had returned
CPU                share of one core; the producer announces by XADD; all cores: share that all programs used
handlers           share of their time in which they waited for their Done; %d at a time
scripts            those that the consumer runs
Redis time         of executing commands, announcements included, without reading requests and writing answers
`, r.Workers)
	if best.Redis > 0 {
		raw := float64(time.Second) / float64(best.Redis)
		fmt.Fprintf(out, "\nMost that was done: %s a second. A core that only executed the same could do %s: this is %s of that.\n",
			report.Grouped(best.Done), report.Grouped(raw), report.Percent(best.Done/raw))
	}
	if r.Limit == "" {
		fmt.Fprintln(out, "None of these rates was too much.")
	} else {
		fmt.Fprintf(out, "The last rate was too much. The limit is %s.\n", r.Limit)
	}
}
