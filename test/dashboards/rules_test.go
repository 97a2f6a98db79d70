package dashboards

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const runbook = "https://github.com/streamlease/streamlease/blob/main/docs/operations.md#"

type rule struct {
	Record      string
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

// rulesOf reads docs/prometheus/rules.yml.
func rulesOf(t *testing.T) (alerts []rule, recorded map[string]string) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "docs", "prometheus", "rules.yml")), &file))
	recorded = make(map[string]string)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				recorded[r.Record] = r.Expr
			} else {
				alerts = append(alerts, r)
			}
		}
	}
	require.NotEmpty(t, alerts)
	return alerts, recorded
}

// wrapped returns the rules as the operator of Prometheus wants them.
func wrapped(t *testing.T) string {
	t.Helper()
	_, groups, found := strings.Cut(read(t, "docs", "prometheus", "rules.yml"), "\ngroups:\n")
	require.True(t, found)
	var b strings.Builder
	b.WriteString("# rules.yml for the operator of Prometheus. A test writes it: change that file.\n" +
		"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: streamlease\nspec:\n  groups:\n")
	for line := range strings.Lines(groups) {
		if line != "\n" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}

func TestPrometheusRuleIsTheRules(t *testing.T) {
	want := wrapped(t)
	if *update {
		require.NoError(t, os.WriteFile(filepath.Join(root, "docs", "prometheus", "prometheusrule.yml"), []byte(want), 0o644))
		return
	}
	require.True(t, want == read(t, "docs", "prometheus", "prometheusrule.yml"),
		"docs/prometheus/prometheusrule.yml is another: go test ./test/dashboards -run IsTheRules -update")
	var resource struct {
		Spec struct{ Groups any }
	}
	require.NoError(t, yaml.Unmarshal([]byte(want), &resource))
	var rules struct{ Groups any }
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "docs", "prometheus", "rules.yml")), &rules))
	require.Equal(t, rules.Groups, resource.Spec.Groups)
}

func TestRulesNameWhatExists(t *testing.T) {
	c := metrics(t)
	alerts, recorded := rulesOf(t)
	for name, expr := range recorded {
		require.NoError(t, c.objection(expr, nil), name)
	}
	for _, r := range alerts {
		require.NoError(t, c.objection(r.Expr, recorded), r.Alert)
	}
}

var labelUsed = regexp.MustCompile(`\$labels\.(\w+)`)

func TestAlertsAreComplete(t *testing.T) {
	alerts, recorded := rulesOf(t)
	seen := make(map[string]bool)
	for _, r := range alerts {
		require.Regexp(t, `^Streamlease[A-Z][A-Za-z]+$`, r.Alert)
		require.False(t, seen[r.Alert], "%s is there twice", r.Alert)
		seen[r.Alert] = true
		for name, expr := range recorded {
			r.Expr = strings.ReplaceAll(r.Expr, name, "("+expr+")")
		}
		require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
		require.Equal(t, runbook+strings.ToLower(r.Alert), r.Annotations["runbook_url"])
		for _, text := range []string{"summary", "description"} {
			require.NotEmpty(t, r.Annotations[text], r.Alert)
			if r.Alert != "StreamleaseNotScraped" { // there is nothing that could have labels
				require.Contains(t, r.Annotations[text], "$labels.service", r.Alert)
			}
			for _, label := range labelUsed.FindAllStringSubmatch(r.Annotations[text], -1) {
				require.True(t, keeps(t, r.Expr, label[1]), "%s: its expression has no label %s", r.Alert, label[1])
			}
		}
		// A process is named by its pod or its address.
		require.Equal(t, strings.Contains(r.Annotations["description"], "$labels.pod"), keeps(t, r.Expr, "pod"), r.Alert)
	}
}

// keeps reports whether the result of an expression has a label: no aggregation leaves it out.
func keeps(t *testing.T, expr, label string) bool {
	t.Helper()
	for _, by := range regexp.MustCompile(`\bby \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		// What is left of an inner aggregation is in its outer one.
		if !slices.Contains(strings.Split(by[1], ", "), label) {
			return false
		}
	}
	for _, without := range regexp.MustCompile(`\bwithout \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		if slices.Contains(strings.Split(without[1], ", "), label) {
			return false
		}
	}
	return !strings.Contains(expr, "absent(")
}

