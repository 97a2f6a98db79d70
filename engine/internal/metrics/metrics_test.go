package metrics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// metricsFor makes metrics of a service, gone at the end of the test.
func metricsFor(t testing.TB, r prometheus.Registerer, service string, gauges Source) *Metrics {
	t.Helper()
	m, err := New(r, service, gauges)
	require.NoError(t, err)
	t.Cleanup(m.Close)
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

type emitted struct {
	gauge     Gauge
	partition int
	value     float64
}

// fixed is a source that always emits the same.
func fixed(all ...emitted) Source {
	return func(emit Emit) {
		for _, x := range all {
			emit(x.gauge, x.partition, x.value)
		}
	}
}

func TestMetricsCount(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m := metricsFor(t, r, "orders", nil)
	m.Renewed(5, 1, 2, 3)
	m.Renewed(7, 0, 0, 0)
	m.Observe(RenewalBatchSize, 256)
	m.Late(250 * time.Millisecond)
	m.Script("renew", 2*time.Millisecond, nil)
	m.Script("renew", 2*time.Millisecond, context.DeadlineExceeded)
	m.Script("renew", 2*time.Millisecond, context.Canceled)
	m.Script("meta", time.Second, rueidis.Nil)
	m.Script("recover", time.Second, errors.New("a script of another package"))
	m.Took([]lease.Take{{Verdict: lease.Acquired}, {Verdict: lease.Acquired}, {Verdict: lease.HeldByOne}, {Verdict: lease.Early},
		{Verdict: lease.Gone}, {Verdict: lease.Refused}, {Verdict: '?'}, {Verdict: lease.NotPending}})
	m.Add(EntriesRead, 11)
	m.Inc(ReadsFailed)
	m.Add(EntriesGone, 2)
	m.Add(EntriesGone, 0)
	m.Add(Forwarded, 3)
	m.Add(PartitionsRelocated, 4)
	m.Add(Tamperings.With(TamperedPending), 5)
	m.Add(Tamperings.With(TamperedAnnounced), 6)
	m.Add(Tamperings.With(TamperedElsewhere), 7)
	m.Add(Tamperings.With(TamperedLost), 8)
	m.Inc(Disowned.With(CauseAnnouncement))
	m.Inc(Disowned.With(CauseLease))
	m.Inc(Disowned.With(CauseSession))
	m.Inc(Disowned.With(CauseDeadline))
	m.Inc(Disowned.With(CauseClosed))
	m.Inc(Disowned.With(CauseClosed))
	m.Ended(lease.EndDone, nil)
	m.Ended(lease.EndReleased, fmt.Errorf("x: %w", api.ErrLeaseLost))
	m.Ended(lease.EndFailed, api.ErrOutcomeUnknown)
	m.Ended(lease.EndHandBack, api.ErrClosed)
	m.Ended(lease.EndLost, nil)
	for _, reason := range []string{"malformed: no field", "permanent: x", "retries: after 3 attempts: permanent: x", "crashes", "too_wide", "full moon"} {
		m.DeadLetter(reason)
	}
	m.Inc(DeadLettersFull)
	m.Handled(api.Notification{Kind: api.Added}, nil, time.Second)
	m.Handled(api.Notification{Kind: api.Added}, errors.New("no"), time.Second)
	m.Handled(api.Notification{Kind: api.Releasing}, errors.Join(&api.PanicError{Value: 1}), time.Second)
	m.Handled(api.Notification{Kind: 99}, nil, time.Second)
	m.OwnershipEnded(lease.EndDone, time.Hour)
	m.OwnershipEnded(lease.EndDone, time.Minute)
	m.OwnershipEnded(lease.EndLost, time.Second)
	m.OwnershipEnded(99, time.Second)
	m.OwnershipBegan(1_700_000_002_500_000, "1700000000000-3") // 2.5 s
	m.OwnershipBegan(1_700_000_000_000_000, "1700000000001-0") // a clock that went back
	m.OwnershipBegan(1_700_000_000_000_000, "1-1")             // IDs that are no times
	m.OwnershipBegan(1_700_000_000_000_000, "18446744073709551615-1")
	m.Inc(SessionsLost)
	m.Opened(true)
	m.Opened(false)
	m.Inc(Hooks.With(HookEvents, HookPanicked))
	m.Inc(Hooks.With(HookLog, HookDropped))
	m.Recovered(scan.Recovered{Entries: 5, DeadLetters: 1, Suspected: 2})

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
		"ownership_duration_seconds{kind=done,service=orders}.count":    2,
		"ownership_duration_seconds{kind=done,service=orders}.sum":      3660,
		"ownership_duration_seconds{kind=lost,service=orders}.count":    1,
		"ownership_duration_seconds{kind=lost,service=orders}.sum":      1,
		"ownership_wait_seconds{service=orders}.count":                  3,
		"ownership_wait_seconds{service=orders}.sum":                    2.5,
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
	first := metricsFor(t, r, "orders", fixed(
		emitted{Held, 0, 10}, emitted{Held, 1, 20}, emitted{Settling, 0, 1}, emitted{PeersDead, 0, 2},
		emitted{OldestHeld, api.NoPartition, 60}, emitted{BusyWorkers, api.NoPartition, 3},
	))
	second := metricsFor(t, r, "orders", fixed(
		emitted{Held, 1, 5}, emitted{Settling, 0, 0}, emitted{PeersDead, 0, 3},
		emitted{OldestHeld, api.NoPartition, 40}, emitted{BusyWorkers, api.NoPartition, 4},
	))
	other := metricsFor(t, r, "mails", fixed(emitted{Held, 0, 1}))
	first.Add(EntriesRead, 1)
	second.Add(EntriesRead, 2)
	other.Add(EntriesRead, 4)
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

	first.Close()
	first.Close()
	require.Equal(t, map[string]float64{
		"entries_read_total{service=orders}":     3,
		"entries_read_total{service=mails}":      4,
		"held{partition=1,service=orders}":       5,
		"held{partition=0,service=mails}":        1,
		"peers_dead{partition=0,service=orders}": 3,
		"oldest_held_seconds{service=orders}":    40,
		"handler_busy_workers{service=orders}":   4,
	}, series(t, r))

}

// shown is the number of series of each service, zeros included.
func shown(t testing.TB, g prometheus.Gatherer) map[string]int {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	out := make(map[string]int)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == serviceLabel {
					out[l.GetValue()]++
				}
			}
		}
	}
	return out
}

