package engine

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/outbox"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// metricsFor makes metrics of a service, gone at the end of the test.
func metricsFor(t testing.TB, r prometheus.Registerer, service string, gauges gaugeSource) *metrics {
	t.Helper()
	m, err := newMetrics(&config{registerer: r}, service, gauges)
	require.NoError(t, err)
	t.Cleanup(m.close)
	return m
}

// series are the samples that a scrape shows, those of histograms as their count and sum. Zeros are left out.
func series(t testing.TB, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	out := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "streamlease_") + "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.GetCounter() != nil:
				out[name] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				out[name] = m.GetGauge().GetValue()
			case m.GetHistogram() != nil:
				out[name+".count"] = float64(m.GetHistogram().GetSampleCount())
				out[name+".sum"] = m.GetHistogram().GetSampleSum()
			}
		}
	}
	for name, v := range out {
		if v == 0 {
			delete(out, name)
		}
	}
	return out
}

// fixedGauges is a source that always emits the same.
type fixedGauges []struct {
	gauge     gauge
	partition int
	value     float64
}

func (f fixedGauges) collectGauges(emit func(g gauge, partition int, v float64)) {
	for _, x := range f {
		emit(x.gauge, x.partition, x.value)
	}
}

func TestMetricsCount(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m := metricsFor(t, r, "orders", nil)
	m.renewed(5, 1, 2, 3)
	m.renewed(7, 0, 0, 0)
	m.batch(256)
	m.late(250 * time.Millisecond)
	m.script("renew", 2*time.Millisecond, nil)
	m.script("renew", 2*time.Millisecond, context.DeadlineExceeded)
	m.script("renew", 2*time.Millisecond, context.Canceled)
	m.script("meta", time.Second, rueidis.Nil)
	m.script("recover", time.Second, errors.New("a script of another package"))
	m.took([]lease.Take{{Verdict: lease.Acquired}, {Verdict: lease.Acquired}, {Verdict: lease.HeldByOne}, {Verdict: lease.Early},
		{Verdict: lease.Gone}, {Verdict: lease.Refused}, {Verdict: '?'}, {Verdict: lease.NotPending}})
	m.read(11)
	m.readFailed()
	m.gone(2)
	m.gone(0)
	m.forwarded(3)
	m.relocated(4)
	m.tampered(tamperedPending, 5)
	m.tampered(tamperedAnnounced, 6)
	m.tampered(tamperedElsewhere, 7)
	m.tampered(tamperedLost, 8)
	m.disowned(causeAnnouncement)
	m.disowned(causeLease)
	m.disowned(causeSession)
	m.disowned(causeDeadline)
	m.disowned(causeClosed)
	m.disowned(causeClosed)
	m.ended(lease.EndDone, nil)
	m.ended(lease.EndReleased, fmt.Errorf("x: %w", api.ErrLeaseLost))
	m.ended(lease.EndFailed, api.ErrOutcomeUnknown)
	m.ended(lease.EndHandBack, api.ErrClosed)
	m.ended(lease.EndLost, nil)
	for _, reason := range []string{"malformed: no field", "permanent: x", "retries: after 3 attempts: permanent: x", "crashes", "too_wide", "full moon"} {
		m.deadLetter(reason)
	}
	m.deadLettersFull()
	m.handled(api.Notification{Kind: api.Added}, nil, time.Second)
	m.handled(api.Notification{Kind: api.Added}, errors.New("no"), time.Second)
	m.handled(api.Notification{Kind: api.Releasing}, errors.Join(&api.PanicError{Value: 1}), time.Second)
	m.handled(api.Notification{Kind: 99}, nil, time.Second)
	m.sessionLost()
	m.opened(true)
	m.opened(false)
	m.hooked(hookEvents, outbox.Panicked)
	m.hooked(hookLog, outbox.Dropped)
	m.recovered(scan.Recovered{Entries: 5, DeadLetters: 1, Suspected: 2})

	require.Equal(t, map[string]float64{
		"renewals_total{result=kept,service=orders}":                    12,
		"renewals_total{result=lost,service=orders}":                    1,
		"renewals_total{result=missing,service=orders}":                 2,
		"renewals_total{result=failed,service=orders}":                  3,
		"renewal_batch_size{service=orders}.count":                      1,
		"renewal_batch_size{service=orders}.sum":                        256,
		"renewal_lateness_seconds{service=orders}.count":                1,
		"renewal_lateness_seconds{service=orders}.sum":                  0.25,
		"script_duration_seconds{script=renew,service=orders}.count":    3,
		"script_duration_seconds{script=renew,service=orders}.sum":      0.006,
		"script_duration_seconds{script=meta,service=orders}.count":     1,
		"script_duration_seconds{script=meta,service=orders}.sum":       1,
		"script_duration_seconds{script=recover,service=orders}.count":  1,
		"script_duration_seconds{script=recover,service=orders}.sum":    1,
		"script_errors_total{script=renew,service=orders}":              1,
		"script_errors_total{script=recover,service=orders}":            1,
		"acquisitions_total{result=acquired,service=orders}":            2,
		"acquisitions_total{result=held,service=orders}":                1,
		"acquisitions_total{result=early,service=orders}":               1,
		"acquisitions_total{result=gone,service=orders}":                1,
		"acquisitions_total{result=refused,service=orders}":             2,
		"acquisitions_total{result=not_pending,service=orders}":         1,
		"entries_read_total{service=orders}":                            11,
		"reads_failed_total{service=orders}":                            1,
		"entries_gone_total{service=orders}":                            2,
		"forwarded_total{service=orders}":                               3,
		"partitions_relocated_total{service=orders}":                    4,
		"tampered_total{result=pending_again,service=orders}":           5,
		"tampered_total{result=announced_again,service=orders}":         6,
		"tampered_total{result=elsewhere,service=orders}":               7,
		"tampered_total{result=lost,service=orders}":                    8,
		"disowned_total{cause=announcement,service=orders}":             1,
		"disowned_total{cause=lease,service=orders}":                    1,
		"disowned_total{cause=session,service=orders}":                  1,
		"disowned_total{cause=deadline,service=orders}":                 1,
		"disowned_total{cause=closed,service=orders}":                   2,
		"endings_total{kind=done,result=ok,service=orders}":             1,
		"endings_total{kind=released,result=lost,service=orders}":       1,
		"endings_total{kind=failed,result=unknown,service=orders}":      1,
		"endings_total{kind=handed_back,result=unknown,service=orders}": 1,
		"dead_letters_total{reason=malformed,service=orders}":           1,
		"dead_letters_total{reason=permanent,service=orders}":           1,
		"dead_letters_total{reason=retries,service=orders}":             1,
		"dead_letters_total{reason=crashes,service=orders}":             2,
		"dead_letters_total{reason=too_wide,service=orders}":            1,
		"dead_letters_total{reason=other,service=orders}":               1,
		"dead_letters_full_total{service=orders}":                       1,
		"handler_duration_seconds{kind=added,service=orders}.count":     2,
		"handler_duration_seconds{kind=added,service=orders}.sum":       2,
		"handler_duration_seconds{kind=releasing,service=orders}.count": 1,
		"handler_duration_seconds{kind=releasing,service=orders}.sum":   1,
		"handler_duration_seconds{kind=kind(99),service=orders}.count":  1,
		"handler_duration_seconds{kind=kind(99),service=orders}.sum":    1,
		"handler_errors_total{kind=added,service=orders}":               1,
		"handler_errors_total{kind=releasing,service=orders}":           1,
		"handler_panics_total{service=orders}":                          1,
		"sessions_lost_total{service=orders}":                           1,
		"opens_total{result=ok,service=orders}":                         1,
		"opens_total{result=failed,service=orders}":                     1,
		"hooks_total{hook=events,result=panicked,service=orders}":       1,
		"hooks_total{hook=log,result=dropped,service=orders}":           1,
		"recovered_total{service=orders}":                               5,
		"suspects_total{service=orders}":                                2,
	}, series(t, r))
}

