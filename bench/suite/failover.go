package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/overlap"
)

// goalTakeover is how long after the end of the session of a killed pod all of its streams have to be owned again.
const goalTakeover = 2 * time.Second

// FailoverOptions say which pod ends, and beside which others.
type FailoverOptions struct {
	URL      string // of the Redis; empty: private servers
	Streams  int    // of the pod that ends; the others have none before
	Pods     int    // in all
	LeaseTTL time.Duration
	Sessions []time.Duration // session TTLs, measured one after the other
}

// FailedOver is the result of the end of one pod.
type FailedOver struct {
	Killed     bool // by SIGKILL; else it shut down cleanly
	Streams    int
	Pods       int
	LeaseTTL   time.Duration
	SessionTTL time.Duration
	// Time without an owner: from the kill, or from the last moment at which the pod that stopped owned the stream, to when the next
	// owner was notified.
	P50, P99, Max time.Duration
	All           time.Duration    // from the kill, or the request to stop, until all were owned again
	Commands      int64            // sent by clients meanwhile
	Scripts       int64            // of these
	Ran           int64            // commands that the server ran, including those that scripts call
	ByScript      map[string]int64 // scripts run by the others, by name
	Share         float64          // of the streams, that of the pod that took most
	Retaken       int              // streams that were owned again
	Overlaps      string           // two owners or falling tokens, as the journals show; empty: neither
}

// Failover measures each session TTL with a pod that is killed and with one that stops, each on a private server or all on the one at the
// URL.
func Failover(ctx context.Context, o FailoverOptions, r *report.Report) error {
	var all []FailedOver
	steps := r.Steps("failover", 2*len(o.Sessions))
	defer steps.End()
	for _, session := range o.Sessions {
		for _, kill := range []bool{true, false} {
			f, err := failOver(ctx, o, session, kill, r)
			if err != nil {
				return fmt.Errorf("session TTL %v, %s: %w", session, endName(kill), err)
			}
			all = append(all, f)
			steps.Done()
		}
	}
	steps.End()
	if err := r.Write(all, func(out io.Writer) { writeFailedOver(out, all) }, plotFailedOver(all)...); err != nil {
		return err
	}
	for _, f := range all {
		if f.Overlaps != "" || f.Retaken != f.Streams {
			return fmt.Errorf("%d of %d streams were owned again; %s", f.Retaken, f.Streams, f.Overlaps)
		}
	}
	return nil
}

func endName(kill bool) string {
	if kill {
		return "SIGKILL"
	}
	return "stop"
}

func failOver(ctx context.Context, o FailoverOptions, session time.Duration, kill bool, r *report.Report) (f FailedOver, err error) {
	s, err := target.Open(ctx, o.URL)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.Redis = s.Version
	dir, err := os.MkdirTemp("", "streamlease-bench-")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := s.Producer("failover")
	pods := &pod.Fleet{Dir: dir, Options: pod.WorkerOptions{
		URL: s.URL, Service: p.Service, Prefix: p.Prefix, LeaseTTL: o.LeaseTTL, SessionTTL: session,
	}}
	defer func() { err = errors.Join(err, pods.Close()) }()

	victim, err := pods.Add(ctx, 2*o.Streams)
	if err != nil {
		return f, err
	}
	if _, err := s.Announce(ctx, "failover", o.Streams); err != nil {
		return f, err
	}
	if err := pod.Await(ctx, o.Streams, pod.Patience, victim); err != nil {
		return f, err
	}
	for range o.Pods - 1 {
		if _, err := pods.Add(ctx, 2*o.Streams); err != nil {
			return f, err
		}
	}
	m := &podEnd{client: s.Client, victim: victim, others: pods.Pods[1:], streams: o.Streams}
	if f, err = m.run(ctx, kill, session); err != nil {
		return f, err
	}
	f.Streams, f.Pods = o.Streams, o.Pods
	f.LeaseTTL = cmp.Or(o.LeaseTTL, engine.DefaultLeaseTTL)
	f.SessionTTL = cmp.Or(session, min(f.LeaseTTL, usualSession(s.Cluster)))
	return f, nil
}

// usualSession is the default session TTL.
func usualSession(onCluster bool) time.Duration {
	if onCluster {
		return engine.DefaultClusterSessionTTL
	}
	return engine.DefaultSessionTTL
}

// podEnd is the end of one pod, and the pods that take over.
type podEnd struct {
	client  rueidis.Client
	victim  *pod.Pod
	others  []*pod.Pod
	streams int
}

func (c *podEnd) run(ctx context.Context, kill bool, session time.Duration) (f FailedOver, err error) {
	before, err := c.tally(ctx)
	if err != nil {
		return f, err
	}
	at := journal.Monotonic()
	if err := c.victim.End(kill); err != nil {
		return f, err
	}
	if err := pod.Await(ctx, c.streams, pod.Patience+session, c.others...); err != nil {
		return f, err
	}
	after, err := c.tally(ctx)
	if err != nil {
		return f, err
	}
	used := after.redis.Since(before.redis)
	sent := used.Sent(measure.SentByEngine()...)
	f = FailedOver{Killed: kill, Commands: sent.Total(), Scripts: sent.Scripts(), Ran: used.Calls.Total(), ByScript: make(map[string]int64)}
	for name, n := range after.scripts {
		if n > before.scripts[name] {
			f.ByScript[name] = n - before.scripts[name]
		}
	}
	c.readJournals(&f, at)
	return f, nil
}

