package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/journal"
)

// Goals of hold.
const (
	goalGoroutines = 50
	goalHeap       = 600 // bytes a stream, at goalHeapAt
	goalHeapAt     = 100_000
	goalCommands   = 30 // a second, with default TTLs, at goalCommandsAt
	goalCommandsAt = 10_000
)

// HoldOptions say what is held, and for how long.
type HoldOptions struct {
	URL        string // of the Redis; empty: a private one for every size
	Streams    []int
	LeaseTTL   time.Duration // 0: the default, as for the following fields
	SessionTTL time.Duration
	Partitions int
	MaxBatch   int
	Tick       time.Duration
	For        time.Duration // how long each size is measured
}

// Held is what holding that many streams costs.
type Held struct {
	Streams        int
	LeaseTTL       time.Duration
	Measured       time.Duration
	Goroutines     int     // of the library and its clients
	Peak           int     // likewise, while streams were being taken
	HeapPerStream  float64 // bytes
	Announced      float64 // bytes of Redis for a stream that is announced and waits
	RedisPerStream float64 // bytes of Redis for a stream that is held: its announcement, who it is pending for, and its lease
	Renewals       float64 // a second
	Commands       float64 // a second, as sent by clients
	ByName         map[string]float64
	Scripts        float64 // of these
	BytesIn        float64 // a second, as Redis counts them
	BytesOut       float64
	RedisCPU       float64         // share of a core
	ClientCPU      float64         // share of a core
	RSS            int64           // bytes of the process
	IdleRSS        int64           // bytes of the process, holding nothing
	Taken          float64         // streams a second, announcing included
	TakingCPU      float64         // seconds of Redis for each stream, from before its announcement until it was held
	Notified       measure.Latency // from one announcement until its handler was called
	LatenessP50    time.Duration
	LatenessP99    time.Duration
	LatenessMax    time.Duration
	Lost           int
}

// Hold measures each size with a server and a process of its own.
func Hold(ctx context.Context, o HoldOptions, r *report.Report) error {
	all, err := holdAll(ctx, o, r)
	if err != nil {
		return err
	}
	if err := r.Write(all, func(out io.Writer) { writeHeld(out, all) }, plotHeld(all)...); err != nil {
		return err
	}
	return failOnLost(all)
}

func failOnLost(all []Held) error {
	for _, h := range all {
		if h.Lost > 0 {
			return fmt.Errorf("%d of %d streams were lost", h.Lost, h.Streams)
		}
	}
	return nil
}

func holdAll(ctx context.Context, o HoldOptions, r *report.Report) (all []Held, err error) {
	steps := r.Steps("hold", len(o.Streams))
	defer steps.End()
	for _, n := range o.Streams {
		held, err := holdOne(ctx, n, o, r)
		if err != nil {
			return nil, fmt.Errorf("holding %d streams: %w", n, err)
		}
		all = append(all, held)
		steps.Done()
	}
	return all, nil
}

func holdOne(ctx context.Context, n int, o HoldOptions, r *report.Report) (h Held, err error) {
	s, err := target.Open(ctx, o.URL)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.Redis = s.Version
	s.Partitions = max(o.Partitions, 1)

	announced, err := waiting(ctx, s, n)
	if err != nil {
		return h, err
	}
	w, err := pod.StartWorker(ctx, pod.WorkerOptions{
		URL: s.URL, Service: s.Producer("hold").Service, Partitions: o.Partitions,
		LeaseTTL: o.LeaseTTL, SessionTTL: o.SessionTTL, MaxBatch: o.MaxBatch, Tick: o.Tick, Timed: true,
	})
	if err != nil {
		return h, err
	}
	killed := false
	defer func() {
		if !killed {
			err = errors.Join(err, w.Stop())
		}
	}()
	idle, before, err := moment(ctx, s, w)
	if err != nil {
		return h, err
	}
	began := time.Now()
	p, err := s.Announce(ctx, "hold", n)
	if err != nil {
		return h, err
	}
	if _, err := w.Ask("await %d", n); err != nil {
		return h, err
	}
	took := time.Since(began)
	_, taken, err := moment(ctx, s, w)
	if err != nil {
		return h, err
	}
	// The goroutines that delivered so many notifications at once end after 10 s without work.
	if err := measure.Pause(ctx, min(o.For, 11*time.Second)); err != nil {
		return h, err
	}
	if h, err = window(ctx, s, w, o); err != nil {
		return h, err
	}
	h.Streams, h.IdleRSS, h.Announced = n, idle.RSS, announced
	h.Taken, h.TakingCPU = float64(n)/took.Seconds(), taken.Since(before).CPU.Seconds()/float64(n)
	last, err := w.Ask("heap")
	if err != nil {
		return h, err
	}
	h.HeapPerStream = float64(last.Heap) / float64(n)
	if h.Lost, err = lost(ctx, s, p, last, n); err != nil {
		return h, err
	}
	if h.Notified, err = notified(ctx, s, w, p, n); err != nil {
		return h, err
	}
	killed = true // so that it neither hands anything back nor goes on
	if err := w.Kill(); err != nil {
		return h, err
	}
	h.RedisPerStream, err = freed(ctx, s, n+notifiedMore)
	return h, err
}

