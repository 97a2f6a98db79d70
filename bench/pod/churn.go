package pod

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/test/journal"
)

// dated is the Info of an announcement that says when it was due.
type dated struct {
	At time.Duration // on the clock of the journals, which all processes share
}

// Churn is what a worker that calls Done at once has done so far.
type Churn struct {
	Done, Failed int64
	Waited       time.Duration     // how long all handlers together waited for their Done
	Own          measure.Histogram // from when an announcement was due until its Added
	End          measure.Histogram // likewise, until Done had returned
}

// churner is a handler that measures how long an announcement took to reach it, and calls Done at once.
type churner struct {
	onlyTime     bool // it keeps the stream and does not call Done
	registry     prometheus.Gatherer
	own, end     prometheus.Histogram
	waited       atomic.Int64 // ns
	done, failed atomic.Int64
}

const (
	untilOwned = "bench_own_seconds"
	untilDone  = "bench_done_seconds"
)

func newChurner(r *prometheus.Registry) *churner {
	c := &churner{registry: r, own: latency(untilOwned), end: latency(untilDone)}
	r.MustRegister(c.own, c.end)
	return c
}

// latency is a histogram with buckets that are some 2 % wide.
func latency(name string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: name, NativeHistogramBucketFactor: 1.03, NativeHistogramZeroThreshold: 1e-6,
	})
}

func (c *churner) added(_ context.Context, n api.Notification) error {
	notified := journal.Monotonic()
	info, err := api.DecodeInfo[dated](n.Lease)
	if err != nil {
		return err
	}
	if info.At == 0 {
		return nil // it does not say when it was due: it is kept
	}
	c.own.Observe((notified - info.At).Seconds())
	if c.onlyTime {
		return nil
	}
	if err := n.Lease.Done(n.Lease.Context()); err != nil {
		c.failed.Add(1)
		return err
	}
	ended := journal.Monotonic()
	c.waited.Add(int64(ended - notified))
	c.end.Observe((ended - info.At).Seconds())
	c.done.Add(1)
	return nil
}

func (c *churner) read() (r Churn, err error) {
	var err2 error
	r.Done, r.Failed, r.Waited = c.done.Load(), c.failed.Load(), time.Duration(c.waited.Load())
	r.Own, err = measure.ReadHistogram(c.registry, untilOwned)
	r.End, err2 = measure.ReadHistogram(c.registry, untilDone)
	return r, errors.Join(err, err2)
}
