package dashboards

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write docs/grafana/streamlease.json and docs/prometheus/prometheusrule.yml")

const dashboard = "docs/grafana/streamlease.json"

// object is one in JSON. Keys come sorted, so the file changes only with what it says.
type object = map[string]any

const (
	ofServices  = `{namespace=~"$namespace",service=~"$service"`
	ofProcesses = ofServices + `,pod=~"$pod",instance=~"$instance"`
)

// written returns an expression as Grafana gets it.
func (q query) written() string {
	return strings.NewReplacer("{P", ofProcesses, "{F", ofServices, "[W]", "[$__rate_interval]").Replace(q.expr)
}

var source = object{"type": "prometheus", "uid": "${datasource}"}

// heights of panels, in units of Grafana's grid.
var heights = map[kind]int{stat: 4, table: 4, lines: 8, stack: 8}

// drawn returns the dashboard as JSON.
func drawn(t *testing.T) []byte {
	t.Helper()
	c := metrics(t)
	alerts, _ := rulesOf(t)
	var panels []object
	id, y := 0, 0
	for _, r := range board {
		id++
		head := object{"id": id, "type": "row", "title": r.title, "collapsed": r.closed, "gridPos": grid(0, y, 24, 1), "panels": []object{}}
		panels = append(panels, head)
		y++
		var inside []object
		x, tallest := 0, 0
		for _, p := range r.panels {
			if x+p.width > 24 {
				x, y, tallest = 0, y+tallest, 0
			}
			id++
			drawn := p.drawn(t, c, alerts)
			drawn["id"], drawn["gridPos"] = id, grid(x, y, p.width, heights[p.kind])
			inside = append(inside, drawn)
			x, tallest = x+p.width, max(tallest, heights[p.kind])
		}
		y += tallest
		if r.closed {
			head["panels"] = inside
		} else {
			panels = append(panels, inside...)
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // of comparisons
	require.NoError(t, e.Encode(object{
		"uid": "streamlease", "title": "streamlease", "tags": []string{"streamlease"}, "schemaVersion": 39, "version": 1, "editable": true,
		"description": "A service of streamlease. Written by a test from test/dashboards/panels_test.go: change that.",
		"refresh":     "30s", "time": object{"from": "now-3h", "to": "now"}, "timezone": "browser", "graphTooltip": 1,
		"annotations": object{"list": []object{}}, "links": []object{{"title": "Runbook", "type": "link", "url": runbook + "alerts", "targetBlank": true}},
		"templating": object{"list": variables()}, "panels": panels,
	}))
	return text.Bytes()
}

func grid(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

// variables are chosen above the dashboard. All is anything, which a series without that label is, too.
func variables() []object {
	all := []object{{"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus"}}
	choose := func(label, of string) {
		all = append(all, object{"name": label, "type": "query", "datasource": source, "refresh": 2, "sort": 1,
			"query":      object{"query": fmt.Sprintf("label_values(streamlease_entries_read_total%s, %s)", of, label), "refId": label},
			"includeAll": true, "allValue": ".*", "multi": true, "current": object{"text": "All", "value": "$__all"}})
	}
	choose("namespace", "")
	choose("service", `{namespace=~"$namespace"}`)
	choose("pod", ofServices+"}")
	choose("instance", ofServices+`,pod=~"$pod"}`)
	return all
}

func (p panel) drawn(t *testing.T, c catalogue, alerts []rule) object {
	t.Helper()
	var targets []object
	for i, q := range p.queries {
		target := object{"refId": string(rune('A' + i)), "datasource": source, "expr": q.written(), "legendFormat": q.legend}
		if p.kind == table {
			target["format"], target["instant"] = "table", true
		}
		if p.kind == stat {
			target["instant"] = true
		}
		targets = append(targets, target)
	}
	defaults := object{"unit": p.unit, "min": 0, "thresholds": p.thresholds()}
	out := object{"title": p.title, "description": p.described(t, c), "datasource": source, "targets": targets, "links": p.links(t, alerts)}
	out["fieldConfig"] = object{"defaults": defaults, "overrides": []object{}}
	switch p.kind {
	case stat:
		out["type"] = "stat"
		out["options"] = object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
	case table:
		out["type"] = "table"
		delete(defaults, "min")
		delete(defaults, "unit")
		out["transformations"] = []object{{"id": "organize", "options": object{"excludeByName": object{"Time": true, "Value": true}}}}
	default:
		out["type"] = "timeseries"
		custom := object{"fillOpacity": 0, "lineWidth": 1, "showPoints": "never"}
		if p.kind == stack {
			custom["fillOpacity"], custom["stacking"] = 30, object{"mode": "normal"}
		}
		if len(p.limits) > 0 {
			custom["thresholdsStyle"] = object{"mode": "dashed"}
		}
		defaults["custom"] = custom
		out["options"] = object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi", "sort": "desc"}}
	}
	return out
}

func (p panel) thresholds() object {
	steps := []object{{"color": "green", "value": nil}}
	colors := []string{"orange", "red"}[2-max(1, len(p.limits)):]
	for i, limit := range p.limits {
		steps = append(steps, object{"color": colors[i], "value": limit})
	}
	return object{"mode": "absolute", "steps": steps}
}

// described says what a panel is for, in the words of docs/metrics.md.
func (p panel) described(t *testing.T, c catalogue) string {
	t.Helper()
	if p.about != "" {
		return p.about
	}
	e, err := parse(p.queries[0].written())
	require.NoError(t, err)
	name := e.selectors[0].name
	if c[name] == nil {
		name = strings.TrimSuffix(name, "_bucket")
	}
	require.Contains(t, c, name, p.title)
	return c[name].use
}

func (p panel) links(t *testing.T, alerts []rule) []object {
	t.Helper()
	all := []object{}
	for short := range strings.FieldsSeq(p.alerts) {
		name := "Streamlease" + short
		require.True(t, slices.ContainsFunc(alerts, func(r rule) bool { return r.Alert == name }), "%s: there is no alert %s", p.title, name)
		all = append(all, object{"title": name, "url": runbook + strings.ToLower(name), "targetBlank": true})
	}
	return all
}

func TestDashboardIsTheTable(t *testing.T) {
	want := drawn(t)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(dashboard)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, dashboard), want, 0o644))
		return
	}
	require.True(t, string(want) == read(t, dashboard), "%s is another: go test ./test/dashboards -run IsTheTable -update", dashboard)
}