// Trace: a process ran an engine for each tenant and ended them one after the other. Their counters and histograms, some 130 series
// each, stayed for good.
func TestSeriesEndWithTheLastEngineOfTheirService(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	gauges := fixed(emitted{Held, 0, 1}, emitted{BusyWorkers, api.NoPartition, 1})
	all := 0
	for _, row := range tables[ofEngine] {
		for _, values := range row.series() {
			if values != nil && row.kind != isGauge {
				all++
			}
		}
	}
	first, second := metricsFor(t, r, "orders", gauges), metricsFor(t, r, "orders", gauges)
	other := metricsFor(t, r, "mails", gauges)
	require.Equal(t, map[string]int{"orders": all + 2, "mails": all + 2}, shown(t, r))
	first.Script("of a package above scan", time.Second, nil)
	first.Add(EntriesRead, 5)
	first.Close()
	first.Close()
	require.Equal(t, map[string]int{"orders": all + 2 + 2, "mails": all + 2}, shown(t, r), "the second one has them, too")
	first.Inc(EntriesRead)
	require.EqualValues(t, 6, series(t, r)["entries_read_total{service=orders}"], "its last words are heard")
	second.Close()
	require.Equal(t, map[string]int{"mails": all + 2}, shown(t, r))

	second.Inc(EntriesRead)
	second.Script("renew", time.Second, nil)
	second.Script("of a package above scan", time.Second, nil)
	second.Handled(api.Notification{Kind: 99}, errors.New("no"), time.Second)
	require.Equal(t, map[string]int{"mails": all + 2}, shown(t, r), "what counts on revives nothing")

	third := metricsFor(t, r, "orders", gauges)
	require.Equal(t, map[string]int{"orders": all + 2, "mails": all + 2}, shown(t, r))
	third.Inc(EntriesRead)
	require.EqualValues(t, 1, series(t, r)["entries_read_total{service=orders}"], "from zero")
	third.Close()
	other.Close()
	require.Empty(t, shown(t, r))
}

