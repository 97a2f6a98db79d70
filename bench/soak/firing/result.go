package firing

import (
	"fmt"
	"io"
	"slices"

	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/soak/storm"
	"github.com/streamlease/streamlease/bench/ticks/fired"
)

// Result is the outcome.
type Result struct {
	Options
	storm.Outcome
	Changed map[string]int
	Retried int      // calls of changes that failed, and were made again
	Repairs int      // times that the table was made what it is meant to be, since servers may have forgotten changes
	Differs []string // in what the table is not what it is meant to be in the end
	fired.Findings
}

// Holds implements storm.Result.
func (r Result) Holds() bool { return r.Faults() == 0 && r.Clean() && len(r.Differs) == 0 }

// Write implements storm.Result.
func (r Result) Write(out io.Writer) {
	t := report.NewTable("what happened", "")
	r.Rows(t)
	for _, what := range report.SortedKeys(r.Changed) {
		t.Row("a schedule is "+what, report.Grouped(r.Changed[what]))
	}
	t.Row("calls of these that failed, and were made again", report.Grouped(r.Retried))
	t.Row("times that the table was repaired", report.Grouped(r.Repairs))
	t.Row("ticks", report.Grouped(r.Ticks))
	t.Row("of these, asked for", report.Grouped(r.Manual))
	t.Row("ownerships", report.Grouped(r.Ownerships))
	t.Row("ownerships that were lost", report.Grouped(r.Losses))
	t.Row("points that nobody fired, in an outage or while a handler ran", report.Grouped(r.Skipped))
	t.Row("points that nobody fired, since a late tick had just begun", report.Grouped(r.Overlapped))
	t.Row("ticks that were fired again after a trouble", report.Grouped(r.Repeated))
	t.Row("of these, of one schedule", report.Grouped(r.MostOfOne))
	t.Row("changes while a trouble struck", report.Grouped(r.Disturbed))
	t.Row("changes while the schedule moved", report.Grouped(r.Moved))
	t.Row("starts and drains that failed while servers were in trouble", report.Grouped(r.Excused))
	for what, n := range r.faults {
		t.Row(what, report.Grouped(n))
	}
	t.Write(out)
	fmt.Fprintln(out)
	r.writeTimes(out)
	for _, text := range slices.Concat(r.Named, r.Differs, r.Complaints()) {
		fmt.Fprintf(out, "%s\n", text)
	}
	fmt.Fprintf(out, `
Seed %d; %v of troubles; %d processes, partitions: %d, %s schedules of 1 s, 15 s, 1 min (cron) and 10 min, %.1f changes a second; lease TTL %v,
session TTL %v. Three masters with a replica each. Some handlers take longer than an interval, and some fail.
`, r.Seed, r.For, r.Processes, r.Partitions, report.Grouped(r.Schedules), r.Options.Changes, r.LeaseTTL, r.SessionTTL)
	for what, n := range r.faults {
		report.Goal(out, what, float64(n), "at most", 0)
	}
}

// faults are what must not be.
func (r *Result) faults(yield func(what string, n int) bool) {
	for _, f := range []struct {
		what string
		n    int
	}{
		{"points that nobody fired without a reason", r.Lost},
		{"points that nobody fired, and no tick said so", r.Silent},
		{"ticks on no grid", r.OffGrid},
		{"ticks out of order, or twice, in an ownership", r.Disordered},
		{"ticks by an owner that was already replaced", r.Stale},
		{"ticks that were fired again without a reason", r.Unexcused},
		{"ticks of a spec that is not in force any more", r.Obsolete},
		{"changes that were not in force in time", r.Ignored},
		{"states that the next owner did not get", r.Forgotten},
		{"schedules that are not what they are meant to be", len(r.Differs)},
		{"processes that did not start or drain cleanly", len(r.BadEnds)},
		{"errors that processes logged", len(r.Errors)},
	} {
		if !yield(f.what, f.n) {
			return
		}
	}
}

func (r Result) writeTimes(out io.Writer) {
	t := report.NewTable("how long it took", "p50", "p99", "max")
	t.Row("late, all ticks", report.Milliseconds(r.Late.P50), report.Milliseconds(r.Late.P99), report.Milliseconds(r.Late.Max))
	t.Row("late, where nothing struck", report.Milliseconds(r.Calm.P50), report.Milliseconds(r.Calm.P99), report.Milliseconds(r.Calm.Max))
	for _, what := range []fired.What{fired.Create, fired.Retime, fired.Reword, fired.Remove, fired.Trigger} {
		if l, ok := r.InForce[what]; ok {
			t.Row("until it is in force: "+string(what), report.Milliseconds(l.P50), report.Milliseconds(l.P99), report.Milliseconds(l.Max))
		}
	}
	t.Write(out)
	fmt.Fprintln(out)
}
