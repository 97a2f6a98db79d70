package messages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
)

// Hung is what one master that does not answer does to the streams of the others, and to its own.
type Hung struct {
	Streams int
	Rate    int             // messages a second, in all
	For     time.Duration   // how long the master did not answer
	Before  measure.Latency // of messages on the other masters, while all answer
	During  measure.Latency // likewise, while one does not
	Back    time.Duration   // from when it went on until all messages were handled
}

const (
	// hungStreams and hungRate are the load on three masters.
	hungStreams = 10_000
	hungRate    = 10_000
	// hungMost is how long a master hangs at most: producers give up after 10 s.
	hungMost = 6 * time.Second
)

// hanging measures a master that hangs, on a private cluster only.
func (b *bench) hanging(ctx context.Context) error {
	if b.o.URL != "" {
		b.leave(Hanging, "the servers are not ours, and are not to hang")
		return nil
	}
	h, err := b.hang(ctx, slices.Min(append([]int{hungStreams}, slices.Max(b.o.Streams))), slices.Min([]int{hungRate, slices.Max(b.o.Rates)}))
	if err != nil {
		return fmt.Errorf("a master that hangs: %w", err)
	}
	b.result.Hung = &h
	b.steps.Done()
	return nil
}

func (b *bench) hang(ctx context.Context, streams, rate int) (h Hung, err error) {
	h = Hung{Streams: streams, Rate: rate, For: min(b.o.For, hungMost)}
	c, err := servers.StartCluster(ctx, servers.ClusterOptions{Replicas: -1, NodeTimeout: time.Minute})
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	s := &stall{cluster: c}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.begin(ctx, streams, b.report); err != nil {
		return h, err
	}
	return h, s.measure(ctx, &h)
}

// stall is a cluster of which one master is to hang, with a producer for its streams and one for the others, so that the one does not wait for
// the other.
type stall struct {
	*scene
	cluster    *servers.Cluster
	victim     *servers.Server
	own, other load.Process
}

func (s *stall) begin(ctx context.Context, streams int, r *report.Report) (err error) {
	var slots load.Slots
	apart := func(service string) (load.Slots, error) {
		s.victim, slots, err = victimOf(ctx, s.cluster, service)
		return slots, err
	}
	s.scene, err = stage(ctx, casting{url: "redis://" + s.cluster.Nodes()[0].Addr(), model: Feed, streams: streams, each: 1, apart: apart}, r)
	if err != nil {
		return err
	}
	if err := s.read(ctx); err != nil {
		return err
	}
	if s.own, err = load.Start(ctx, s.target.URL, load.Options{Prefix: s.producer.Prefix, Streams: streams, Seed: 2, Within: slots}); err != nil {
		return err
	}
	s.other, err = load.Start(ctx, s.target.URL, load.Options{Prefix: s.producer.Prefix, Streams: streams, Seed: 3, Without: slots})
	return err
}

// victimOf chooses a master that does not have the leases of a service, and returns its slots.
func victimOf(ctx context.Context, c *servers.Cluster, service string) (*servers.Server, load.Slots, error) {
	layout, err := cluster.NewLayout(service, 1)
	if err != nil {
		return nil, "", err
	}
	keeper, err := c.Owner(ctx, cluster.Slot(layout.Keys(0).Input))
	if err != nil {
		return nil, "", err
	}
	masters, err := c.Masters(ctx)
	if err != nil {
		return nil, "", err
	}
	victim := masters[slices.IndexFunc(masters, func(m *servers.Server) bool { return m != keeper })]
	text, err := victim.Call(ctx, "CLUSTER", "NODES")
	if err != nil {
		return nil, "", err
	}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 8 && strings.Contains(fields[2], "myself") {
			return victim, load.Slots(strings.Join(fields[8:], ",")), nil
		}
	}
	return nil, "", fmt.Errorf("%s has no slots", victim.Addr())
}

// measure compares a time in which all masters answer with one in which the victim does not.
func (s *stall) measure(ctx context.Context, h *Hung) error {
	first, err := s.settled(ctx)
	if err != nil {
		return err
	}
	if err := s.both(h, nil); err != nil {
		return err
	}
	second, err := s.settled(ctx)
	if err != nil {
		return err
	}
	err = s.both(h, func() error {
		if err := s.victim.Pause(); err != nil {
			return err
		}
		err := measure.Pause(ctx, h.For)
		return errors.Join(err, s.victim.Resume())
	})
	if err != nil {
		return err
	}
	resumed := time.Now()
	third, err := s.settled(ctx)
	if err != nil {
		return err
	}
	h.Back = max(0, third.Last.Sub(resumed))
	before, err := second.Latency.Since(first.Latency)
	if err != nil {
		return err
	}
	during, err := third.Latency.Since(second.Latency)
	h.Before, h.During = measure.LatencyOf(before), measure.LatencyOf(during)
	return errors.Join(err, s.check(third))
}

// both adds messages to all streams, and has something happen a little later. It returns when what happened is over and all is sent; the
// producer of the victim goes on when that answers again.
func (s *stall) both(h *Hung, happens func() error) error {
	var all errgroup.Group
	var own, other load.Sent
	all.Go(func() (err error) {
		own, err = s.own.Send(h.Rate/3, h.For, load.Even)
		return err
	})
	all.Go(func() (err error) {
		other, err = s.other.Send(h.Rate-h.Rate/3, h.For, load.Even)
		return err
	})
	if happens != nil {
		all.Go(func() error {
			time.Sleep(h.For / 20)
			return happens()
		})
	}
	err := all.Wait()
	seed := int64(s.streams)
	s.sent.Messages = seed + own.Messages + other.Messages
	s.sent.Sum = seed*(seed+1)/2 + own.Sum + other.Sum
	return err
}

func (s *stall) close() (err error) {
	for _, p := range []load.Process{s.own, s.other} {
		if p.Process != nil {
			err = errors.Join(err, p.Stop())
		}
	}
	if s.scene != nil {
		err = errors.Join(err, s.scene.close())
	}
	return err
}
