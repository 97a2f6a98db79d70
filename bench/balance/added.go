package balance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// addedStreams are held by each fleet while others are announced.
	addedStreams = 2_000
	// addedRate is how many streams are announced a second, one by one, and burst how many at once, each second.
	addedRate = 200
	burst     = 200
	// settles is how long fleets are left alone after a load: asking them costs more than the load.
	settles = 200 * time.Millisecond
)

// fleets are compared: the third one is the second once more, so that the difference between these two is noise.
var fleets = []pod.Balance{pod.BalanceOn, pod.BalanceOff, pod.BalanceOff}

// Arrival is how long it takes from the announcement of a stream to the notification of its owner.
type Arrival struct {
	Processes int
	Bursts    bool                 // announced many at once; else one by one
	Latency   [3]measure.Latency   // of all rounds: with the balance, without it, and without it once more
	Rounds    [][3]measure.Latency // of each round
	all       [3]measure.Histogram
}

// ratio is that of a quantile of a fleet to that without the balance in the same round: the median of the rounds, and their middle half. Medians,
// since a busy machine disturbs some rounds.
func (a Arrival) ratio(fleet int, of func(measure.Latency) time.Duration) (middle, low, high float64) {
	var each []float64
	for _, r := range a.Rounds {
		if of(r[1]) > 0 {
			each = append(each, float64(of(r[fleet]))/float64(of(r[1])))
		}
	}
	return quartiles(each)
}

// quartiles are the median, and the bounds of the middle half.
func quartiles[T float64 | time.Duration](all []T) (middle, low, high T) {
	sorted := slices.Sorted(slices.Values(all))
	return measure.Median(sorted), measure.Quantile(sorted, .25), measure.Quantile(sorted, .75)
}

// arriving is a fleet of which the streams that are announced with a time end at once.
type arriving struct {
	*scene
	next int // number of the next stream
	done int // streams that were announced so
}

// added compares fleets of one process and of all. The fleets stand side by side on one server, and are loaded in turn.
func (b *bench) added(ctx context.Context) (err error) {
	t, err := target.Open(ctx, b.o.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	b.report.Redis = t.Version
	for _, processes := range []int{1, b.o.Processes} {
		if err := b.arrivals(ctx, t, processes); err != nil {
			return err
		}
	}
	b.steps.Done()
	return nil
}

func (b *bench) arrivals(ctx context.Context, t *target.Target, processes int) (err error) {
	var all []*arriving
	defer func() {
		for _, f := range all {
			err = errors.Join(err, f.leave())
		}
	}()
	held := min(b.o.Streams, addedStreams)
	for i, balance := range fleets {
		s, err := stage(t, fmt.Sprintf("added-%d-%d", processes, i), held+2*b.o.Rounds*int(addedRate*b.o.For.Seconds()+burst), balance)
		if err != nil {
			return err
		}
		f := &arriving{scene: s, next: held}
		all = append(all, f)
		s.options.Churn = true
		if err := s.add(ctx, processes, 0); err != nil {
			return err
		}
		if err := s.fill(ctx, held, time.Second); err != nil {
			return err
		}
	}
	for _, bursts := range []bool{false, true} {
		a := Arrival{Processes: processes, Bursts: bursts}
		for round := range b.o.Rounds {
			var each [3]measure.Latency
			for turn := range all {
				i := (turn + round) % len(all)
				if round%2 == 1 {
					i = len(all) - 1 - i
				}
				h, err := all[i].load(ctx, bursts, b.o.For)
				if err != nil {
					return err
				}
				each[i] = measure.LatencyOf(h)
				if a.all[i], err = sum(a.all[i], h); err != nil {
					return err
				}
			}
			a.Rounds = append(a.Rounds, each)
		}
		for i := range a.all {
			a.Latency[i] = measure.LatencyOf(a.all[i])
		}
		b.result.Added = append(b.result.Added, a)
	}
	return nil
}

// load announces streams for a time of d, waits until they are done, and returns how long each took until its owner was notified.
func (f *arriving) load(ctx context.Context, bursts bool, d time.Duration) (h measure.Histogram, err error) {
	before, err := f.churn()
	if err != nil {
		return h, err
	}
	began, first := journal.Monotonic(), f.next
	total := max(1, int(addedRate*d.Seconds()))
	if bursts {
		total = max(1, int(d.Seconds())) * burst
	}
	// due is when a stream is due, after the beginning: the time that it carries, so that a producer that falls behind hides nothing.
	due := func(i int) time.Duration {
		if bursts {
			return time.Duration((i-first)/burst) * time.Second
		}
		return time.Duration(float64(i-first) / addedRate * float64(time.Second))
	}
	f.producer.Info = func(i int) string { return `{"At":` + strconv.FormatInt(int64(began+due(i)), 10) + `}` }
	for f.next < first+total {
		if err := measure.Pause(ctx, max(0, began+due(f.next)-journal.Monotonic())); err != nil {
			return h, err
		}
		upTo := f.next + 1
		for now := journal.Monotonic() - began; upTo < first+total && due(upTo) <= now; {
			upTo++
		}
		if _, err := f.producer.Announce(ctx, f.next, upTo); err != nil {
			return h, err
		}
		f.next = upTo
	}
	f.done += total
	if err := measure.Pause(ctx, settles); err != nil {
		return h, err
	}
	var after pod.Churn
	if err := measure.Poll(ctx, pod.Patience, func() (bool, error) {
		after, err = f.churn()
		return after.Done >= int64(f.done), err
	}); err != nil {
		return h, fmt.Errorf("%d of %d streams are done: %w", after.Done, f.done, err)
	}
	if after.Failed > before.Failed {
		return h, fmt.Errorf("%d calls of Done failed", after.Failed-before.Failed)
	}
	return after.Own.Since(before.Own)
}

// churn is what the processes of the fleet have done so far.
func (f *arriving) churn() (c pod.Churn, err error) {
	for _, p := range f.processes {
		answer, err := p.Ask("look")
		if err != nil {
			return c, err
		}
		c.Done += answer.Churn.Done
		c.Failed += answer.Churn.Failed
		if c.Own, err = sum(c.Own, answer.Churn.Own); err != nil {
			return c, err
		}
	}
	return c, nil
}

// sum adds up histograms, of which the zero value has nothing.
func sum(a, b measure.Histogram) (measure.Histogram, error) {
	if a.Buckets == nil {
		a.Schema, a.ZeroTo = b.Schema, b.ZeroTo
	}
	if a.Schema != b.Schema || a.ZeroTo != b.ZeroTo {
		return a, fmt.Errorf("histograms have buckets of schema %d and of %d", a.Schema, b.Schema)
	}
	both := measure.Histogram{Schema: a.Schema, ZeroTo: a.ZeroTo, Zero: a.Zero + b.Zero, Buckets: make(map[int]int64)}
	for _, h := range []measure.Histogram{a, b} {
		for i, n := range h.Buckets {
			both.Buckets[i] += n
		}
	}
	return both, nil
}
