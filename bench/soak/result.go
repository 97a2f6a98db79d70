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
		t.Row("entries that nobody should send: "+name, report.Grouped(s.Poisoned[name]))
	}
	t.Row("announcements", report.Grouped(s.Announced))
	t.Row("ownerships", report.Grouped(s.Ownerships))
	t.Row("done", report.Grouped(s.Done))
	t.Row("done again, though they were done before", report.Grouped(s.Again))
	t.Row("ended by a Done of unknown outcome", report.Grouped(s.Unknown))
	t.Row("failed by lot", report.Grouped(s.Failed))
	t.Row("handed back", report.Grouped(s.HandedBack))
	t.Row("not ended by the owner, and recovered", report.Grouped(s.Recovered))
	t.Row("without an owner then, p50", report.Milliseconds(s.Without.P50))
	t.Row("without an owner then, p99", report.Milliseconds(s.Without.P99))
	t.Row("without an owner then, max", report.Milliseconds(s.Without.Max))
	t.Row("announcements that became dead letters, as they may", report.Grouped(s.Letters))
	for _, why := range slices.Sorted(maps.Keys(s.Excused)) {
		t.Row("lost by hand "+why, report.Grouped(s.Excused[why]))
	}
	t.Row("stranded by hand, and brought back by hand", report.Grouped(s.Requeued))
	t.Row("starts of pods that failed, and were tried again", report.Grouped(s.Refused))
	t.Row("pods that ended with an error, as they may", report.Grouped(s.Erred))
	t.Row("announcements that nobody was done with", report.Grouped(s.Lost))
	t.Row("poison that is neither done nor a dead letter", report.Grouped(s.Missing))
	t.Row("left on the server in the calm", s.Left)
	t.Write(out)
	if s.Overlaps != "" {
		fmt.Fprintf(out, "\n%s\n", s.Overlaps)
	}
	if s.Lost > 0 {
		fmt.Fprintf(out, "\nnobody was done with announcements of %s\n", strings.Join(s.LostOf, ", "))
	}
	for _, end := range s.BadEnds {
		fmt.Fprintf(out, "\ndid not end in good order: %s\n", end)
	}
	fmt.Fprintf(out, `
Seed %d; %v of troubles, rounds: %d; %d pods, partitions: %d, %s announcements in play of %s streams; lease TTL %v, session TTL %v.
What happens to a pod lasts for up to twice the session TTL. A link that is cut resets connections, one that flickers too, and takes new
ones at once; a stalled one lets nothing through, a delayed one is slow, one unanswered loses the answer to a script.
Each round ends in a calm: all is done, nobody is there but the pods that run, and these end in good order.
without an owner  from when the last owner was last seen to own the stream, by its own journal, until the next one was told of it
`, s.Seed, s.For, s.Rounds, s.Pods, max(s.Partitions, 1), report.Grouped(s.Streams), report.Grouped(streamsPerEntry*s.Streams), s.LeaseTTL, s.SessionTTL)
	writeTroubles(out, s)
	if s.Spared != "" {
		fmt.Fprintf(out, "Nothing happened to links: no proxy can stand before %s.\n", s.Spared)
	}
	overlaps := 0
	if s.Overlaps != "" {
		overlaps = 1
	}
	report.Goal(out, "rounds whose journals show two owners or falling tokens", float64(overlaps), "at most", 0)
	report.Goal(out, "announcements that nobody was done with", float64(s.Lost), "at most", 0)
	report.Goal(out, "poison that is neither done nor a dead letter", float64(s.Missing), "at most", 0)
	report.Goal(out, "pods that did not end in good order", float64(len(s.BadEnds)), "at most", 0)
	report.Goal(out, "left on the server in the calm", float64(s.Left.sum()), "at most", 0)
}

// writeTroubles says what it is that happens besides to pods.
func writeTroubles(out io.Writer, s Result) {
	o := &s.Options
	if s.Outages == nil {
		fmt.Fprintln(out, "Nothing happened to the server, which is not ours, and no large entries were sent to it.")
	} else if o.has(OnServer) {
		fmt.Fprintln(out, "The server stands still or is killed, for up to twice the session TTL, and comes back with all that it had acknowledged.")
	}
	if s.NoClock != "" {
		fmt.Fprintf(out, "Nothing happened to the server's clock: %s.\n", s.NoClock)
	} else if s.Outages != nil && o.has(OnClock) {
		fmt.Fprintf(out, "The server's clock is stepped forward by less than the library's margin, and back by up to %v.\n", maxStep)
	}
	if len(o.acts()) > 0 {
		fmt.Fprintln(out, `Operators acknowledge, delete and trim entries by hand, and delete consumers of pods that live. What they took when nobody held it, or
from a pod that was killed or in trouble before it could notice, may be lost, or is brought back by hand in the calm; nothing else.`)
	}
	if o.has(Poison) || o.has(Large) {
		fmt.Fprintln(out, "What nobody should send may become a dead letter, and must where nothing can be read from it.")
	}
	if len(o.Troubles) < len(troubles) {
		fmt.Fprintf(out, "What happens was chosen: %s.\n", strings.Join(o.Troubles, ", "))
	}
}