func TestMetricsThroughAWrappedRegisterer(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	wrap := func() prometheus.Registerer { return prometheus.WrapRegistererWith(prometheus.Labels{"app": "x"}, r) }
	metricsFor(t, wrap(), "orders", nil).Add(EntriesRead, 1)
	metricsFor(t, wrap(), "orders", nil).Add(EntriesRead, 2)
	require.Equal(t, map[string]float64{"entries_read_total{app=x,service=orders}": 3}, series(t, r))
}

func TestMetricsErrorOfTheRegisterer(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "streamlease_held", Help: "Somebody else's."}))
	_, err := New(r, "orders", nil)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.ErrorContains(t, err, "WithRegisterer: registering metrics")
	require.ErrorContains(t, err, "streamlease_held")
}

func TestMetricsWithoutARegisterer(t *testing.T) {
	a := metricsFor(t, nil, "orders", fixed(emitted{Held, 0, 1}))
	b := metricsFor(t, nil, "orders", nil)
	a.Add(EntriesRead, 3)
	b.Add(EntriesRead, 4)
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
	metricsFor(t, r, "orders", nil) // there throughout, so the series are
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 20 {
				closed := false
				m, err := New(r, "orders", func(emit Emit) {
					if closed { // written after close only: a race if close did not wait
						t.Error("asked after close")
					}
					emit(Held, 0, 1)
				})
				if err != nil {
					t.Error(err)
					return
				}
				m.Renewed(1, 0, 0, 0)
				m.Script("recover", time.Millisecond, nil)
				passing, err := New(r, "mails", nil)
				if err != nil {
					t.Error(err)
					return
				}
				passing.Renewed(1, 0, 0, 0)
				passing.Script("of a package above scan", time.Millisecond, nil)
				passing.Close()
				if i%2 == 0 {
					if _, err := r.Gather(); err != nil {
						t.Error(err)
					}
				}
				m.Close()
				closed = true
			}
		})
	}
	wg.Wait()
	got := series(t, r)
	require.EqualValues(t, 80, got["renewals_total{result=kept,service=orders}"])
	require.NotContains(t, got, "held{partition=0,service=orders}")
	require.NotContains(t, shown(t, r), "mails")
}

type panickingRegisterer struct{ prometheus.Registerer }

func (panickingRegisterer) Register(prometheus.Collector) error { panic("no registry") }

func TestMetricsOfARegistererThatPanics(t *testing.T) {
	_, err := New(panickingRegisterer{}, "orders", nil)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.ErrorContains(t, err, "no registry")
}

// What is counted for each lease, batch and call allocates nothing.
func TestMetricsDoNotAllocate(t *testing.T) {
	m := metricsFor(t, prometheus.NewRegistry(), "orders", nil)
	takes := []lease.Take{{Verdict: lease.Acquired}, {Verdict: lease.HeldByOne}, {Verdict: '?'}}
	added := api.Notification{Kind: api.Added}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		m.Observe(RenewalBatchSize, 256)
		m.Renewed(5, 1, 2, 3)
		m.Late(time.Millisecond)
		m.Took(takes)
		m.Add(EntriesRead, 3)
		m.Inc(Disowned.With(CauseLease))
		m.Inc(Hooks.With(HookEvents, HookDelivered))
		m.Ended(lease.EndDone, nil)
		m.OwnershipEnded(lease.EndDone, time.Hour)
		m.OwnershipBegan(1_700_000_002_500_000, "1700000000000-3")
		m.Handled(added, nil, time.Millisecond)
		m.Script("renew", time.Millisecond, nil)
	}))
}

// Lateness is observed for every lease that is renewed, 100,000 times a second.
func BenchmarkMetricsLate(b *testing.B) {
	m := metricsFor(b, prometheus.NewRegistry(), "orders", nil)
	b.ReportAllocs()
	for i := range b.N {
		m.Late(time.Duration(i%100) * time.Millisecond)
	}
}

func BenchmarkMetricsRenewed(b *testing.B) {
	m := metricsFor(b, prometheus.NewRegistry(), "orders", nil)
	b.ReportAllocs()
	for range b.N {
		m.Renewed(256, 0, 0, 0)
	}
}

func BenchmarkMetricsTook(b *testing.B) {
	m := metricsFor(b, prometheus.NewRegistry(), "orders", nil)
	takes := slices.Repeat([]lease.Take{{Verdict: lease.Acquired}}, 100)
	b.ReportAllocs()
	for range b.N {
		m.Took(takes)
	}
}
