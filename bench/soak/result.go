package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/streamlease/streamlease/bench/report"
)

func writeResult(out io.Writer, s Result) {
	t := report.NewTable("what happened", "")
	for _, name := range slices.Sorted(maps.Keys(s.Struck)) {
		t.Row("pods "+name, report.Grouped(s.Struck[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Outages)) {
		t.Row("the server "+name, report.Grouped(s.Outages[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.ByHand)) {
		t.Row("entries by hand, "+name, report.Grouped(s.ByHand[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Poisoned)) {
		t.Row("poison entries: "+name, report.Grouped(s.Poisoned[name]))
	}
	t.Row("announcements", report.Grouped(s.Announced))
	t.Row("ownerships", report.Grouped(s.Ownerships))
	t.Row("done", report.Grouped(s.Done))
	t.Row("done once more, though they were done before", report.Grouped(s.Again))
	t.Row("ended by a Done whose outcome is unknown", report.Grouped(s.Unknown))
	t.Row("failed at random", report.Grouped(s.Failed))
	t.Row("handed back", report.Grouped(s.HandedBack))
	t.Row("not ended by the owner, and recovered", report.Grouped(s.Recovered))
	t.Row("without an owner then, p50", report.Milliseconds(s.Without.P50))
	t.Row("without an owner then, p99", report.Milliseconds(s.Without.P99))
	t.Row("without an owner then, max", report.Milliseconds(s.Without.Max))
	t.Row("announcements that became dead letters, which is allowed", report.Grouped(s.Letters))
	for _, why := range slices.Sorted(maps.Keys(s.Excused)) {
		t.Row("lost by hand, "+why, report.Grouped(s.Excused[why]))
	}
	t.Row("stranded by hand, then requeued by hand", report.Grouped(s.Requeued))
	t.Row("starts of pods that failed and were retried", report.Grouped(s.Refused))
	t.Row("pods that ended with an error, which is allowed", report.Grouped(s.Erred))
	t.Row("announcements that nobody finished", report.Grouped(s.Lost))
	t.Row("poison that is neither done nor a dead letter", report.Grouped(s.Missing))
	t.Row("left on the server in the calm", s.Left)
	t.Row("pods that did not shut down cleanly", report.Grouped(len(s.BadEnds)))
	overlaps := 0
	if s.Overlaps != "" {
		overlaps = 1
	}
	t.Row("rounds whose journals show two owners or falling tokens", overlaps)
	t.Write(out)
	if s.Overlaps != "" {
		fmt.Fprintf(out, "\n%s\n", s.Overlaps)
	}
	if s.Lost > 0 {
		fmt.Fprintf(out, "\nnobody finished announcements of %s\n", strings.Join(s.LostOf, ", "))
	}
	for _, end := range s.BadEnds {
		fmt.Fprintf(out, "\ndid not shut down cleanly: %s\n", end)
	}
	fmt.Fprintf(out, `
Seed %d; %v of troubles, rounds: %d; %d pods, partitions: %d, %s announcements in play of %s streams; lease TTL %v, session TTL %v.
A trouble of a pod lasts up to twice the session TTL. A link that is cut or flickers resets its connections and accepts new ones at once;
a stalled one lets nothing through, a delayed one is slow, an unanswered one loses the answer to a script.
Each round ends in a calm: everything is done, only the running pods are left, and they shut down cleanly.
without an owner  from the last moment at which the previous owner owned the stream, by its own journal, until the next one was notified
`, s.Seed, s.For, s.Rounds, s.Pods, max(s.Partitions, 1), report.Grouped(s.Streams), report.Grouped(streamsPerEntry*s.Streams), s.LeaseTTL, s.SessionTTL)
	writeTroubles(out, s)
	if s.Spared != "" {
		fmt.Fprintf(out, "Links were left alone: a proxy cannot stand in front of %s.\n", s.Spared)
	}
	report.Goal(out, "rounds whose journals show two owners or falling tokens", float64(overlaps), "at most", 0)
	report.Goal(out, "announcements that nobody finished", float64(s.Lost), "at most", 0)
	report.Goal(out, "poison that is neither done nor a dead letter", float64(s.Missing), "at most", 0)
	report.Goal(out, "pods that did not shut down cleanly", float64(len(s.BadEnds)), "at most", 0)
	report.Goal(out, "left on the server in the calm", float64(s.Left.sum()), "at most", 0)
}

// writeTroubles describes the troubles that do not strike pods.
func writeTroubles(out io.Writer, s Result) {
	o := &s.Options
	if s.Outages == nil {
		fmt.Fprintln(out, "The server, which is not ours, was left alone, and no large entries were sent to it.")
	} else if o.has(OnServer) {
		fmt.Fprintln(out, "The server is paused or killed, for up to twice the session TTL, and comes back with all that it had acknowledged.")
	}
	if s.NoClock != "" {
		fmt.Fprintf(out, "The server's clock was left alone: %s.\n", s.NoClock)
	} else if s.Outages != nil && o.has(OnClock) {
		fmt.Fprintf(out, "The server's clock is stepped forward by less than the library's margin, and back by up to %v.\n", maxStep)
	}
	if len(o.acts()) > 0 {
		fmt.Fprintln(out, `Operators acknowledge, delete and trim entries by hand, and delete the consumers of live pods. What they took while nobody held it, or
from a pod that was killed or in trouble before it could notice, may be lost, or is requeued by hand in the calm; nothing else.`)
	}
	if o.has(Poison) || o.has(Large) {
		fmt.Fprintln(out, "Poison entries may become dead letters, and must where nothing can be read from them.")
	}
	if len(o.Troubles) < len(troubles) {
		fmt.Fprintf(out, "Only these troubles struck: %s.\n", strings.Join(o.Troubles, ", "))
	}
}
