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

var update = flag.Bool("update", false, "write docs/METRICS.md from the table")

const document = "../../../docs/METRICS.md"

const introduction = `# Metrics

With ` + "`WithRegisterer`" + `. All series carry the label ` + "`service`" + `; none carries the name of a data stream, so their number depends on
partitions and scripts alone. Counters and histograms exist from the start, at zero. What each is good for is in the
[README](../README.md#metrics). A test writes this list from ` + "`engine/internal/metrics/table.go`" + `.
`

var sections = [kinds]string{
	isCounter:   "\n## Counters\n\n",
	isHistogram: "\n## Histograms\n\n",
	isGauge: `
## Gauges

A gauge is gone when its engine has stopped. Where several engines of a process have the same service and registerer, it is
their sum or the greatest of them, as it says here. One of *the fleet* is measured by the process whose turn it is to scan a
partition, once per recovery interval, and shown by that process until two intervals have passed: take the greatest over
all processes.

`,
}

var combined = map[combine]string{sum: "sum", greatest: "greatest", fleet: "the fleet"}

// described returns the document that the table makes.
func described() string {
	var b strings.Builder
	b.WriteString(introduction)
	for k := range kind(kinds) {
		b.WriteString(sections[k])
		rows := slices.DeleteFunc(slices.Clone(table), func(r *row) bool { return r.kind != k })
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
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(described()), 0o644))
		return
	}
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	require.Equal(t, described(), string(text), "go test ./engine/internal/metrics -run AsDocumented -update")
}
