package suite

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
)

// goalDone is the number of scripts for each call of Done.
const goalDone = 0.1

// DoneOptions say how many streams are done, and how often that is measured.
type DoneOptions struct {
	URL     string // of the Redis; empty: a private one
	Streams int
	Rounds  int
	Workers int // 0: the default
}

// Ended is the result of calling Done for one stream at a time.
type Ended struct {
	Streams int
	Workers int
	Rounds  []EndedRound
}

// EndedRound is the result of one round.
type EndedRound struct {
	Calls          int
	Scripts        int64   // that end streams
	ScriptsPerCall float64 // the figure with the goal
	All            int64   // scripts of any kind meanwhile, also those of acquiring and beats
	PerSecond      float64 // streams taken and done
}

// Done measures handlers that call Done and wait for it, each for one stream at a time.
func Done(ctx context.Context, o DoneOptions, r *report.Report) (err error) {
	s, err := target.Open(ctx, o.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.Redis = s.Version
	if o.Workers == 0 {
		o.Workers = engine.DefaultWorkers
	}
	result := Ended{Streams: o.Streams, Workers: o.Workers}
	for round := range o.Rounds {
		p, err := s.Announce(ctx, fmt.Sprint("done-", round), o.Streams)
		if err != nil {
			return err
		}
		ended, err := endAll(ctx, s, p.Service, o)
		if err != nil {
			return err
		}
		result.Rounds = append(result.Rounds, ended)
		if err := failOnLeft(ctx, p); err != nil {
			return err
		}
	}
	return r.Write(result, func(out io.Writer) { writeEnded(out, result) })
}

func endAll(ctx context.Context, t *target.Target, service string, o DoneOptions) (r EndedRound, err error) {
	registry := prometheus.NewRegistry()
	e, err := openEngine(t, service, engine.WithRegisterer(registry), engine.WithWorkers(o.Workers))
	if err != nil {
		return r, err
	}
	before, err := measure.ReadUsage(ctx, t.Client)
	if err != nil {
		return r, err
	}
	run := startRun(ctx, e, o.Streams, func(l api.Lease) error { return l.Done(l.Context()) })
	took, err := run.wait()
	after, err2 := measure.ReadUsage(ctx, t.Client)
	r = EndedRound{
		Calls:     o.Streams,
		Scripts:   int64(measure.Observations(registry, "streamlease_script_duration_seconds", "script", "done")),
		All:       after.Since(before).Sent(measure.SentByEngine()...).Scripts(),
		PerSecond: float64(o.Streams) / took.Seconds(),
	}
	r.ScriptsPerCall = float64(r.Scripts) / float64(r.Calls)
	return r, errors.Join(err, err2, run.end(ctx))
}

func writeEnded(out io.Writer, r Ended) {
	t := report.NewTable("round", "calls of Done", "scripts for them", "scripts/call", "scripts in all", "taken and done/s")
	var perCall []float64
	for i, x := range r.Rounds {
		t.Row(i+1, report.Grouped(x.Calls), report.Grouped(x.Scripts), fmt.Sprintf("%.3f", x.ScriptsPerCall), report.Grouped(x.All), report.Grouped(x.PerSecond))
		perCall = append(perCall, x.ScriptsPerCall)
	}
	t.Write(out)
	fmt.Fprintf(out, "\n%d handlers at a time, each waiting for its Done.\n", r.Workers)
	report.Goal(out, "scripts a call of Done", measure.Median(perCall), "at most", goalDone)
}