func TestDashboardNamesWhatExists(t *testing.T) {
	c := metrics(t)
	titles := make(map[string]bool)
	for _, r := range board {
		for _, p := range r.panels {
			require.False(t, titles[p.title], "%s is there twice", p.title)
			titles[p.title] = true
			require.LessOrEqual(t, len(p.limits), 2, p.title)
			for _, q := range p.queries {
				require.NoError(t, c.objection(q.written(), nil), "%s: %s", p.title, q.expr)
				require.True(t, q.legend != "" || p.kind == table, "%s: a legend", p.title)
				ofFleet(t, c, q)
			}
		}
	}
}

// What one process shows for all must not depend on which processes are chosen.
func ofFleet(t *testing.T, c catalogue, q query) {
	t.Helper()
	e, err := parse(q.written())
	require.NoError(t, err)
	for _, s := range e.selectors {
		if m := c[s.name]; m != nil && m.fleet {
			require.NotContains(t, s.matchers, matcher{"instance", "=~", "$instance"}, "%s is one of the fleet", s.name)
		}
	}
}

// Each metric is on the dashboard, and each alert is linked where one sees what it is about.
func TestDashboardHasEverything(t *testing.T) {
	c := metrics(t)
	shown, linked := maps.Clone(unshown), make(map[string]bool)
	for _, r := range board {
		for _, p := range r.panels {
			for short := range strings.FieldsSeq(p.alerts) {
				linked["Streamlease"+short] = true
			}
			for _, q := range p.queries {
				for name := range c.names(t, q.written(), nil) {
					require.Empty(t, unshown[name], "%s is shown", name)
					shown[name] = "in " + p.title
				}
			}
		}
	}
	for name := range c {
		require.NotEmpty(t, shown[name], "%s is on no panel, and has no reason not to be", name)
	}
	alerts, _ := rulesOf(t)
	for _, r := range alerts {
		require.True(t, linked[r.Alert], "%s is linked from no panel", r.Alert)
	}
}

// promtool parses each expression, as if it were recorded.
func TestPromtoolAcceptsTheDashboard(t *testing.T) {
	var all []object
	for _, r := range board {
		for _, p := range r.panels {
			for _, q := range p.queries {
				all = append(all, object{"record": fmt.Sprintf("x:%d", len(all)), "expr": strings.ReplaceAll(q.written(), "$__rate_interval", "5m")})
			}
		}
	}
	text, err := yaml.Marshal(object{"groups": []object{{"name": "dashboard", "rules": all}}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	promtool(t, "check", "rules", file)
}