// waiting measures the memory of Redis for announced streams of which nobody becomes the owner, and deletes them.
func waiting(ctx context.Context, s *target.Target, n int) (float64, error) {
	p, err := s.Announce(ctx, "waiting", n)
	if err != nil {
		return 0, err
	}
	layout, err := cluster.NewLayout(p.Service, s.Partitions)
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	for part := range s.Partitions {
		input := layout.Keys(part).Input
		size, err := s.Client.Do(ctx, s.Client.B().MemoryUsage().Key(input).Samples(0).Build()).AsInt64()
		if err != nil && !rueidis.IsRedisNil(err) {
			return 0, err
		}
		sum += size
	}
	return float64(sum) / float64(n), s.Clear(ctx)
}

// freed deletes all that was announced and what became of it, and returns how many bytes of Redis that frees for each of n streams. What a
// server needs besides, as for the scripts that it keeps, is not among them.
func freed(ctx context.Context, s *target.Target, n int) (bytes float64, err error) {
	full, err := measure.ReadUsage(ctx, s.Client)
	if err != nil {
		return 0, err
	}
	if err := s.Clear(ctx); err != nil {
		return 0, err
	}
	if s.Private == nil { // where large keys are freed in the background
		if err := measure.Pause(ctx, 300*time.Millisecond); err != nil {
			return 0, err
		}
	}
	empty, err := measure.ReadUsage(ctx, s.Client)
	return float64(full.Since(empty).Memory) / float64(n), err
}

// notifiedMore is the number of announcements that notified makes.
const notifiedMore = 200

// notified measures how long announcements take to reach their handler, one at a time, in a process that already holds n streams.
func notified(ctx context.Context, s *target.Target, w *pod.Process, p producer.Producer, n int) (measure.Latency, error) {
	const more, apart = notifiedMore, 5 * time.Millisecond
	s.Track("hold", n+more)
	p.Info = func(int) string { return fmt.Sprintf(`{"At":%d}`, journal.Monotonic()) }
	for i := range more {
		if _, err := p.Announce(ctx, n+i, n+i+1); err != nil {
			return measure.Latency{}, err
		}
		if err := measure.Pause(ctx, apart); err != nil {
			return measure.Latency{}, err
		}
	}
	last, err := w.Ask("await %d", n+more)
	if err != nil {
		return measure.Latency{}, err
	}
	for last.Churn.Own.Count() < more { // held, and not passed to the handler yet
		if last, err = w.Ask("look"); err != nil {
			return measure.Latency{}, err
		}
	}
	return measure.LatencyOf(last.Churn.Own), nil
}

// window measures between two moments.
func window(ctx context.Context, s *target.Target, w *pod.Process, o HoldOptions) (h Held, err error) {
	began := time.Now()
	first, before, err := moment(ctx, s, w)
	if err != nil {
		return h, err
	}
	if err := measure.Pause(ctx, o.For); err != nil {
		return h, err
	}
	took := time.Since(began).Seconds()
	second, after, err := moment(ctx, s, w)
	if err != nil {
		return h, err
	}
	late, err := second.Lateness.Since(first.Lateness)
	if err != nil {
		return h, err
	}
	used := after.Since(before)
	sent := used.Sent(measure.SentByEngine()...)
	h = Held{
		LeaseTTL:    o.LeaseTTL,
		Measured:    time.Duration(took * float64(time.Second)),
		Goroutines:  second.Goroutines,
		Peak:        second.Peak,
		Renewals:    (second.Renewed - first.Renewed) / took,
		Commands:    float64(sent.Total()) / took,
		Scripts:     float64(sent.Scripts()) / took,
		ByName:      make(map[string]float64),
		BytesIn:     float64(used.BytesIn) / took,
		BytesOut:    float64(used.BytesOut) / took,
		RedisCPU:    used.CPU.Seconds() / took,
		ClientCPU:   (second.CPU - first.CPU).Seconds() / took,
		RSS:         second.RSS,
		LatenessP50: late.Quantile(.5),
		LatenessP99: late.Quantile(.99),
		LatenessMax: late.Quantile(1),
	}
	for _, name := range sent.Names() {
		h.ByName[name] = float64(sent[name]) / took
	}
	return h, nil
}

func moment(ctx context.Context, s *target.Target, w *pod.Process) (now pod.Snapshot, u measure.Usage, err error) {
	if now, err = w.Ask("look"); err != nil {
		return
	}
	u, err = measure.ReadUsage(ctx, s.Client)
	return
}

