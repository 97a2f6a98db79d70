package metrics

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

type maker func(r prometheus.Registerer, service string, gauges Source) (*Metrics, error)

// makers make the metrics of each part.
var makers = [parts]maker{ofEngine: New, ofFeed: NewFeed, ofSchedule: NewSchedule}

func everyRow() []*row { return slices.Concat(tables[:]...) }

// A row without documentation fails here; what the documentation says is in docs/metrics.md.
func TestEveryRowIsDocumented(t *testing.T) {
	require.NotEmpty(t, everyRow())
	sentence := regexp.MustCompile(`^[A-Z1].*[a-z0-9]\.$`)
	for _, r := range everyRow() {
		require.Regexp(t, sentence, r.help, "%s: help is a sentence", r.name)
		require.Regexp(t, "^[A-Z0-9`].*\\.$", r.use, "%s: use says what it is for", r.name)
		if r.more != "" {
			require.Regexp(t, `^[A-Z0].*\.$`, r.more, "%s: more is a sentence", r.name)
		}
		for _, l := range r.labels {
			if l.about != "" {
				continue
			}
			for _, v := range l.values {
				require.Equal(t, v.name == "", v.meaning == "", "%s{%s=%q}: say what it means, or what the label is about", r.name, l.name, v.name)
			}
		}
	}
}

func TestEveryRowIsComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range everyRow() {
		require.Regexp(t, `^[a-z]+(_[a-z]+)*$`, r.name)
		require.False(t, seen[r.name], "%s is there twice", r.name)
		seen[r.name] = true
		require.Equal(t, r.kind == isCounter, strings.HasSuffix(r.name, "_total"), r.name)
		require.Equal(t, r.kind == isGauge, r.combine != 0, "%s: how do gauges of several engines become one?", r.name)
		require.Equal(t, r.kind == isHistogram, len(r.buckets) > 0, r.name)
		require.True(t, r.kind == isGauge || !r.partition, r.name)
		require.True(t, r.kind == isHistogram || !r.native, r.name)
		require.True(t, slices.IsSorted(r.buckets), r.name)
		for _, l := range r.labels {
			require.NotEmpty(t, l.values, "%s{%s}", r.name, l.name)
		}
	}
}

// Each child that the table describes is counted as what it is, and as nothing else: each gets a number of its own.
func TestEveryChildCountsItself(t *testing.T) {
	for p, of := range makers {
		everyChildCountsItself(t, part(p), of)
	}
}

func everyChildCountsItself(t *testing.T, p part, of maker) {
	registry := prometheus.NewPedanticRegistry()
	m, err := of(registry, "orders", nil)
	require.NoError(t, err)
	defer m.Close()
	require.Len(t, m.counters, children[p][isCounter])
	require.Len(t, m.histograms, children[p][isHistogram])
	want := make(map[string]float64)
	for _, r := range tables[p] {
		for i, values := range r.series() {
			if r.kind == isGauge || values == nil {
				continue
			}
			labels := []string{"service=orders"}
			for at, name := range r.names()[1:] {
				labels = append(labels, name+"="+values[at])
			}
			slices.Sort(labels)
			name := r.name + "{" + strings.Join(labels, ",") + "}"
			number := len(want) + 1
			if r.kind == isHistogram {
				m.Observe(Histogram{child{r, i}}, float64(number))
				want[name+".count"], want[name+".sum"] = 1, float64(number)
			} else {
				m.Add(Counter{child{r, i}}, number)
				want[name] = float64(number)
			}
		}
	}
	require.Equal(t, want, series(t, registry))
}

// A value that the table does not have would be counted as another metric.
func TestUnknownLabelValuePanics(t *testing.T) {
	require.Panics(t, func() { Disowned.With(Cause(len(causes.values))) })
	require.Panics(t, func() { Notices.With(0) })
	require.Panics(t, func() { Hooks.With(HookLog, HookResult(len(hookResults.values))) })
	require.Panics(t, func() { Hooks.With(Hook(len(hookNames.values)), HookDropped) })
	require.Panics(t, func() { scriptDuration.With(-1) })
}

func TestCountersAreThereFromTheStart(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	for _, of := range makers {
		m, err := of(registry, "orders", nil)
		require.NoError(t, err)
		defer m.Close()
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	there := make(map[string]int)
	for _, f := range families {
		there[f.GetName()] = len(f.GetMetric())
	}
	for _, r := range everyRow() {
		if r.kind == isGauge {
			continue
		}
		want := 0
		for _, values := range r.series() {
			if values != nil {
				want++
			}
		}
		require.Equal(t, want, there[namespace+"_"+r.name], r.name)
	}
}