// Each metric of which docs/metrics.md says that it is worth an alert has one.
func TestMetricsWorthAnAlertHaveOne(t *testing.T) {
	c := metrics(t)
	alerts, recorded := rulesOf(t)
	used := make(map[string]bool)
	for _, r := range alerts {
		for name := range c.names(t, r.Expr, recorded) {
			used[name] = true
		}
	}
	worth := regexp.MustCompile(`\b[Aa]lert\b`)
	for name, m := range c {
		require.True(t, used[name] || !worth.MatchString(m.use), "%s: no rule uses it, and its use is: %s", name, m.use)
	}
}

// The table in docs/operations.md has what the rules have, in their order, and each alert has a heading.
func TestAlertsAreInTheRunbook(t *testing.T) {
	c := metrics(t)
	alerts, recorded := rulesOf(t)
	_, section, found := strings.Cut(read(t, "docs", "operations.md"), "\n## Alerts\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	table, texts, found := strings.Cut(section, "\n### What to do about alerts\n")
	require.True(t, found)
	rows := regexp.MustCompile(`(?m)^\| \[(Streamlease\w+)\]\(#(\w+)\) \| (\w+) \| (.+) \|$`).FindAllStringSubmatch(table, -1)
	headings := regexp.MustCompile(`(?m)^#### (\w+)$`).FindAllStringSubmatch(texts, -1)
	require.Len(t, rows, len(alerts))
	require.Len(t, headings, len(alerts))
	for i, r := range alerts {
		require.Equal(t, []string{r.Alert, strings.ToLower(r.Alert), r.Labels["severity"]}, rows[i][1:4])
		require.Equal(t, r.Alert, headings[i][1])
		if slices.Contains([]string{"StreamleaseGone", "StreamleaseNotScraped"}, r.Alert) {
			continue // any metric would do
		}
		for name := range c.names(t, r.Expr, recorded) {
			require.Regexp(t, "`[^`]*\\b"+strings.TrimPrefix(name, "streamlease_")+"\\b[^`]*`", rows[i][4], r.Alert)
		}
	}
}

// testsOf reads what promtool runs, on series that exist.
func testsOf(t *testing.T) (files []string, cases map[string][]moment) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "docs", "prometheus", "*_test.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	cases, known := make(map[string][]moment), metrics(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var content struct {
			Tests []struct {
				Name    string
				Series  []struct{ Series string } `yaml:"input_series"`
				Moments []moment                  `yaml:"promql_expr_test"`
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &content))
		for _, c := range content.Tests {
			require.NotContains(t, cases, c.Name, "%s is there twice", c.Name)
			cases[c.Name] = c.Moments
			for _, in := range c.Series {
				require.NoError(t, known.objection("count("+in.Series+")", nil), in.Series)
			}
		}
	}
	return files, cases
}

// moment is a time, and what fires then.
type moment struct {
	Expr   string
	Firing []struct{ Labels string } `yaml:"exp_samples"`
}

// Each alert has a time at which it fires, and one at which it does not. What fires is asked for as a whole, so nothing else does then.
func TestEveryAlertIsTested(t *testing.T) {
	_, cases := testsOf(t)
	alerts, _ := rulesOf(t)
	for _, r := range alerts {
		fires := make(map[bool]int)
		for _, m := range cases[r.Alert] {
			require.Equal(t, `count by (alertname) (ALERTS{alertstate="firing"})`, m.Expr, r.Alert)
			there := false
			for _, f := range m.Firing {
				there = there || f.Labels == `{alertname="`+r.Alert+`"}`
			}
			fires[there]++
		}
		require.Positive(t, fires[true], "%s: a time at which it fires", r.Alert)
		require.Positive(t, fires[false], "%s: a time at which it does not", r.Alert)
	}
	require.Contains(t, cases, "deploy")
}