func TestMetricsOfTwoEnginesOnOneRegisterer(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	first := metricsFor(t, r, "orders", fixedGauges{
		{gaugeHeld, 0, 10}, {gaugeHeld, 1, 20}, {gaugeSettling, 0, 1}, {gaugePeersDead, 0, 2},
		{gaugeOldestHeld, api.NoPartition, 60}, {gaugeBusyWorkers, api.NoPartition, 3},
	})
	second := metricsFor(t, r, "orders", fixedGauges{
		{gaugeHeld, 1, 5}, {gaugeSettling, 0, 0}, {gaugePeersDead, 0, 3},
		{gaugeOldestHeld, api.NoPartition, 40}, {gaugeBusyWorkers, api.NoPartition, 4},
	})
	other := metricsFor(t, r, "mails", fixedGauges{{gaugeHeld, 0, 1}})
	first.read(1)
	second.read(2)
	other.read(4)
	both := map[string]float64{
		"entries_read_total{service=orders}":     3,
		"entries_read_total{service=mails}":      4,
		"held{partition=0,service=orders}":       10,
		"held{partition=1,service=orders}":       25,
		"held{partition=0,service=mails}":        1,
		"settling{partition=0,service=orders}":   1,
		"peers_dead{partition=0,service=orders}": 3,
		"oldest_held_seconds{service=orders}":    60,
		"handler_busy_workers{service=orders}":   7,
	}
	require.Equal(t, both, series(t, r))

	first.close()
	first.close()
	require.Equal(t, map[string]float64{
		"entries_read_total{service=orders}":     3,
		"entries_read_total{service=mails}":      4,
		"held{partition=1,service=orders}":       5,
		"held{partition=0,service=mails}":        1,
		"peers_dead{partition=0,service=orders}": 3,
		"oldest_held_seconds{service=orders}":    40,
		"handler_busy_workers{service=orders}":   4,
	}, series(t, r))

	again := metricsFor(t, r, "orders", nil)
	again.read(10)
	require.EqualValues(t, 13, series(t, r)["entries_read_total{service=orders}"], "what was counted stays")
}

