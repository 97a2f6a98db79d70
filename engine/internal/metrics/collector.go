package metrics

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
)

const (
	namespace    = "streamlease"
	serviceLabel = "service" // all series have it
)

// Lateness is also kept as a native histogram, for those who scrape one: from a tenth of a millisecond up in steps of 2 to
// 3 %, of which 16 s take 560.
const (
	nativeFactor = 1.03
	nativeZero   = 1e-4
	nativeMost   = 600
)

// collector is all the series of one registerer, shared by the engines that register there. It stays registered: without engines it
// has no series. (To unregister it would race with the next engine, since registerers know collectors by their descriptions.)
type collector struct {
	part    part
	vectors map[*row]vector           // of counters and histograms
	descs   map[*row]*prometheus.Desc // of gauges

	mu struct {
		sync.Mutex // held while gauges are collected, so that remove waits for that
		engines    map[*Metrics]struct{}
	}

	services struct {
		sync.Mutex // held while series of vectors are made or removed
		engines    map[string]int
	}
}

// vector is the children of one metric.
type vector interface {
	prometheus.Collector
	DeletePartialMatch(prometheus.Labels) int
}

func newCollector(p part) *collector {
	c := &collector{part: p, vectors: make(map[*row]vector), descs: make(map[*row]*prometheus.Desc)}
	c.mu.engines = make(map[*Metrics]struct{})
	c.services.engines = make(map[string]int)
	for _, r := range tables[p] {
		switch r.kind {
		case isCounter:
			c.vectors[r] = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: r.name, Help: r.help}, r.names())
		case isHistogram:
			opts := prometheus.HistogramOpts{Namespace: namespace, Name: r.name, Help: r.help, Buckets: r.buckets}
			if r.native {
				opts.NativeHistogramBucketFactor = nativeFactor
				opts.NativeHistogramZeroThreshold = nativeZero
				opts.NativeHistogramMaxBucketNumber = nativeMost
			}
			c.vectors[r] = prometheus.NewHistogramVec(opts, r.names())
		case isGauge:
			c.descs[r] = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", r.name), r.help, r.names(), nil)
		}
	}
	return c
}

// counter returns the counter of a row for values of its labels, with the service first.
func (c *collector) counter(r *row, values ...string) prometheus.Counter {
	return c.vectors[r].(*prometheus.CounterVec).WithLabelValues(values...)
}

// histogram returns the histogram of a row for values of its labels, with the service first.
func (c *collector) histogram(r *row, values ...string) prometheus.Observer {
	return c.vectors[r].(*prometheus.HistogramVec).WithLabelValues(values...)
}

// sharedCollector returns the collector that is registered with r, or a new one if there is none yet or r is nil.
func sharedCollector(r prometheus.Registerer, p part) (*collector, error) {
	c := newCollector(p)
	if r == nil {
		return c, nil
	}
	err := guard.Call(func() error { return r.Register(c) })
	if err == nil {
		return c, nil
	}
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ours := already.ExistingCollector.(*collector); ours {
			return existing, nil
		}
	}
	return nil, fmt.Errorf("%w: WithRegisterer: registering metrics: %w; use a registerer that has none called %s_…",
		api.ErrInvalidConfig, err, namespace)
}

// add adds an engine, and makes the series of its service.
func (c *collector) add(m *Metrics) {
	c.services.Lock()
	c.services.engines[m.service]++
	m.resolve()
	c.services.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.engines[m] = struct{}{}
}

// remove removes an engine, and with the last one of a service all series of that. What is still counted then is seen by nobody.
func (c *collector) remove(m *Metrics) {
	c.mu.Lock()
	_, there := c.mu.engines[m]
	delete(c.mu.engines, m)
	c.mu.Unlock()
	if !there {
		return
	}
	c.services.Lock()
	defer c.services.Unlock()
	if c.services.engines[m.service]--; c.services.engines[m.service] > 0 {
		return
	}
	delete(c.services.engines, m.service)
	for _, v := range c.vectors {
		v.DeletePartialMatch(prometheus.Labels{serviceLabel: m.service})
	}
}

// unlisted returns the series of a label's value that the table does not have: of a histogram and of a counter. Once the service has
// no engine any more, they are not made.
func (c *collector) unlisted(m *Metrics, duration, count *row, value string) (prometheus.Observer, prometheus.Counter) {
	c.services.Lock()
	defer c.services.Unlock()
	if c.services.engines[m.service] == 0 {
		return prometheus.NewHistogram(prometheus.HistogramOpts{}), prometheus.NewCounter(prometheus.CounterOpts{})
	}
	return c.histogram(duration, m.service, value), c.counter(count, m.service, value)
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, v := range c.vectors {
		v.Describe(out)
	}
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	for _, v := range c.vectors {
		v.Collect(out)
	}
	for at, value := range c.gauges() {
		labels := []string{at.service}
		if at.gauge.partition {
			labels = append(labels, strconv.Itoa(at.partition))
		}
		if values := at.gauge.labels; len(values) > 0 {
			labels = append(labels, values[0].values[at.gauge.value].name)
		}
		out <- prometheus.MustNewConstMetric(c.descs[at.gauge.row], prometheus.GaugeValue, value, labels...)
	}
}

type gaugeKey struct {
	gauge     Gauge
	service   string
	partition int
}

// gauges collects those of all engines, and combines those of one service.
func (c *collector) gauges() map[gaugeKey]float64 {
	values := make(map[gaugeKey]float64)
	c.mu.Lock()
	defer c.mu.Unlock()
	for m := range c.mu.engines {
		if m.source == nil {
			continue
		}
		m.source(func(g Gauge, partition int, v float64) {
			if !g.partition {
				partition = api.NoPartition
			}
			key := gaugeKey{g, m.service, partition}
			old, there := values[key]
			switch {
			case !there:
				values[key] = v
			case g.combine == sum:
				values[key] = old + v
			default:
				values[key] = max(old, v)
			}
		})
	}
	return values
}
