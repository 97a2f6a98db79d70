package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
)

// child is the argument that makes this program one of the processes.
const child = "process"

// answer is what a process says of itself.
type answer struct {
	Metrics string // URL of its metrics
	Held    int
	Error   string
}

// Failure implements pod.Answer.
func (a answer) Failure() string { return a.Error }

// runChild is one process: an engine that owns streams, a runner of schedules, and a server of metrics. It answers each line of its input,
// and hands everything back when that ends, or on SIGTERM.
func runChild(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet(child, flag.ContinueOnError)
	name := flags.String("name", "", "consumer ID")
	if err := flags.Parse(args); err != nil {
		return err
	}
	signal.Ignore(os.Interrupt) // that of a terminal reaches all processes; the parent handles it
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p, err := newProcess(ctx, *name)
	if err != nil {
		_ = json.NewEncoder(out).Encode(answer{Error: err.Error()})
		return err
	}
	go func() {
		encode, lines := json.NewEncoder(out), bufio.NewScanner(in)
		for lines.Scan() {
			_ = encode.Encode(answer{Metrics: p.url, Held: p.streams.Stats().Held})
		}
		stop()
	}()
	return p.run(ctx)
}

// process is what a process consists of.
type process struct {
	streams   *engine.Engine
	schedules *schedule.Runner
	metrics   *http.Server
	listener  net.Listener
	url       string
}

func newProcess(ctx context.Context, name string) (*process, error) {
	server, err := address.Option(os.Getenv(address.EnvURL))
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler) // what a fleet logs while its processes are killed is not what is to be looked at
	options := func() []engine.Option {
		return []engine.Option{engine.WithConsumerID(name), engine.WithRegisterer(registry), engine.WithLogger(log)}
	}
	p := new(process)
	if p.streams, err = engine.Open(server, service, options()...); err != nil {
		return nil, err
	}
	reports, err := engine.Open(server, scheduled, options()...)
	if err != nil {
		return nil, err
	}
	open := func(schedule.Owned) (schedule.Task, error) { return schedule.TaskFunc(tick), nil }
	if p.schedules, err = schedule.New(reports, open, schedule.Config{}); err != nil {
		return nil, err
	}
	var listen net.ListenConfig
	if p.listener, err = listen.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	p.url = fmt.Sprintf("http://%s/metrics", p.listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	p.metrics = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	return p, nil
}

// run owns streams and fires ticks until ctx ends, and hands both back.
func (p *process) run(ctx context.Context) error {
	go func() { _ = p.metrics.Serve(p.listener) }()
	defer p.metrics.Close()
	var g errgroup.Group
	g.Go(func() error { return p.streams.Run(ctx, api.Funcs{Added: added}) })
	g.Go(func() error { return p.schedules.Run(ctx) })
	return g.Wait()
}

// job is the Info of an announcement: what becomes of its stream.
type job struct {
	Kind string        // "": it is kept until somebody else ends it
	Work time.Duration // how long "work" takes
}

// Kinds of streams.
const (
	kindWork  = "work"  // done after a while
	kindFail  = "fail"  // fails, until it is a dead letter
	kindBad   = "bad"   // is a dead letter at once
	kindLater = "later" // is snoozed
)

const snoozed = 20 * time.Minute

func added(_ context.Context, n api.Notification) error {
	j, err := api.DecodeInfo[job](n.Lease)
	if err != nil {
		return err
	}
	switch j.Kind {
	case kindWork:
		time.AfterFunc(j.Work, func() { _ = n.Lease.Done(context.Background()) })
	case kindFail:
		return errors.New("the card was declined: 402 Payment Required")
	case kindBad:
		return api.Permanent(errors.New("no such tenant: acme"))
	case kindLater:
		return api.Snooze(snoozed)
	}
	return nil
}

// tick keeps how often it ran.
func tick(_ context.Context, t *schedule.Tick) error {
	t.Save(fmt.Appendf(nil, `{"runs":%d}`, t.Number))
	return nil
}
