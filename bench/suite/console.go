package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/scan/console"
)

// goalWatched is how much of a core of Redis viewers of the operators' page may take together.
const goalWatched = 0.01

// ConsoleOptions say what is watched.
type ConsoleOptions struct {
	URL        string // of the Redis; empty: a private one for each number of partitions
	Streams    int    // owned by one process
	Partitions []int
	Viewers    int           // of the overview and of the fleet by turns
	For        time.Duration // how long it is measured with nobody, and how long with them
}

// Watched is what viewers of the operators' page cost, over what the fleet costs when nobody watches.
type Watched struct {
	Streams, Partitions, Viewers int

	Idle     float64 // share of a core of Redis when nobody watches
	CPU      float64 // share of a core on top of it
	Commands float64 // a second on top, those that scripts call included
	Scripts  float64 // of these
	Sent     float64 // bytes a second to each viewer
}

// Console measures each number of partitions with a fleet of its own.
func Console(ctx context.Context, o ConsoleOptions, r *report.Report) error {
	var all []Watched
	steps := r.Steps("console", len(o.Partitions))
	defer steps.End()
	for _, partitions := range o.Partitions {
		w, err := watched(ctx, partitions, o, r)
		if err != nil {
			return fmt.Errorf("%d partitions: %w", partitions, err)
		}
		all = append(all, w)
		steps.Done()
	}
	return r.Write(all, func(out io.Writer) { writeWatched(out, all) })
}

func watched(ctx context.Context, partitions int, o ConsoleOptions, r *report.Report) (w Watched, err error) {
	s, err := target.Open(ctx, o.URL)
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.Redis, s.Partitions = s.Version, partitions
	service := s.Producer("console").Service
	worker, err := pod.StartWorker(ctx, pod.WorkerOptions{URL: s.URL, Service: service, Partitions: partitions})
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, worker.Kill()) }() // it hands nothing back
	if _, err := s.Announce(ctx, "console", o.Streams); err != nil {
		return w, err
	}
	if _, err := worker.Ask("await %d", o.Streams); err != nil {
		return w, err
	}
	if err := measure.Pause(ctx, min(o.For, 11*time.Second)); err != nil { // what is slow after so many acquisitions is over by then
		return w, err
	}
	idle, err := usageOver(ctx, s, o.For)
	if err != nil {
		return w, err
	}
	v, err := watch(ctx, console.New(s.Client, service), o.Viewers)
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	before := v.received.Load()
	busy, err := usageOver(ctx, s, o.For)
	if err != nil {
		return w, err
	}
	over := func(of func(measure.Usage) float64) float64 { return (of(busy) - of(idle)) / o.For.Seconds() }
	return Watched{
		Streams: o.Streams, Partitions: partitions, Viewers: o.Viewers,
		Idle:     idle.CPU.Seconds() / o.For.Seconds(),
		CPU:      over(func(u measure.Usage) float64 { return u.CPU.Seconds() }),
		Commands: over(func(u measure.Usage) float64 { return float64(u.Processed) }),
		Scripts:  over(func(u measure.Usage) float64 { return float64(u.Calls.Scripts()) }),
		Sent:     float64(v.received.Load()-before) / o.For.Seconds() / float64(o.Viewers),
	}, v.failure()
}

// usageOver is what Redis uses in a time of d.
func usageOver(ctx context.Context, s *target.Target, d time.Duration) (u measure.Usage, err error) {
	before, err := measure.ReadUsage(ctx, s.Client)
	if err != nil {
		return u, err
	}
	if err := measure.Pause(ctx, d); err != nil {
		return u, err
	}
	u, err = measure.ReadUsage(ctx, s.Client)
	return u.Since(before), err
}

// viewers are pages that follow the fleet.
type viewers struct {
	page     *console.Console
	server   *http.Server
	client   *http.Client
	reading  sync.WaitGroup
	serving  chan error
	received atomic.Int64 // bytes, by all of them
	lost     atomic.Int64 // how many were refused or have ended
}

// watch opens that many pages, which have all been answered when it returns.
func watch(ctx context.Context, page *console.Console, n int) (*viewers, error) {
	var l net.ListenConfig
	listener, err := l.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		page.Close()
		return nil, err
	}
	v := &viewers{
		page: page, server: &http.Server{Handler: page, ReadHeaderTimeout: target.Timeout}, client: &http.Client{Transport: &http.Transport{}},
		serving: make(chan error, 1),
	}
	go func() { v.serving <- v.server.Serve(listener) }()
	for i := range n {
		at := fmt.Sprintf("http://%s/live?view=%s", listener.Addr(), []string{"overview", "fleet"}[i%2])
		if err := v.follow(ctx, at); err != nil {
			return nil, errors.Join(err, v.close())
		}
	}
	return v, nil
}

func (v *viewers) follow(ctx context.Context, at string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	answer, err := v.client.Do(r)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("%s: %s", at, answer.Status), answer.Body.Close())
	}
	v.reading.Go(func() {
		_, _ = io.Copy((*counting)(&v.received), answer.Body)
		_ = answer.Body.Close()
		v.lost.Add(1)
	})
	return nil
}

// counting counts what is written to it.
type counting atomic.Int64

func (c *counting) Write(p []byte) (int, error) {
	(*atomic.Int64)(c).Add(int64(len(p)))
	return len(p), nil
}

// failure tells whether somebody could not watch to the end.
func (v *viewers) failure() error {
	if n := v.lost.Load(); n > 0 {
		return fmt.Errorf("%d viewers were cut off", n)
	}
	return nil
}

func (v *viewers) close() error {
	v.page.Close()
	v.client.CloseIdleConnections()
	err := v.server.Close()
	if served := <-v.serving; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	v.reading.Wait()
	return err
}

func writeWatched(out io.Writer, all []Watched) {
	t := report.NewTable("streams", "partitions", "viewers", "Redis alone", "watched", "commands/s", "scripts/s", "KB/s to each")
	for _, w := range all {
		t.Row(report.Grouped(w.Streams), w.Partitions, w.Viewers, fmt.Sprintf("%.2f %%", 100*w.Idle), fmt.Sprintf("%+.2f %%", 100*w.CPU),
			fmt.Sprintf("%+.0f", w.Commands), fmt.Sprintf("%+.1f", w.Scripts), fmt.Sprintf("%.1f", w.Sent/1e3))
	}
	t.Write(out)
	fmt.Fprint(out, "\nRedis alone  of a core, while nobody watches\nwatched      of a core, on top of it; both are measured, so the difference may be off by some tenths\n"+
		"commands/s   on top, with those that scripts call\n")
	for _, w := range all {
		report.Goal(out, fmt.Sprintf("%d partitions: of a core for viewers", w.Partitions), w.CPU, "at most", goalWatched)
	}
}
