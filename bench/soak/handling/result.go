package handling

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/soak/storm"
)

// Result is the outcome.
type Result struct {
	Options
	storm.Outcome
	Sent      int // messages that were acknowledged
	Unsent    int // messages that were refused, or not answered
	NotThere  int // acknowledged numbers that their streams do not have in the end, since a failover forgot them
	Unhandled int // messages that were not handled when the time for that was up
	Findings
}

// Holds implements storm.Result.
func (r Result) Holds() bool { return r.hold() && r.Unhandled == 0 && r.Clean() }

// Write implements storm.Result.
func (r Result) Write(out io.Writer) {
	t := report.NewTable("what happened", "")
	r.Rows(t)
	t.Row("messages that were acknowledged", report.Grouped(r.Sent))
	t.Row("messages that were refused, or not answered", report.Grouped(r.Unsent))
	t.Row("acknowledged, and forgotten by a failover", report.Grouped(r.NotThere))
	t.Row("messages in the streams at the end", report.Grouped(r.Messages))
	t.Row("times that one was handled", report.Grouped(r.Handled))
	t.Row("handled, and forgotten by a failover", report.Grouped(r.Forgotten))
	t.Row("ownerships", report.Grouped(r.Ownerships))
	t.Row("ownerships that were lost", report.Grouped(r.Losses))
	t.Row("of these, without a trouble that would explain it", report.Grouped(r.Unforced))
	t.Row("gaps that the feed found", report.Grouped(r.Gaps))
	t.Row("handled again after a trouble, within the interval of checkpoints", report.Grouped(r.Repeated))
	for _, name := range slices.Sorted(maps.Keys(r.After)) {
		t.Row("of these, after: "+name, report.Grouped(r.After[name]))
	}
	t.Row("of these, after the stream was handed back", report.Grouped(r.Returned))
	t.Row("handled again without a reason", report.Grouped(r.Unexcused))
	t.Row("missing", report.Grouped(r.Missing))
	t.Row("out of order in an ownership", report.Grouped(r.Disordered))
	t.Row("handled by an owner that was already replaced", report.Grouped(r.Stale))
	t.Row("not handled when the time was up", report.Grouped(r.Unhandled))
	t.Row("processes that did not start or drain cleanly", report.Grouped(len(r.BadEnds)))
	t.Row("those while servers were in trouble", report.Grouped(r.Excused))
	t.Row("errors that processes logged", report.Grouped(len(r.Errors)))
	t.Write(out)
	for _, text := range slices.Concat(r.Named, r.Complaints()) {
		fmt.Fprintf(out, "\n%s", text)
	}
	fmt.Fprintf(out, `
Seed %d; %v of troubles; %d processes, partitions: %d, %s streams, %s messages a second; lease TTL %v, session TTL %v, checkpoints every %v.
Three masters with a replica each. Some batches take long, and some fail, before any of their messages counts as handled.
`, r.Seed, r.For, r.Processes, r.Partitions, report.Grouped(r.Streams), report.Grouped(r.Rate), r.LeaseTTL, r.SessionTTL, r.Checkpoint)
	report.Goal(out, "messages that are missing", float64(r.Missing+r.Unhandled), "at most", 0)
	report.Goal(out, "messages out of order", float64(r.Disordered), "at most", 0)
	report.Goal(out, "messages handled by an owner that was already replaced", float64(r.Stale), "at most", 0)
	report.Goal(out, "messages handled again without a reason", float64(r.Unexcused), "at most", 0)
	report.Goal(out, "errors that processes logged", float64(len(r.Errors)), "at most", 0)
	report.Goal(out, "processes that did not start or drain cleanly", float64(len(r.BadEnds)), "at most", 0)
}
