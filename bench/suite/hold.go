package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

// service is the name under which everything is measured.
const service = "bench"

// prefix is what the names of streams begin with; a number follows.
const prefix = "user-"

// Goals of hold.
const (
	goalGoroutines = 50
	goalHeap       = 600 // bytes a stream, at goalHeapAt
	goalHeapAt     = 100_000
	goalCommands   = 30 // a second, with default TTLs at goalCommandsAt
	goalCommandsAt = 10_000
)

// HoldOptions say what is held, and for how long.
type HoldOptions struct {
	Streams  []int
	LeaseTTL time.Duration
	For      time.Duration
}

// Held is what holding so many streams cost.
type Held struct {
	Streams       int
	LeaseTTL      time.Duration
	Measured      time.Duration
	Goroutines    int     // of the library
	Peak          int     // likewise, while streams were being taken
	HeapPerStream float64 // bytes
	Renewals      float64 // a second
	Commands      float64 // a second, as sent by clients
	ByName        map[string]float64
	RedisCPU      float64 // share of a core
	ClientCPU     float64 // share of a core
	LatenessP50   time.Duration
	LatenessP99   time.Duration
	LatenessMax   time.Duration
	Lost          int
}

// Hold measures each size with a server and a process of its own.
func Hold(ctx context.Context, o HoldOptions, r *Report) error {
	var all []Held
	for _, n := range o.Streams {
		held, err := holdOne(ctx, n, o)
		if err != nil {
			return fmt.Errorf("holding %d streams: %w", n, err)
		}
		all = append(all, held)
	}
	if err := r.Write(all, func(out io.Writer) { writeHeld(out, all) }); err != nil {
		return err
	}
	for _, h := range all {
		if h.Lost > 0 {
			return fmt.Errorf("%d of %d streams were lost", h.Lost, h.Streams)
		}
	}
	return nil
}

func holdOne(ctx context.Context, n int, o HoldOptions) (h Held, err error) {
	server, err := servers.Start(ctx, servers.Options{})
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	client, err := rueidis.NewClient(server.ClientOption())
	if err != nil {
		return h, err
	}
	defer client.Close()

	w, err := startWorker(ctx, WorkerOptions{Addr: server.Addr(), Service: service, LeaseTTL: o.LeaseTTL})
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if _, err = w.ask("look"); err != nil {
		return h, err
	}
	p := producer.Producer{Client: client, Service: service, Prefix: prefix}
	if _, err := p.Announce(ctx, 0, n); err != nil {
		return h, err
	}
	if _, err := w.ask("await %d", n); err != nil {
		return h, err
	}
	// The workers that delivered so many notifications at once go idle after 10 s.
	if err := pause(ctx, min(o.For, 11*time.Second)); err != nil {
		return h, err
	}
	if h, err = window(ctx, server, w, o); err != nil {
		return h, err
	}
	h.Streams = n
	last, err := w.ask("heap")
	if err != nil {
		return h, err
	}
	h.HeapPerStream = float64(last.Heap) / float64(n)
	h.Lost, err = lost(ctx, client, p, last, n)
	return h, err
}

// window measures between two moments.
func window(ctx context.Context, server *servers.Server, w *process, o HoldOptions) (h Held, err error) {
	began := time.Now()
	first, commands1, cpu1, err := moment(ctx, server, w)
	if err != nil {
		return h, err
	}
	if err := pause(ctx, o.For); err != nil {
		return h, err
	}
	took := time.Since(began).Seconds()
	second, commands2, cpu2, err := moment(ctx, server, w)
	if err != nil {
		return h, err
	}
	late, err := second.Lateness.Since(first.Lateness)
	if err != nil {
		return h, err
	}
	sent := commands2.Since(commands1)
	h = Held{
		LeaseTTL:    o.LeaseTTL,
		Measured:    time.Duration(took * float64(time.Second)),
		Goroutines:  second.Goroutines,
		Peak:        second.Peak,
		Renewals:    (second.Renewed - first.Renewed) / took,
		Commands:    float64(sent.Total()) / took,
		ByName:      make(map[string]float64),
		RedisCPU:    (cpu2 - cpu1).Seconds() / took,
		ClientCPU:   (second.CPU - first.CPU).Seconds() / took,
		LatenessP50: late.Quantile(.5),
		LatenessP99: late.Quantile(.99),
		LatenessMax: late.Quantile(1),
	}
	for _, name := range sent.Names() {
		h.ByName[name] = float64(sent[name]) / took
	}
	return h, nil
}

