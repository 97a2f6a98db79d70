package telemetry

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

func TestSum(t *testing.T) {
	r := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "streamlease_c"}, []string{"a", "b"})
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "streamlease_h"})
	r.MustRegister(c, h)
	c.WithLabelValues("1", "x").Add(1)
	c.WithLabelValues("1", "y").Add(2)
	c.WithLabelValues("2", "x").Add(4)
	h.Observe(7)
	h.Observe(7)
	for _, tc := range []struct {
		name   string
		labels []string
		sum    float64
		there  bool
	}{
		{"c", nil, 7, true},
		{"c", []string{"a", "1"}, 3, true},
		{"c", []string{"a", "1", "b", "y"}, 2, true},
		{"c", []string{"a", "3"}, 0, false},
		{"h", nil, 2, true},
		{"streamlease_c", nil, 0, false},
	} {
		sum, there := Sum(t, r, tc.name, tc.labels...)
		require.Equal(t, tc.sum, sum, "%s %v", tc.name, tc.labels)
		require.Equal(t, tc.there, there, "%s %v", tc.name, tc.labels)
	}
	require.Equal(t, 4, Series(t, r))
}

func TestEvents(t *testing.T) {
	var e Events
	require.Zero(t, e.Count(api.EventSessionLost))
	e.Add(api.Event{Kind: api.EventSessionLost})
	e.Add(api.Event{Kind: api.EventRedisReachable})
	e.Add(api.Event{Kind: api.EventSessionLost})
	require.Equal(t, 2, e.Count(api.EventSessionLost))
	require.Equal(t, 1, e.Count(api.EventRedisReachable))
}

func TestLog(t *testing.T) {
	var l Log
	l.Logger().Warn("hot", "degrees", 40)
	require.True(t, l.Has("degrees=40"))
	require.False(t, l.Has("cold"))
}
