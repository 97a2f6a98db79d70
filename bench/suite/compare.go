package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
)

// Goals of compare: how many times less than with a goroutine a stream, at goalComparedAt streams and goalComparedTTL.
const (
	goalFewerCommands   = 200
	goalLessRedisCPU    = 10
	goalLessClientCPU   = 20
	goalFewerGoroutines = 200
	goalLessMemory      = 8
	goalFasterTaking    = 10
	goalComparedAt      = 10_000
	goalComparedTTL     = 2 * time.Second
)

// sentPerStream are the commands that a consumer with a goroutine a stream sends and none of its scripts calls.
var sentPerStream = []string{"eval", "evalsha", "set", "xreadgroup", "ping", "hello", "auth", "select", "client", "command", "script", "cluster"}

// CompareOptions say what each model does.
type CompareOptions struct {
	URL     string // of the Redis; empty: a private one for every measurement
	Streams int
	TTL     time.Duration // of leases and locks
	For     time.Duration // how long each is measured
	Rounds  int
}

// Compared is the result of comparing the models.
type Compared struct {
	Streams int
	TTL     time.Duration
	Rounds  []ComparedRound
	Batched ModelCost // ratios: how many times less than a goroutine a stream, the median over the rounds
	TwoTier ModelCost // likewise
}

// ComparedRound is what each model cost in one round.
type ComparedRound struct{ PerStream, Batched, TwoTier ModelCost }

// ModelCost is what owning the streams costs, or how many times less that is.
type ModelCost struct {
	Commands   float64 // a second, as clients send them
	Processed  float64 // a second, including those that scripts call
	RedisCPU   float64 // share of a core
	ClientCPU  float64 // share of a core
	Goroutines float64
	Memory     float64 // bytes a stream: live heap and stacks
	RSS        float64 // bytes of the process
	Taking     float64 // seconds from the start of a consumer until it has all streams
	Renewals   float64 // a second
	Lost       float64 // streams
}

// Compare measures the models in turn, each in a process of its own.
func Compare(ctx context.Context, o CompareOptions, r *report.Report) error {
	result := Compared{Streams: o.Streams, TTL: o.TTL}
	steps := r.Steps("compare", 3*o.Rounds)
	defer steps.End()
	for round := range o.Rounds {
		var costs ComparedRound
		turns := []struct {
			kind string
			cost *ModelCost
		}{{PerStream, &costs.PerStream}, {Batched, &costs.Batched}, {TwoTier, &costs.TwoTier}}
		if round%2 == 1 { // the order is reversed every other round
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			var err error
			if *turn.cost, err = costOf(ctx, turn.kind, o, r); err != nil {
				return fmt.Errorf("%s: %w", turn.kind, err)
			}
			steps.Done()
		}
		result.Rounds = append(result.Rounds, costs)
	}
	result.Batched = ratios(result.Rounds, func(r *ComparedRound) *ModelCost { return &r.Batched })
	result.TwoTier = ratios(result.Rounds, func(r *ComparedRound) *ModelCost { return &r.TwoTier })
	steps.End()
	if err := r.Write(result, func(out io.Writer) { writeCompared(out, result) }, result.plots()...); err != nil {
		return err
	}
	for _, round := range result.Rounds {
		if lost := round.Batched.Lost + round.TwoTier.Lost; lost > 0 {
			return fmt.Errorf("%.0f of %d streams were lost", lost, o.Streams)
		}
	}
	return nil
}

// ratios returns the costs of a goroutine a stream divided by those of another model.
func ratios(rounds []ComparedRound, other func(*ComparedRound) *ModelCost) (r ModelCost) {
	for _, f := range figures {
		var all []float64
		for i := range rounds {
			if cost := *f.of(other(&rounds[i])); cost > 0 {
				all = append(all, *f.of(&rounds[i].PerStream)/cost)
			}
		}
		*f.of(&r) = measure.Median(all)
	}
	return r
}

// figures are what is compared, in the order of the table. Goals hold at goalComparedAt and goalComparedTTL.
var figures = []struct {
	name string
	of   func(*ModelCost) *float64
	text func(float64) string
	goal float64 // times less; 0: no goal
}{
	{"Redis commands a second", func(c *ModelCost) *float64 { return &c.Commands }, report.Figure, goalFewerCommands},
	{"Redis CPU", func(c *ModelCost) *float64 { return &c.RedisCPU }, report.Percent, goalLessRedisCPU},
	{"client CPU", func(c *ModelCost) *float64 { return &c.ClientCPU }, report.Percent, goalLessClientCPU},
	{"goroutines", func(c *ModelCost) *float64 { return &c.Goroutines }, report.Figure, goalFewerGoroutines},
	{"memory a stream", func(c *ModelCost) *float64 { return &c.Memory }, func(b float64) string { return report.Grouped(b) + " B" }, goalLessMemory},
	{"taking all", func(c *ModelCost) *float64 { return &c.Taking }, func(s float64) string { return fmt.Sprintf("%.0f ms", 1000*s) }, goalFasterTaking},
	{"run by Redis a second, in scripts, too", func(c *ModelCost) *float64 { return &c.Processed }, report.Figure, 0},
	{"renewals a second", func(c *ModelCost) *float64 { return &c.Renewals }, report.Figure, 0},
	{"RSS of the process", func(c *ModelCost) *float64 { return &c.RSS }, report.Mebibytes, 0},
}

