package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
)

// Goals of take: goalTaken streams a second on a machine on which a pipelined XADD loop does goalXadd.
const (
	goalTaken = 40_000
	goalXadd  = 300_000
	// xadds is how many announcements the XADD loop makes.
	xadds = 100_000
)

// TakeOptions say what is taken, and how often.
type TakeOptions struct {
	URL     string // of the Redis; empty: a private one
	Streams int
	Rounds  int
}

// Taken is how fast announced streams were taken, in streams a second.
type Taken struct {
	Streams  int
	Rounds   []float64
	Median   float64
	Xadd     []float64 // announcements a second of a pipelined loop on the same server, in turn
	XaddMid  float64
	Relative float64 // streams taken in the time of an XADD, to compare machines
}

// Take measures how fast a process that starts takes the streams that were announced before: from the start of Run, sessions included, to
// the Added of the last stream.
func Take(ctx context.Context, o TakeOptions, r *report.Report) (err error) {
	s, err := target.Open(ctx, o.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.Redis = s.Version
	result := Taken{Streams: o.Streams}
	for round := range o.Rounds {
		took, err := s.Track("scratch", 0).Announce(ctx, 0, xadds)
		if err != nil {
			return err
		}
		result.Xadd = append(result.Xadd, xadds/took.Seconds())
		p, err := s.Announce(ctx, fmt.Sprint("take-", round), o.Streams)
		if err != nil {
			return err
		}
		if took, err = takeAll(ctx, s, p.Service, o.Streams); err != nil {
			return err
		}
		result.Rounds = append(result.Rounds, float64(o.Streams)/took.Seconds())
		if err := s.Clear(ctx); err != nil {
			return err
		}
	}
	result.Median, result.XaddMid = measure.Median(result.Rounds), measure.Median(result.Xadd)
	result.Relative = result.Median / result.XaddMid
	return r.Write(result, func(out io.Writer) { writeTaken(out, result) }, result.plots()...)
}

// takeAll times an engine from its start until it owns all streams, and shuts it down.
func takeAll(ctx context.Context, t *target.Target, service string, streams int) (time.Duration, error) {
	e, err := openEngine(t, service)
	if err != nil {
		return 0, err
	}
	r := startRun(ctx, e, streams, func(api.Lease) error { return nil })
	took, err := r.wait()
	return took, errors.Join(err, r.end(ctx))
}

func writeTaken(out io.Writer, r Taken) {
	t := report.NewTable("round", "streams", "taken/s", "XADD/s")
	for i := range r.Rounds {
		t.Row(i+1, report.Grouped(r.Streams), report.Grouped(r.Rounds[i]), report.Grouped(r.Xadd[i]))
	}
	t.AppendSeparator()
	t.Row("median", "", report.Grouped(r.Median), report.Grouped(r.XaddMid))
	t.Write(out)
	fmt.Fprintf(out, "\nAn announced stream takes as long as %.1f pipelined XADDs.\n", 1/r.Relative)
	report.Goal(out, fmt.Sprintf("streams taken a second, where XADD does %s", report.Grouped(r.XaddMid)), r.Median, "at least",
		goalTaken*r.XaddMid/goalXadd)
}