// tally is what the server was sent and what it ran so far.
type tally struct {
	redis   measure.Usage
	scripts map[string]int64 // of the others, by name
}

func (c *podEnd) tally(ctx context.Context) (t tally, err error) {
	if t.redis, err = measure.ReadUsage(ctx, c.client); err != nil {
		return t, err
	}
	t.scripts = make(map[string]int64)
	for _, p := range c.others {
		s, err := p.Ask("look")
		if err != nil {
			return t, err
		}
		for name, n := range s.Scripts {
			t.scripts[name] += n
		}
	}
	return t, nil
}

// readJournals fills in what the journals show of a pod that ended at a time.
func (c *podEnd) readJournals(f *FailedOver, at time.Duration) {
	records := make([]overlap.Record, 0, 2*c.streams)
	until := make(map[string]time.Duration, c.streams)
	for _, e := range c.victim.Journal.Read() {
		records = append(records, e.Record)
		if until[e.Stream] = e.Until; f.Killed {
			until[e.Stream] = at
		}
	}
	var without []time.Duration
	most, last := 0, at
	for _, p := range c.others {
		entries := p.Journal.Read()
		most = max(most, len(entries))
		for _, e := range entries {
			records = append(records, e.Record)
			without = append(without, e.From-until[e.Stream])
			last = max(last, e.From)
		}
	}
	streams := make(map[string]bool)
	for _, r := range records[len(records)-len(without):] {
		streams[r.Stream] = true
	}
	slices.Sort(without)
	f.P50, f.P99, f.Max = measure.Quantile(without, .5), measure.Quantile(without, .99), measure.Quantile(without, 1)
	f.All, f.Retaken, f.Share = last-at, len(streams), float64(most)/float64(c.streams)
	if err := overlap.Check(records); err != nil {
		f.Overlaps = err.Error()
	}
}

func writeFailedOver(out io.Writer, all []FailedOver) {
	t := report.NewColumns("end of the pod", all, func(f FailedOver) any { return endName(f.Killed) })
	t.Line("streams it held", func(f FailedOver) any { return report.Grouped(f.Streams) })
	t.Line("session TTL", func(f FailedOver) any { return f.SessionTTL })
	t.Line("without an owner, p50", func(f FailedOver) any { return report.Milliseconds(f.P50) })
	t.Line("without an owner, p99", func(f FailedOver) any { return report.Milliseconds(f.P99) })
	t.Line("without an owner, max", func(f FailedOver) any { return report.Milliseconds(f.Max) })
	t.Line("until all were owned again", func(f FailedOver) any { return report.Milliseconds(f.All) })
	t.Line("commands from clients", func(f FailedOver) any { return report.Grouped(f.Commands) })
	t.Line("of these scripts", func(f FailedOver) any { return report.Grouped(f.Scripts) })
	t.Line("run by the server, a stream", func(f FailedOver) any { return fmt.Sprintf("%.1f", float64(f.Ran)/float64(f.Streams)) })
	t.Line("largest share", func(f FailedOver) any { return report.Percent(f.Share) })
	t.Line("owned again", func(f FailedOver) any { return report.Grouped(f.Retaken) })
	t.Line("two owners, tokens that fall", func(f FailedOver) any { return cmp.Or(f.Overlaps, "none") })
	t.Write(out)
	fmt.Fprintf(out, `
%d pods in all, lease TTL %v; the pods that take over hold nothing before
without an owner  from the kill, or at a stop from the last moment at which the pod owned the stream, until the next owner
                  was notified. All processes use the same clock for this
commands          as clients send them, including beats and what other programs send; the other pods ran these scripts:`,
		all[0].Pods, all[0].LeaseTTL)
	for _, f := range all {
		fmt.Fprintf(out, "\n                  %s, session %v:", endName(f.Killed), f.SessionTTL)
		for _, name := range report.SortedKeys(f.ByScript) {
			fmt.Fprintf(out, " %s %d", name, f.ByScript[name])
		}
	}
	fmt.Fprintln(out)
	for _, f := range all {
		what := fmt.Sprintf("%s, session %v: ", endName(f.Killed), f.SessionTTL)
		if f.Killed {
			report.Goal(out, what+"seconds without an owner", f.Max.Seconds(), "at most", (f.SessionTTL + goalTakeover).Seconds())
		}
		overlaps := 0
		if f.Overlaps != "" {
			overlaps = 1
		}
		report.Goal(out, what+"journals that show two owners or falling tokens", float64(overlaps), "at most", 0)
		report.Goal(out, what+"streams that nobody owns", float64(f.Streams-f.Retaken), "at most", 0)
	}
}
