package dashboards

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// selector is a metric in an expression.
type selector struct {
	name     string
	matchers []matcher
	function string // what it is an argument of
	ranged   bool   // over a time
}

type matcher struct{ label, op, value string }

// expression is what is read out of one in PromQL: not its meaning, just the names in it. promtool checks the rest.
type expression struct {
	selectors []selector
	grouped   [][]string // the labels after each by, without, on and ignoring
}

var (
	token     = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\{[^}]*\}|[a-zA-Z_:][\w:]*|\d[\w.]*|\S`)
	oneMatch  = regexp.MustCompile(`^\s*(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*(?:,|$)`)
	name      = regexp.MustCompile(`^[a-zA-Z_:]`)
	grouping  = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	operators = []string{"and", "or", "unless", "offset", "bool"}
)

func parse(text string) (e expression, err error) {
	tokens := token.FindAllString(text, -1)
	at := func(i int) string {
		if i < len(tokens) {
			return tokens[i]
		}
		return ""
	}
	var open []string // the functions whose arguments these are
	for i := 0; i < len(tokens); i++ {
		switch now := tokens[i]; {
		case slices.Contains(grouping, now):
			labels := []string{}
			for i += 2; i < len(tokens) && at(i) != ")"; i++ {
				if at(i) != "," {
					labels = append(labels, at(i))
				}
			}
			e.grouped = append(e.grouped, labels)
		case now == "(":
			open = append(open, "")
		case now == ")":
			if len(open) == 0 {
				return e, errors.New("too many brackets are closed")
			}
			open = open[:len(open)-1]
		case !name.MatchString(now) || slices.Contains(operators, now):
		case at(i+1) == "(":
			open = append(open, now)
			i++
		case slices.Contains(grouping, at(i+1)): // sum by (x) (…)
			labels := []string{}
			for i += 3; i < len(tokens) && at(i) != ")"; i++ {
				if at(i) != "," {
					labels = append(labels, at(i))
				}
			}
			e.grouped = append(e.grouped, labels)
			open = append(open, now)
			i++
		default:
			s := selector{name: now}
			if len(open) > 0 {
				s.function = open[len(open)-1]
			}
			if braces := at(i + 1); strings.HasPrefix(braces, "{") {
				if s.matchers, err = matchers(braces[1 : len(braces)-1]); err != nil {
					return e, err
				}
				i++
			}
			s.ranged = strings.HasPrefix(at(i+1), "[")
			e.selectors = append(e.selectors, s)
		}
	}
	return e, nil
}

func matchers(text string) (all []matcher, err error) {
	for strings.TrimSpace(text) != "" {
		m := oneMatch.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("cannot read the labels %q", text)
		}
		all = append(all, matcher{m[1], m[2], m[3]})
		text = text[len(m[0]):]
	}
	return all, nil
}

// objection returns what is wrong with the names in an expression, or nothing. recorded are the names of recording rules.
func (c catalogue) objection(text string, recorded map[string]string) error {
	e, err := parse(text)
	if err != nil {
		return err
	}
	labels := slices.Clone(targets)
	for _, s := range e.selectors {
		if _, is := recorded[s.name]; is || s.name == "ALERTS" {
			labels = append(labels, "partition", "alertname", "severity", "alertstate")
			continue
		}
		has, err := c.of(s)
		if err != nil {
			return err
		}
		for label := range has {
			labels = append(labels, label)
		}
		for _, m := range s.matchers {
			if err := admits(has, m); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	for _, group := range e.grouped {
		for _, label := range group {
			if !slices.Contains(labels, label) {
				return fmt.Errorf("no metric here has the label %q", label)
			}
		}
	}
	return nil
}

// of returns the labels of a metric, if it is used as what it is.
func (c catalogue) of(s selector) (map[string][]string, error) {
	base, suffix := s.name, ""
	if c[base] == nil {
		for _, suffix = range []string{"_bucket", "_sum", "_count"} {
			if cut, is := strings.CutSuffix(s.name, suffix); is {
				base = cut
				break
			}
		}
	}
	m := c[base]
	if m == nil || (m.kind == "Histograms") != (base != s.name) {
		return nil, fmt.Errorf("there is no metric %s", s.name)
	}
	counts := slices.Contains([]string{"rate", "increase"}, s.function)
	switch {
	case m.kind == "Gauges" && counts:
		return nil, fmt.Errorf("%s is a gauge, and no counter", s.name)
	case m.kind != "Gauges" && !counts && !slices.Contains([]string{"count", "absent"}, s.function):
		return nil, fmt.Errorf("%s is a counter: of each process by itself, and only its increase says something", s.name)
	case counts && !s.ranged:
		return nil, fmt.Errorf("%s: over which time", s.name)
	}
	has := map[string][]string{}
	for _, label := range targets {
		has[label] = nil
	}
	for label, values := range m.labels {
		has[label] = values
	}
	if suffix == "_bucket" {
		has["le"] = nil
	}
	return has, nil
}

// admits reports whether something can have a label with such a value.
func admits(has map[string][]string, m matcher) error {
	values, there := has[m.label]
	if !there {
		return fmt.Errorf("it has no label %q", m.label)
	}
	if values == nil || strings.HasPrefix(m.value, "$") {
		return nil
	}
	wanted := []string{m.value}
	if strings.HasSuffix(m.op, "~") {
		wanted = strings.Split(m.value, "|")
	}
	for _, v := range wanted {
		if !slices.Contains(values, v) {
			return fmt.Errorf("the label %q is never %q", m.label, v)
		}
	}
	return nil
}

// names returns those of the metrics in an expression, what recording rules stand for included. Histograms are without suffix.
func (c catalogue) names(t *testing.T, text string, recorded map[string]string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	e, err := parse(text)
	require.NoError(t, err)
	for _, s := range e.selectors {
		if of := recorded[s.name]; of != "" {
			for name := range c.names(t, of, nil) {
				all[name] = true
			}
			continue
		}
		base := s.name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if cut, is := strings.CutSuffix(s.name, suffix); is && c[s.name] == nil {
				base = cut
			}
		}
		all[base] = true
	}
	return all
}

// Each objection is raised, and none against what is right.
func TestObjections(t *testing.T) {
	c, recorded := metrics(t), map[string]string{"service:x:sum": "sum(streamlease_held)"}
	for _, right := range []string{
		`sum by (service, cause) (increase(streamlease_disowned_total{cause!="closed"}[5m])) > 0`,
		`histogram_quantile(0.99, sum by (service, le) (rate(streamlease_script_duration_seconds_bucket{script="renew",pod=~"$pod"}[$__rate_interval]))) > 0.1`,
		`max without (partition) (streamlease_intake >= 4 < 6) and on (service) service:x:sum > 32 * 1024`,
		`absent(streamlease_entries_read_total) or min_over_time(streamlease_full[1d]) offset 5m == 1`,
		`sum(streamlease_feed_lag_seconds_sum)`,
	} {
		require.NoError(t, c.objection(right, recorded), right)
	}
	for wrong, why := range map[string]string{
		`sum(streamlease_hold)`:                                         "no metric streamlease_hold",
		`sum(service:y:sum)`:                                            "no metric service:y:sum",
		`rate(streamlease_renewal_lateness_seconds[5m])`:                "no metric streamlease_renewal_lateness_seconds",
		`rate(streamlease_held_bucket[5m])`:                             "no metric",
		`increase(streamlease_disowned_total{cause="close"}[5m])`:       `never "close"`,
		`increase(streamlease_disowned_total{cause=~"lease|x"}[5m])`:    `never "x"`,
		`increase(streamlease_disowned_total{reason="lease"}[5m])`:      `no label "reason"`,
		`sum by (partition) (increase(streamlease_disowned_total[5m]))`: `has the label "partition"`,
		`sum(streamlease_disowned_total) > 0`:                           "is a counter",
		`increase(sum(streamlease_disowned_total)[5m])`:                 "is a counter",
		`rate(streamlease_held[5m])`:                                    "is a gauge",
		`rate(streamlease_entries_read_total)`:                          "over which time",
		`sum(streamlease_held{partition})`:                              "cannot read",
		`sum(streamlease_held))`:                                        "closed",
	} {
		require.ErrorContains(t, c.objection(wrong, recorded), why, wrong)
	}
	require.Equal(t, map[string]bool{"streamlease_held": true, "streamlease_script_duration_seconds": true, "streamlease_feed_lag_seconds_sum": true},
		c.names(t, `service:x:sum > rate(streamlease_script_duration_seconds_bucket[5m]) + streamlease_feed_lag_seconds_sum`, recorded))
}