// lost is how many streams the worker was notified of having lost, does not hold, or does not hold according to the server, whichever is
// most.
func lost(ctx context.Context, at *target.Target, p producer.Producer, s pod.Snapshot, n int) (int, error) {
	layout, err := cluster.NewLayout(p.Service, at.Partitions)
	if err != nil {
		return 0, err
	}
	const page = 500
	onServer := 0
	for from := 0; from < n; from += page {
		var gets rueidis.Commands
		for i := from; i < min(from+page, n); i++ {
			stream := p.Stream(i)
			gets = append(gets, at.Client.B().Getrange().Key(layout.Keys(layout.Of(stream)).Lease(stream)).Start(0).End(int64(len(s.Consumer))).Build())
		}
		for _, result := range at.Client.DoMulti(ctx, gets...) {
			owner, err := result.ToString()
			if err != nil {
				return 0, err
			}
			if owner == s.Consumer+" " {
				onServer++
			}
		}
	}
	return max(int(s.Disowned), n-s.Held, n-onServer), nil
}

func writeHeld(out io.Writer, all []Held) {
	t := report.NewColumns("streams", all, func(h Held) any { return report.Grouped(h.Streams) })
	t.Line("lease TTL", func(h Held) any { return cmp.Or(h.LeaseTTL, engine.DefaultLeaseTTL) })
	t.Line("goroutines, holding", func(h Held) any { return h.Goroutines })
	t.Line("goroutines, taking", func(h Held) any { return h.Peak })
	t.Line("RSS of the process", func(h Held) any { return report.Mebibytes(float64(h.RSS)) })
	t.Line("heap a stream", func(h Held) any { return fmt.Sprintf("%.0f B", h.HeapPerStream) })
	t.Line("Redis, a stream announced", func(h Held) any { return fmt.Sprintf("%.0f B", h.Announced) })
	t.Line("Redis, a stream held", func(h Held) any { return fmt.Sprintf("%.0f B", h.RedisPerStream) })
	t.Line("renewals a second", func(h Held) any { return report.Grouped(h.Renewals) })
	t.Line("commands a second", func(h Held) any { return fmt.Sprintf("%.1f", h.Commands) })
	t.Line("bytes a second, to Redis", func(h Held) any { return report.Grouped(h.BytesIn) })
	t.Line("bytes a second, from it", func(h Held) any { return report.Grouped(h.BytesOut) })
	t.Line("Redis CPU", func(h Held) any { return report.Percent(h.RedisCPU) })
	t.Line("client CPU", func(h Held) any { return report.Percent(h.ClientCPU) })
	t.Line("lateness, p50", func(h Held) any { return report.Milliseconds(h.LatenessP50) })
	t.Line("lateness, p99", func(h Held) any { return report.Milliseconds(h.LatenessP99) })
	t.Line("lateness, max", func(h Held) any { return report.Milliseconds(h.LatenessMax) })
	t.Line("taken a second", func(h Held) any { return report.Grouped(h.Taken) })
	t.Line("notified after, p50", func(h Held) any { return report.Milliseconds(h.Notified.P50) })
	t.Line("notified after, p99", func(h Held) any { return report.Milliseconds(h.Notified.P99) })
	t.Line("leases lost", func(h Held) any { return h.Lost })
	t.Write(out)
	fmt.Fprint(out, `
goroutines  those of the library and its clients; taking: the most that was seen
heap        live bytes after a collection, less those of the same engine holding nothing
Redis       memory for a stream: announced, before anybody reads it; held, with its announcement, its pending entry and its lease
commands    as clients send them, without what scripts call:`)
	for _, h := range all {
		fmt.Fprintf(out, "\n            %s streams:", report.Grouped(h.Streams))
		for _, name := range report.SortedKeys(h.ByName) {
			fmt.Fprintf(out, " %s %.1f/s", name, h.ByName[name])
		}
	}
	fmt.Fprint(out, `
CPU         share of one core
lateness    from when a renewal was due to when it was sent; a tick of the wheel, 100 ms at most, is part of it;
            upper bounds of buckets that are some 2 % wide
taken       announced all at once to a running process
notified    from one announcement until its handler is called, while all the others are held
`)
	for _, h := range all {
		report.Goal(out, fmt.Sprintf("%s streams: goroutines", report.Grouped(h.Streams)), float64(max(h.Goroutines, h.Peak)), "at most", goalGoroutines)
		if h.Streams >= goalHeapAt {
			report.Goal(out, fmt.Sprintf("%s streams: heap bytes a stream", report.Grouped(h.Streams)), h.HeapPerStream, "at most", goalHeap)
		}
		if h.Streams == goalCommandsAt && cmp.Or(h.LeaseTTL, engine.DefaultLeaseTTL) == engine.DefaultLeaseTTL {
			report.Goal(out, fmt.Sprintf("%s streams: commands a second", report.Grouped(h.Streams)), h.Commands, "at most", goalCommands)
		}
		report.Goal(out, fmt.Sprintf("%s streams: leases lost", report.Grouped(h.Streams)), float64(h.Lost), "at most", 0)
	}
}