func moment(ctx context.Context, server *servers.Server, w *process) (s snapshot, c measure.Commands, cpu time.Duration, err error) {
	if s, err = w.ask("look"); err != nil {
		return
	}
	if c, err = measure.CommandsSent(ctx, server); err != nil {
		return
	}
	cpu, err = server.CPU()
	return
}

// lost is how many streams the worker was told it lost, or does not hold, or does not hold by the server's account,
// whichever is most.
func lost(ctx context.Context, client rueidis.Client, p producer.Producer, s snapshot, n int) (int, error) {
	layout, err := cluster.NewLayout(service, 1)
	if err != nil {
		return 0, err
	}
	keys := layout.Keys(0)
	const page = 500
	onServer := 0
	for from := 0; from < n; from += page {
		var gets rueidis.Commands
		for i := from; i < min(from+page, n); i++ {
			gets = append(gets, client.B().Getrange().Key(keys.Lease(p.Stream(i))).Start(0).End(int64(len(s.Consumer))).Build())
		}
		for _, result := range client.DoMulti(ctx, gets...) {
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

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func writeHeld(out io.Writer, all []Held) {
	heads := []any{"streams"}
	for _, h := range all {
		heads = append(heads, grouped(h.Streams))
	}
	t := newTable(heads...)
	line := func(what string, cell func(Held) any) {
		cells := []any{what}
		for _, h := range all {
			cells = append(cells, cell(h))
		}
		t.row(cells...)
	}
	line("lease TTL", func(h Held) any { return orDefault(h.LeaseTTL, engine.DefaultLeaseTTL) })
	line("goroutines, holding", func(h Held) any { return h.Goroutines })
	line("goroutines, taking", func(h Held) any { return h.Peak })
	line("heap a stream", func(h Held) any { return fmt.Sprintf("%.0f B", h.HeapPerStream) })
	line("renewals a second", func(h Held) any { return grouped(int(h.Renewals)) })
	line("commands a second", func(h Held) any { return fmt.Sprintf("%.1f", h.Commands) })
	line("Redis CPU", func(h Held) any { return percent(h.RedisCPU) })
	line("client CPU", func(h Held) any { return percent(h.ClientCPU) })
	line("lateness, p50", func(h Held) any { return milliseconds(h.LatenessP50) })
	line("lateness, p99", func(h Held) any { return milliseconds(h.LatenessP99) })
	line("lateness, max", func(h Held) any { return milliseconds(h.LatenessMax) })
	line("leases lost", func(h Held) any { return h.Lost })
	t.write(out)
	fmt.Fprint(out, `
goroutines  the library's, its clients' included; taking: the most that was seen
heap        live bytes after a collection, less those of the same engine holding nothing
commands    as clients send them, not what scripts call:`)
	for _, h := range all {
		fmt.Fprintf(out, "\n            %s streams:", grouped(h.Streams))
		for _, name := range names(h.ByName) {
			fmt.Fprintf(out, " %s %.1f/s", name, h.ByName[name])
		}
	}
	fmt.Fprint(out, `
CPU         share of one core
lateness    from when a renewal was due to when it was sent; a tick of the wheel, 100 ms at most, is part of it;
            upper bounds of buckets that are some 2 % wide
`)
	for _, h := range all {
		goal(out, fmt.Sprintf("%s streams: goroutines", grouped(h.Streams)), float64(max(h.Goroutines, h.Peak)), "at most", goalGoroutines)
		if h.Streams >= goalHeapAt {
			goal(out, fmt.Sprintf("%s streams: heap bytes a stream", grouped(h.Streams)), h.HeapPerStream, "at most", goalHeap)
		}
		if h.Streams == goalCommandsAt && orDefault(h.LeaseTTL, engine.DefaultLeaseTTL) == engine.DefaultLeaseTTL {
			goal(out, fmt.Sprintf("%s streams: commands a second", grouped(h.Streams)), h.Commands, "at most", goalCommands)
		}
		goal(out, fmt.Sprintf("%s streams: leases lost", grouped(h.Streams)), float64(h.Lost), "at most", 0)
	}
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}
