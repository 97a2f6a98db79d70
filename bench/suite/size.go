package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/wheel"
)

// Goals of size.
const (
	goalRoundTrip   = 10 * time.Millisecond // by which a renewal may be late besides a tick
	goalOverBare    = 2                     // times the Redis time of a bare pipelined PEXPIRE, for a renewal
	goalClientLease = 300                   // ns of the client, for a renewal
)

// SizeOptions say what is measured, and for which fleet a recommendation is made.
type SizeOptions struct {
	Hold   HoldOptions
	Demand Demand
}

// Sized is the result of Size.
type Sized struct {
	Held   []Held
	Costs  Costs
	Advice Advice
}

// Costs are what single operations cost, as a simulation needs them.
type Costs struct {
	Script       time.Duration // of Redis for a script of renewals, whatever is in it
	Lease        time.Duration // of Redis for each lease in it
	ClientScript time.Duration // of the client for a script
	ClientLease  time.Duration // of the client for each lease in it
	Move         time.Duration // of Redis for a stream of a dead process that another one recovers and takes
	MoveRate     float64       // streams a second that one process took over from a dead one
	HandBackRate float64       // streams a second that one process handed back
	Bare         time.Duration // of Redis for a bare pipelined PEXPIRE
	ClientBare   time.Duration // of the client for it
}

// Sizes of the runs that separate the costs: one with many scripts of one lease, one with few full scripts.
const (
	costTTL    = 5 * time.Second
	costSparse = 2_000
	costDense  = 20_000
	costMoved  = 10_000
	costFor    = 5 * time.Second
	moveTTL    = 2 * time.Second // of the session of the process that dies
)

// Size measures a ladder of sizes and what single operations cost, and makes a recommendation. What was measured is reported even where the
// rest fails, as on a machine that is too busy.
func Size(ctx context.Context, o SizeOptions, r *report.Report) (err error) {
	var s Sized
	if s.Held, err = holdAll(ctx, o.Hold, r); err != nil {
		return err
	}
	s.Costs, err = costs(ctx, o.Hold, s.Held, r)
	if ctx.Err() != nil {
		return err
	}
	separated := err == nil
	if lost := failOnLost(s.Held); lost != nil {
		err = lost
	}
	if err == nil {
		s.Advice, err = advise(s.Held, o.Demand, o.Hold, s.Costs.MoveRate)
		s.Advice.HandBack = handBackAdvice(s.Advice.Survivor, s.Costs.HandBackRate)
	}
	return errors.Join(r.Write(s, func(out io.Writer) { writeSized(out, o, s, separated, err) }, s.plots()...), err)
}

func writeSized(out io.Writer, o SizeOptions, s Sized, separated bool, err error) {
	writeHeld(out, s.Held)
	for _, h := range s.Held {
		report.Goal(out, report.Grouped(h.Streams)+" streams: lateness p99, ms", h.LatenessP99.Seconds()*1000, "at most",
			float64((cmp.Or(o.Hold.Tick, tickOf(o.Hold)) + goalRoundTrip).Milliseconds()))
	}
	fmt.Fprintln(out)
	if separated {
		writeCosts(out, s.Costs)
		fmt.Fprintln(out)
	}
	if err != nil {
		fmt.Fprintf(out, "No recommendation: %v.\n", err)
		return
	}
	writeAdvice(out, s.Advice)
}