func TestMetricsThroughAWrappedRegisterer(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	wrap := func() prometheus.Registerer { return prometheus.WrapRegistererWith(prometheus.Labels{"app": "x"}, r) }
	metricsFor(t, wrap(), "orders", nil).read(1)
	metricsFor(t, wrap(), "orders", nil).read(2)
	require.Equal(t, map[string]float64{"entries_read_total{app=x,service=orders}": 3}, series(t, r))
}

func TestMetricsErrorOfTheRegisterer(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "streamlease_held", Help: "Somebody else's."}))
	_, err := newMetrics(&config{registerer: r}, "orders", nil)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.ErrorContains(t, err, "WithRegisterer: registering metrics")
	require.ErrorContains(t, err, "streamlease_held")
}

func TestMetricsWithoutARegisterer(t *testing.T) {
	a := metricsFor(t, nil, "orders", fixedGauges{{gaugeHeld, 0, 1}})
	b := metricsFor(t, nil, "orders", nil)
	a.read(3)
	b.read(4)
	r := prometheus.NewRegistry()
	r.MustRegister(a.collector)
	require.Equal(t, map[string]float64{
		"entries_read_total{service=orders}": 3,
		"held{partition=0,service=orders}":   1,
	}, series(t, r), "counted, each by itself")
}

// Scrapes, counting and engines that come and go do not disturb each other; for the race detector.
func TestMetricsConcurrently(t *testing.T) {
	r := prometheus.NewRegistry()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 20 {
				closed := false
				m, err := newMetrics(&config{registerer: r}, "orders", gaugeFunc(func(emit func(gauge, int, float64)) {
					if closed { // written after close only: a race if close did not wait
						t.Error("asked after close")
					}
					emit(gaugeHeld, 0, 1)
				}))
				if err != nil {
					t.Error(err)
					return
				}
				m.renewed(1, 0, 0, 0)
				m.script("recover", time.Millisecond, nil)
				if i%2 == 0 {
					if _, err := r.Gather(); err != nil {
						t.Error(err)
					}
				}
				m.close()
				closed = true
			}
		})
	}
	wg.Wait()
	got := series(t, r)
	require.EqualValues(t, 80, got["renewals_total{result=kept,service=orders}"])
	require.NotContains(t, got, "held{partition=0,service=orders}")
}

type gaugeFunc func(emit func(g gauge, partition int, v float64))

func (f gaugeFunc) collectGauges(emit func(g gauge, partition int, v float64)) { f(emit) }

// The comment of metrics is what people read: it lists exactly what there is.
func TestMetricsCommentListsThem(t *testing.T) {
	m := metricsFor(t, nil, "orders", nil)
	descs := make(chan *prometheus.Desc, 100)
	m.collector.Describe(descs)
	close(descs)
	var there []string
	pattern := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{([^}]*)\}`)
	for d := range descs {
		found := pattern.FindStringSubmatch(d.String())
		require.NotNil(t, found, "%s", d)
		require.True(t, strings.HasPrefix(found[2], "service"), "%s", d)
		labels := strings.Join(strings.Split(found[2], ",")[1:], ",")
		if labels != "" {
			labels = "{" + labels + "}"
		}
		there = append(there, found[1]+labels)
	}
	sort.Strings(there)

	file, err := parser.ParseFile(token.NewFileSet(), "metrics.go", nil, parser.ParseComments)
	require.NoError(t, err)
	i := slices.IndexFunc(file.Decls, func(d ast.Decl) bool {
		g, ok := d.(*ast.GenDecl)
		return ok && strings.HasPrefix(g.Doc.Text(), "metrics are")
	})
	require.GreaterOrEqual(t, i, 0)
	listed := regexp.MustCompile(`streamlease_[a-z_]+(\{[a-z,]+\})?`).FindAllString(file.Decls[i].(*ast.GenDecl).Doc.Text(), -1)
	sort.Strings(listed)
	require.Equal(t, there, listed)
}

// Lateness is observed for every lease that is renewed, 100,000 times a second.
func BenchmarkMetricsLate(b *testing.B) {
	m := metricsFor(b, prometheus.NewRegistry(), "orders", nil)
	for i := range b.N {
		m.late(time.Duration(i%100) * time.Millisecond)
	}
}

func BenchmarkMetricsRenewed(b *testing.B) {
	m := metricsFor(b, prometheus.NewRegistry(), "orders", nil)
	for range b.N {
		m.renewed(256, 0, 0, 0)
	}
}
