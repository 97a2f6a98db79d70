package metrics

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/metrics.md from the table")

const document = "../../../docs/metrics.md"

// What follows this line in the document comes from the table; what precedes it is written by hand.
const generated = "<!-- A test writes the rest from engine/internal/metrics/table.go, gauge.go, feed.go and schedule.go. -->\n"

var sections = [kinds]string{
	isCounter:   "\n## Counters\n\n",
	isHistogram: "\n## Histograms\n\n",
	isGauge: `
## Gauges

A gauge is gone when its engine has ended. Where several engines of a process have the same service and registerer, it is
their sum or the greatest of them, as it says here. One of *the fleet* is measured by the process whose turn it is to scan a
partition, once per recovery interval, and shown by that process until two intervals have passed: take the greatest over
all processes.

`,
}

var combined = map[combine]string{sum: "sum", greatest: "greatest", fleet: "the fleet"}

// numbers says how many series there are. TestSeriesAreAsManyAsDocumented, in package engine, compares that with a running engine.
func numbers() string {
	n := numbersOf(ofEngine)
	feed, schedule := numbersOf(ofFeed), numbersOf(ofSchedule)
	return fmt.Sprintf("\n## How many series\n\nA service has %d counters and %d histograms, which Prometheus stores as %d series; at most %d gauges, and "+
		"at most %d for each\npartition. With one partition that is %d series in all. Those of all processes of a service have the same names; a scrape adds `instance`.\n"+
		"Where messages are read with `feed`, there are %d more series: %d counters, %d histograms and %d gauges;\n"+
		"where schedules tick with `schedule`, %d more: %d, %d and %d.\n",
		n.counters, n.histograms, n.stored, n.once, n.each, n.counters+n.stored+n.once+n.each,
		feed.counters+feed.stored+feed.once, feed.counters, feed.histograms, feed.once,
		schedule.counters+schedule.stored+schedule.once, schedule.counters, schedule.histograms, schedule.once)
}

type seriesOf struct{ counters, histograms, stored, once, each int }

func numbersOf(p part) (n seriesOf) {
	for _, r := range tables[p] {
		for _, values := range r.series() {
			switch {
			case values == nil:
			case r.kind == isCounter:
				n.counters++
			case r.kind == isHistogram:
				n.histograms++
				n.stored += len(r.buckets) + len([]string{"+Inf", "_sum", "_count"})
			case r.partition:
				n.each++
			default:
				n.once++
			}
		}
	}
	return n
}

// described returns the document that the table makes.
func described() string {
	var b strings.Builder
	b.WriteString(numbers())
	for k := range kind(kinds) {
		b.WriteString(sections[k])
		rows := slices.DeleteFunc(everyRow(), func(r *row) bool { return r.kind != k })
		slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(a.name, b.name) })
		for _, r := range rows {
			labels := ""
			if names := r.names()[1:]; len(names) > 0 {
				labels = "{" + strings.Join(names, ",") + "}"
			}
			fmt.Fprintf(&b, "- `%s_%s%s`", namespace, r.name, labels)
			if r.kind == isGauge {
				fmt.Fprintf(&b, " (%s)", combined[r.combine])
			}
			fmt.Fprintf(&b, ": %s\n", strings.TrimSpace(r.help+" "+r.more))
			fmt.Fprintf(&b, "  - *use*: %s\n", r.use)
			for _, l := range r.labels {
				fmt.Fprintf(&b, "  - `%s`%s\n", l.name, l.described())
			}
		}
	}
	return b.String()
}

func (l dimension) described() string {
	text := ""
	if l.about != "" {
		text = ", " + l.about
	}
	if l.unlisted {
		return text
	}
	var values []string
	for _, v := range l.values {
		switch {
		case v.name == "":
		case v.meaning == "":
			values = append(values, "`"+v.name+"`")
		default:
			values = append(values, fmt.Sprintf("`%s` (%s)", v.name, v.meaning))
		}
	}
	return text + ": " + strings.Join(values, ", ")
}

func TestMetricsAreAsDocumented(t *testing.T) {
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	byHand, rest, found := strings.Cut(string(text), generated)
	require.True(t, found)
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(byHand+generated+described()), 0o644))
		return
	}
	require.Equal(t, described(), rest, "go test ./engine/internal/metrics -run AsDocumented -update")
}