// costs separates the costs of scripts and of leases, beyond the cost of a process that holds nothing, which the ladder gives.
func costs(ctx context.Context, o HoldOptions, ladder []Held, r *report.Report) (c Costs, err error) {
	steps := r.Steps("costs", 4)
	defer steps.End()
	probe := HoldOptions{URL: o.URL, LeaseTTL: costTTL, For: min(o.For, costFor)}
	dense, err := holdOne(ctx, costDense, probe, r)
	if err != nil {
		return c, err
	}
	steps.Done()
	probe.MaxBatch = 1
	sparse, err := holdOne(ctx, costSparse, probe, r)
	if err != nil {
		return c, err
	}
	steps.Done()
	if err := failOnLost([]Held{dense, sparse}); err != nil {
		return c, fmt.Errorf("the machine is too busy to separate the costs: %w", err)
	}
	redis := func(h Held) float64 { return h.RedisCPU }
	client := func(h Held) float64 { return h.ClientCPU }
	c.Script, c.Lease = solve(sparse, dense, beyond(redis, fit(ladder, redis).At))
	c.ClientScript, c.ClientLease = solve(sparse, dense, beyond(client, fit(ladder, client).At))
	if c.Bare, c.ClientBare, err = bare(ctx, o.URL, min(o.For, costFor)); err != nil {
		return c, err
	}
	steps.Done()
	c.Move, c.MoveRate, c.HandBackRate, err = move(ctx, o.URL)
	steps.Done()
	return c, err
}

func beyond(cost func(Held) float64, idle float64) func(Held) float64 {
	return func(h Held) float64 { return max(0, cost(h)-idle) }
}

// solve solves cost = script * scripts + lease * leases for two runs. A cost that is too small to be measured is 0.
func solve(sparse, dense Held, cost func(Held) float64) (perScript, perLease time.Duration) {
	determinant := sparse.Scripts*dense.Renewals - dense.Scripts*sparse.Renewals
	if determinant == 0 {
		return 0, 0
	}
	script := (cost(sparse)*dense.Renewals - cost(dense)*sparse.Renewals) / determinant
	each := (sparse.Scripts*cost(dense) - dense.Scripts*cost(sparse)) / determinant
	second := float64(time.Second)
	return time.Duration(max(0, script) * second), time.Duration(max(0, each) * second)
}

// bare is what Redis and the client need for one of many pipelined PEXPIREs. There are as many keys as the dense run has leases, with the
// names and values of leases, and the bursts are as far apart: work in bursts costs a server more than steady work, since it finds
// nothing in its caches.
func bare(ctx context.Context, url string, d time.Duration) (redis, client time.Duration, err error) {
	s, err := target.Open(ctx, url)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p := s.Producer("bare")
	layout, err := cluster.NewLayout(p.Service, 1)
	if err != nil {
		return 0, 0, err
	}
	key := func(i int) string { return layout.Keys(0).Lease(p.Stream(i)) }
	send := func(build func(i int) rueidis.Completed, keys []int) error {
		for chunk := range slices.Chunk(keys, lease.DefaultMaxBatch) {
			commands := make(rueidis.Commands, len(chunk))
			for i, k := range chunk {
				commands[i] = build(k)
			}
			for _, result := range s.Client.DoMulti(ctx, commands...) {
				if err := result.Error(); err != nil {
					return err
				}
			}
		}
		return nil
	}
	set := func(i int) rueidis.Completed {
		value := fmt.Sprintf("%s %d %d-0", p.Service, time.Now().UnixMicro(), time.Now().UnixMilli())
		return s.Client.B().Set().Key(key(i)).Value(value).Px(time.Minute).Build() // the keys expire by themselves
	}
	touch := func(i int) rueidis.Completed { return s.Client.B().Pexpire().Key(key(i)).Milliseconds(60_000).Build() }
	keys := rand.Perm(costDense)
	if err := send(set, keys); err != nil {
		return 0, 0, err
	}
	before, err := measure.ReadUsage(ctx, s.Client)
	own, err2 := measure.CPU()
	if err := errors.Join(err, err2); err != nil {
		return 0, 0, err
	}
	const tick = wheel.DefaultTick
	burst := int(int64(costDense) * 3 * int64(tick) / int64(costTTL))
	sent := 0
	for began := time.Now(); time.Since(began) < d; {
		at := sent % (len(keys) - burst)
		if err := send(touch, keys[at:at+burst]); err != nil {
			return 0, 0, err
		}
		sent += burst
		if err := measure.Pause(ctx, tick); err != nil {
			return 0, 0, err
		}
	}
	used, err := measure.CPU()
	after, err2 := measure.ReadUsage(ctx, s.Client)
	if err := errors.Join(err, err2); err != nil {
		return 0, 0, err
	}
	err = send(func(i int) rueidis.Completed { return s.Client.B().Unlink().Key(key(i)).Build() }, keys)
	return after.Since(before).CPU / time.Duration(sent), (used - own) / time.Duration(sent), err
}

