package dashboards

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

const root = "../.."

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	require.NoError(t, err)
	return string(text)
}

// metric is one that exists.
type metric struct {
	kind   string              // Counters, Histograms, Gauges
	labels map[string][]string // with their values; nil where any is possible
	fleet  bool                // one process at a time shows it
	use    string
}

// catalogue has all metrics by name.
type catalogue map[string]*metric

// targets are labels that a scrape adds. A service may be told apart by the first two, and a process by the others.
var targets = []string{"namespace", "cluster", "service", "pod", "instance"}

var (
	metricLine = regexp.MustCompile("^- `(streamlease_\\w+)(?:\\{([a-z,]+)\\})?`(?: \\((sum|greatest|the fleet)\\))?: ")
	labelLine  = regexp.MustCompile("^  - `(\\w+)`([^:]*)(?:: (.*))?$")
	labelValue = regexp.MustCompile("`(\\w+)`(?: \\([^)]*\\))?(?:, |$)")
)

// metrics reads docs/metrics.md, which a test of engine/internal/metrics writes from the table of all metrics.
func metrics(t *testing.T) catalogue {
	t.Helper()
	all := make(catalogue)
	var kind string
	var last *metric
	for line := range strings.Lines(read(t, "docs", "metrics.md")) {
		line = strings.TrimRight(line, "\n")
		if heading, is := strings.CutPrefix(line, "## "); is {
			kind = heading
		}
		if m := metricLine.FindStringSubmatch(line); m != nil {
			last = &metric{kind: kind, labels: make(map[string][]string), fleet: m[3] == "the fleet"}
			for label := range strings.SplitSeq(m[2], ",") {
				if label != "" {
					last.labels[label] = nil
				}
			}
			all[m[1]] = last
		} else if use, is := strings.CutPrefix(line, "  - *use*: "); is {
			last.use = use
		} else if m := labelLine.FindStringSubmatch(line); m != nil {
			require.Contains(t, last.labels, m[1], line)
			for _, v := range labelValue.FindAllStringSubmatch(m[3], -1) {
				last.labels[m[1]] = append(last.labels[m[1]], v[1])
			}
			if m[1] == "script" {
				last.labels["script"] = scripts()
			}
			require.NotEmpty(t, last.labels[m[1]], line)
		}
	}
	return all
}

func scripts() (names []string) {
	for _, s := range slices.Concat(lease.Scripts(), scan.Scripts()) {
		names = append(names, s.Name())
	}
	return names
}

func TestCatalogue(t *testing.T) {
	all := metrics(t)
	require.Greater(t, len(all), 100)
	require.Equal(t, []string{"lease", "session", "deadline", "closed", "announcement"}, all["streamlease_disowned_total"].labels["cause"])
	require.Equal(t, []string{"1s", "10s", "1m", "10m"}, all["streamlease_feed_behind_streams"].labels["age"])
	require.Contains(t, all["streamlease_script_errors_total"].labels["script"], "renew")
	require.Equal(t, map[string][]string{"partition": nil}, all["streamlease_lag"].labels)
	require.True(t, all["streamlease_lag"].fleet)
	for name, m := range all {
		require.NotEmpty(t, m.use, name)
		require.Contains(t, []string{"Counters", "Histograms", "Gauges"}, m.kind, name)
	}
}
