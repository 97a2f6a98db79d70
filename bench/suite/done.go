package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

// goalDone is scripts for each call of Done.
const goalDone = 0.1

// DoneOptions say how many streams are ended, and how often that is measured.
type DoneOptions struct {
	Streams int
	Rounds  int
	Workers int // 0: the default
}

// Ended is what calling Done one stream at a time came to.
type Ended struct {
	Streams int
	Workers int
	Rounds  []EndedRound
}

// EndedRound is one round.
type EndedRound struct {
	Calls          int
	Scripts        int64   // of ending
	ScriptsPerCall float64 // which the goal is about
	All            int64   // scripts of any kind meanwhile: acquiring, beats
	PerSecond      float64 // streams taken and done
}

// Done measures handlers that call Done and wait for it, each on one stream at a time.
func Done(ctx context.Context, o DoneOptions, r *report.Report) (err error) {
	server, err := servers.Start(ctx, servers.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	client, err := rueidis.NewClient(server.ClientOption())
	if err != nil {
		return err
	}
	defer client.Close()
	if o.Workers == 0 {
		o.Workers = engine.DefaultWorkers
	}
	result := Ended{Streams: o.Streams, Workers: o.Workers}
	for round := range o.Rounds {
		p := producer.Producer{Client: client, Service: fmt.Sprintf("%s-%d", target.Service, round), Prefix: target.Prefix}
		if _, err := p.Announce(ctx, 0, o.Streams); err != nil {
			return err
		}
		ended, err := endAll(ctx, server, p.Service, o)
		if err != nil {
			return err
		}
		result.Rounds = append(result.Rounds, ended)
		left, err := client.Do(ctx, client.B().Xlen().Key(p.Service+"-input").Build()).AsInt64()
		if err != nil {
			return err
		}
		if left != 0 {
			return fmt.Errorf("%d announcements are left that were done", left)
		}
	}
	return r.Write(result, func(out io.Writer) { writeEnded(out, result) })
}

func endAll(ctx context.Context, server *servers.Server, service string, o DoneOptions) (r EndedRound, err error) {
	registry := prometheus.NewRegistry()
	e, err := engine.Open(server.ClientOption(), service, engine.WithRegisterer(registry), engine.WithWorkers(o.Workers),
		engine.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return r, err
	}
	before, err := measure.CommandsSent(ctx, server)
	if err != nil {
		return r, err
	}
	var done atomic.Int64
	failed := make(chan error, 1)
	all := make(chan struct{})
	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		ended <- e.Run(ctx, api.Funcs{Added: func(_ context.Context, n api.Notification) error {
			if err := n.Lease.Done(n.Lease.Context()); err != nil {
				select {
				case failed <- fmt.Errorf("done with %s: %w", n.Stream, err):
				default:
				}
			}
			if done.Add(1) == int64(o.Streams) {
				close(all)
			}
			return nil
		}})
	}()
	select {
	case <-all:
	case err = <-failed:
	case err := <-ended:
		return r, fmt.Errorf("the engine ended: %w", err)
	case <-time.After(pod.Patience):
		err = fmt.Errorf("%d of %d streams were done in %v", done.Load(), o.Streams, pod.Patience)
	}
	took := time.Since(began)
	after, err2 := measure.CommandsSent(ctx, server)
	r = EndedRound{
		Calls:     o.Streams,
		Scripts:   int64(measure.Observations(registry, "streamlease_script_duration_seconds", "script", "done")),
		All:       after.Since(before).Scripts(),
		PerSecond: float64(o.Streams) / took.Seconds(),
	}
	r.ScriptsPerCall = float64(r.Scripts) / float64(r.Calls)
	return r, errors.Join(err, err2, e.Shutdown(ctx), <-ended)
}

func writeEnded(out io.Writer, r Ended) {
	t := report.NewTable("round", "calls of Done", "scripts for them", "scripts/call", "scripts in all", "taken and done/s")
	var perCall []float64
	for i, x := range r.Rounds {
		t.Row(i+1, report.Grouped(x.Calls), report.Grouped(int(x.Scripts)), fmt.Sprintf("%.3f", x.ScriptsPerCall), report.Grouped(int(x.All)), report.Grouped(int(x.PerSecond)))
		perCall = append(perCall, x.ScriptsPerCall)
	}
	t.Write(out)
	fmt.Fprintf(out, "\n%d handlers at a time, each waiting for its Done.\n", r.Workers)
	report.Goal(out, "scripts a call of Done", measure.Median(perCall), "at most", goalDone)
}