// move kills a process, and measures another one that takes all of its streams and hands them back in the end.
func move(ctx context.Context, url string) (cost time.Duration, rate, back float64, err error) {
	s, err := target.Open(ctx, url)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	o := pod.WorkerOptions{URL: s.URL, Service: s.Producer("move").Service, SessionTTL: moveTTL}
	victim, err := pod.StartWorker(ctx, o)
	if err != nil {
		return 0, 0, 0, err
	}
	killed := false
	defer func() {
		if !killed {
			err = errors.Join(err, victim.Kill())
		}
	}()
	if _, err := s.Announce(ctx, "move", costMoved); err != nil {
		return 0, 0, 0, err
	}
	if _, err := victim.Ask("await %d", costMoved); err != nil {
		return 0, 0, 0, err
	}
	successor, err := pod.StartWorker(ctx, o)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, successor.Stop()) }()
	_, before, err := moment(ctx, s, successor)
	if err != nil {
		return 0, 0, 0, err
	}
	killed = true
	if err := victim.Kill(); err != nil {
		return 0, 0, 0, err
	}
	if _, err := successor.Ask("await 1"); err != nil {
		return 0, 0, 0, err
	}
	began := time.Now()
	if _, err := successor.Ask("await %d", costMoved); err != nil {
		return 0, 0, 0, err
	}
	took := time.Since(began)
	_, after, err := moment(ctx, s, successor)
	if err != nil {
		return 0, 0, 0, err
	}
	back, err = handBack(successor, costMoved)
	return after.Since(before).CPU / costMoved, costMoved / took.Seconds(), back, err
}

// renewal is the cost of Redis for a lease in a full script.
func (c Costs) renewal() time.Duration { return c.Lease + c.Script/lease.DefaultMaxBatch }

func writeCosts(out io.Writer, c Costs) {
	t := report.NewTable("what", "Redis", "client")
	t.Row("a script of renewals, whatever is in it", report.Microseconds(c.Script), report.Microseconds(c.ClientScript))
	t.Row("each lease in it", report.Microseconds(c.Lease), report.Microseconds(c.ClientLease))
	t.Row("a lease in a full script, in all", report.Microseconds(c.renewal()), report.Microseconds(c.ClientLease+c.ClientScript/lease.DefaultMaxBatch))
	t.Row("a bare pipelined PEXPIRE, in the same bursts", report.Microseconds(c.Bare), report.Microseconds(c.ClientBare))
	t.Row("a stream of a dead process, recovered and taken", report.Microseconds(c.Move), "")
	t.Write(out)
	fmt.Fprintf(out, `
Processor time, solved from two runs at a lease TTL of %v: %s streams with one lease a script, and %s with the default batch,
less the cost of a process that holds nothing, from the ladder.
A process took %s streams a second from a dead one.
`, costTTL, report.Grouped(costSparse), report.Grouped(costDense), report.Grouped(c.MoveRate))
	if c.Bare > 0 {
		report.Goal(out, "Redis time of a renewal, times a bare PEXPIRE", float64(c.renewal())/float64(c.Bare), "at most", goalOverBare)
	}
	report.Goal(out, "client time of a renewal, ns", float64(c.ClientLease+c.ClientScript/lease.DefaultMaxBatch), "at most", goalClientLease)
}