func costOf(ctx context.Context, kind string, o CompareOptions, r *report.Report) (c ModelCost, err error) {
	s, err := target.Open(ctx, o.URL)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.Redis = s.Version
	p, err := startContender(ctx, s, ContenderOptions{Model: kind, TTL: o.TTL, Clustered: s.Cluster})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()

	waiting, err := s.Announce(ctx, "take", o.Streams)
	if err != nil {
		return c, err
	}
	took, err := pod.Ask[contenderState](p, "take %s %d", waiting.Service, o.Streams)
	if err != nil {
		return c, err
	}
	if _, err := pod.Ask[contenderState](p, "own %s", s.Producer("hold").Service); err != nil {
		return c, err
	}
	if _, err := s.Announce(ctx, "hold", o.Streams); err != nil {
		return c, err
	}
	if _, err := pod.Ask[contenderState](p, "await %d", o.Streams); err != nil {
		return c, err
	}
	// The effects of taking pass: locks are no longer extended in step, and idle workers end after 10 s.
	if err := measure.Pause(ctx, min(o.For, 11*time.Second)); err != nil {
		return c, err
	}
	if c, err = costMeanwhile(ctx, s, p, kind, o.For); err != nil {
		return c, err
	}
	c.Taking = took.Took.Seconds()
	last, err := pod.Ask[contenderState](p, "memory")
	c.Memory = float64(last.Memory) / float64(o.Streams)
	c.Lost = float64(max(int(last.Lost), o.Streams-last.Held))
	return c, err
}

// costMeanwhile is what the contender and the server use in a time of d.
func costMeanwhile(ctx context.Context, s *target.Target, p *pod.Process, kind string, d time.Duration) (c ModelCost, err error) {
	names := measure.SentByEngine()
	if kind == PerStream {
		names = sentPerStream
	}
	began := time.Now()
	first, err := pod.Ask[contenderState](p, "look")
	if err != nil {
		return c, err
	}
	before, err := measure.ReadUsage(ctx, s.Client)
	if err != nil {
		return c, err
	}
	if err := measure.Pause(ctx, d); err != nil {
		return c, err
	}
	second, err := pod.Ask[contenderState](p, "look")
	if err != nil {
		return c, err
	}
	after, err := measure.ReadUsage(ctx, s.Client)
	if err != nil {
		return c, err
	}
	took, used := time.Since(began).Seconds(), after.Since(before)
	return ModelCost{
		Commands:   float64(used.Sent(names...).Total()) / took,
		Processed:  float64(used.Processed) / took,
		RedisCPU:   used.CPU.Seconds() / took,
		ClientCPU:  (second.CPU - first.CPU).Seconds() / took,
		Goroutines: float64(second.Goroutines),
		RSS:        float64(second.RSS),
		Renewals:   (second.Renewed - first.Renewed) / took,
	}, nil
}

func writeCompared(out io.Writer, r Compared) {
	t := report.NewTable("", "a goroutine a stream", "batched", "times less", "two tiers", "times less")
	for _, f := range figures {
		var costs [3][]float64
		for _, round := range r.Rounds {
			for i, c := range []*ModelCost{&round.PerStream, &round.Batched, &round.TwoTier} {
				costs[i] = append(costs[i], *f.of(c))
			}
		}
		t.Row(f.name, f.text(measure.Median(costs[0])),
			f.text(measure.Median(costs[1])), fmt.Sprintf("%.1f", *f.of(&r.Batched)),
			f.text(measure.Median(costs[2])), fmt.Sprintf("%.1f", *f.of(&r.TwoTier)))
	}
	t.Write(out)
	fmt.Fprintf(out, `
%s streams; medians of %d rounds, measured in turn, each in a process of its own
a goroutine a stream  one lock of go-redsync/redsync on redis/go-redis for each: TTL %v, extended every half of it
batched               this library, TTL of leases and sessions %v; a lease is renewed three times a TTL
two tiers             this library, TTL of sessions %v and of leases %v: deaths are noticed as soon, renewals are rare
commands              as clients send them
CPU                   share of one core
memory                live heap and stacks, less those of the same consumer holding nothing
taking all            from the start of a consumer until it has all waiting streams
`, report.Grouped(r.Streams), len(r.Rounds), r.TTL, r.TTL, r.TTL, max(r.TTL, engine.DefaultLeaseTTL))
	if r.Streams != goalComparedAt || r.TTL != goalComparedTTL {
		return
	}
	for _, f := range figures {
		if f.goal > 0 {
			report.Goal(out, "batched: "+f.name+", times less", *f.of(&r.Batched), "at least", f.goal)
		}
	}
	for _, f := range figures {
		if f.goal > 0 {
			report.Goal(out, "two tiers: "+f.name+", times less", *f.of(&r.TwoTier), "at least", f.goal)
		}
	}
}
