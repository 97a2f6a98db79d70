package engine

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
)

// gauge is something that is measured when a scrape asks for it.
type gauge uint8

const (
	gaugeHeld          gauge = iota // streams held, of a partition
	gaugeParked                     // announcements parked, of a partition
	gaugeSettling                   // 1 or 0, of a partition
	gaugePeersDead                  // consumers past their deadline, of a partition
	gaugeLaterDue                   // announcements put off that are due, of a partition
	gaugeQueueDepth                 // notifications that wait; of no partition
	gaugeBusyWorkers                // notifications being handled; of no partition
	gaugeOldestHeld                 // seconds; of no partition
	gaugeLag                        // announcements not delivered yet, of a partition
	gaugePending                    // announcements delivered and not done, of a partition
	gaugeConsumers                  // consumers in the group, of a partition
	gaugeOldestPending              // seconds, of a partition
	gaugeOldestWaiting              // seconds, of a partition
	gaugeLater                      // announcements put off, of a partition
	gaugeDeadLetters                // of a partition
	gaugeIntake                     // an Intake, of a partition
	gaugeLate                       // seconds, of a partition
	gaugeWindows                    // windows of maintenance; of no partition
	gaugeHeldOff                    // 1 or 0, of a partition
	gaugeAnnouncing                 // servers that announce maintenance; of no partition
	gaugeStranded                   // announcements neither pending nor undelivered, of a partition
	gaugeWithoutBody                // announcements pending whose bodies are gone, of a partition
	gaugeCount         = iota
)

// gaugeKinds say what the gauges are called, and how those of several engines become one: what each has of its own is
// added up, what all see of the same thing is not.
var gaugeKinds = [gaugeCount]struct {
	name, help   string
	perPartition bool
	greatest     bool
}{
	gaugeHeld:        {"held", "Streams held.", true, false},
	gaugeParked:      {"parked", "Announcements at hand whose streams are held.", true, false},
	gaugeSettling:    {"settling", "1 while nothing free is taken after a change of server.", true, true},
	gaugePeersDead:   {"peers_dead", "Consumers past their deadline.", true, true},
	gaugeLaterDue:    {"later_due", "Announcements put off that are due.", true, true},
	gaugeQueueDepth:  {"handler_queue_depth", "Notifications waiting for a worker.", false, false},
	gaugeBusyWorkers: {"handler_busy_workers", "Notifications being handled.", false, false},
	gaugeOldestHeld:  {"oldest_held_seconds", "Seconds since the stream held longest was acquired.", false, true},

	gaugeIntake: {"intake", "Whether more streams are taken, and why not.", true, true},
	gaugeLate:   {"renewals_late_seconds", "Seconds since the first renewal was due that is not made yet.", true, true},

	gaugeWindows:    {"maintenance_windows", "Windows of maintenance that are open.", false, true},
	gaugeHeldOff:    {"recovery_held_off", "1 while recovery waits for the end of a window of maintenance.", true, true},
	gaugeAnnouncing: {"maintenance_nodes", "Servers that announce maintenance.", false, true},

	gaugeLag:           {"lag", "Announcements that no consumer was given yet.", true, true},
	gaugePending:       {"pending", "Announcements given to consumers and not done.", true, true},
	gaugeConsumers:     {"consumers", "Consumers in the group.", true, true},
	gaugeOldestPending: {"oldest_pending_seconds", "Seconds since the oldest pending announcement was made.", true, true},
	gaugeOldestWaiting: {"oldest_waiting_seconds", "Seconds since the oldest announcement that waits was made.", true, true},
	gaugeLater:         {"later", "Announcements put off.", true, true},
	gaugeDeadLetters:   {"dead_letters_kept", "Dead letters that are there.", true, true},
	gaugeStranded:      {"stranded", "Announcements that are neither pending nor waiting to be delivered.", true, true},
	gaugeWithoutBody:   {"pending_without_body", "Pending announcements that were deleted or trimmed, at least.", true, true},
}

// gaugeSource is asked for its gauges at every scrape, from any goroutine. It must not wait for anything long, and must
// not hold a lock under which metrics.close is called. partition is api.NoPartition for gauges that are of none. A gauge
// that is not emitted is not there.
type gaugeSource interface {
	collectGauges(emit func(g gauge, partition int, v float64))
}

// collector is all the series of one registerer, shared by the engines that register there.
type collector struct {
	renewals        *prometheus.CounterVec
	scriptErrors    *prometheus.CounterVec
	acquisitions    *prometheus.CounterVec
	entriesRead     *prometheus.CounterVec
	entriesGone     *prometheus.CounterVec
	refusals        *prometheus.CounterVec
	forwards        *prometheus.CounterVec
	disownments     *prometheus.CounterVec
	endings         *prometheus.CounterVec
	deadLetters     *prometheus.CounterVec
	dlqFull         *prometheus.CounterVec
	handlerErrors   *prometheus.CounterVec
	panics          *prometheus.CounterVec
	lostSessions    *prometheus.CounterVec
	recoveries      *prometheus.CounterVec
	suspects        *prometheus.CounterVec
	removals        *prometheus.CounterVec
	failedReads     *prometheus.CounterVec
	opens           *prometheus.CounterVec
	expirations     *prometheus.CounterVec
	subscriptions   *prometheus.CounterVec
	hooks           *prometheus.CounterVec
	notices         *prometheus.CounterVec
	pauses          *prometheus.CounterVec
	stops           *prometheus.CounterVec
	relocations     *prometheus.CounterVec
	tamperings      *prometheus.CounterVec
	batchSize       *prometheus.HistogramVec
	lateness        *prometheus.HistogramVec
	scriptDuration  *prometheus.HistogramVec
	handlerDuration *prometheus.HistogramVec

	vectors []prometheus.Collector // all of the above
	descs   [gaugeCount]*prometheus.Desc

	mu      sync.Mutex // held while gauges are collected, so that remove waits for that
	engines map[*metrics]struct{}
}

// Upper bounds of the buckets of the histograms.
var (
	batchBuckets    = []float64{1, 4, 16, 64, 128, 256, 512, 1000}
	latenessBuckets = []float64{.005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 5, 10}
	scriptBuckets   = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	handlerBuckets  = []float64{.0001, .001, .01, .1, 1, 10, 60, 600}
)

// Lateness is also kept as a native histogram, for those who scrape one: from a tenth of a millisecond up in steps of 2 to
// 3 %, of which 16 s take 560.
const (
	latenessFactor = 1.03
	latenessZero   = 1e-4
	latenessMost   = 600
)

const namespace = "streamlease"

func newCollector() *collector {
	c := &collector{engines: make(map[*metrics]struct{})}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help},
			append([]string{"service"}, labels...))
		c.vectors = append(c.vectors, v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets},
			append([]string{"service"}, labels...))
		c.vectors = append(c.vectors, v)
		return v
	}
	c.renewals = counter("renewals_total", "Leases renewed.", "result")
	c.scriptErrors = counter("script_errors_total", "Calls of a script that failed.", "script")
	c.acquisitions = counter("acquisitions_total", "Verdicts on announcements.", "result")
	c.entriesRead = counter("entries_read_total", "Announcements read from input streams.")
	c.entriesGone = counter("entries_gone_total", "Announcements whose body somebody else had deleted.")
	c.refusals = counter("entries_refused_total", "Times that Redis refused to end or move an announcement.", "cause")
	c.forwards = counter("forwarded_total", "Announcements moved to the partition they belong to.")
	c.disownments = counter("disowned_total", "Streams lost.", "cause")
	c.endings = counter("endings_total", "Leases ended on purpose.", "kind", "result")
	c.deadLetters = counter("dead_letters_total", "Announcements given up.", "reason")
	c.dlqFull = counter("dead_letters_full_total", "Times that a full dead-letter stream put an announcement off.")
	c.handlerErrors = counter("handler_errors_total", "Handlers that returned an error or panicked.", "kind")
	c.panics = counter("handler_panics_total", "Handlers that panicked.")
	c.lostSessions = counter("sessions_lost_total", "Sessions lost, each with all leases of its partition.")
	c.recoveries = counter("recovered_total", "Announcements taken from dead consumers and queued again.")
	c.suspects = counter("suspects_total", "Announcements whose owners die again and again, none of which stands out.")
	c.removals = counter("consumers_removed_total", "Dead consumers removed from the group.")
	c.failedReads = counter("reads_failed_total", "Reads that failed.")
	c.opens = counter("opens_total", "Attempts to open a session.", "result")
	c.expirations = counter("expired_total", "Expired leases that servers reported.", "result")
	c.subscriptions = counter("expired_subscriptions_total", "Subscriptions to expired leases.", "result")
	c.hooks = counter("hooks_total", "Events and lines of the log handed to the program.", "hook", "result")
	c.notices = counter("maintenance_notices_total", "Notices of maintenance that servers sent.", "kind")
	c.pauses = counter("reads_paused_total", "Times that reading and recovery began to rest, since a server did not answer.")
	c.stops = counter("intake_stopped_total", "Times that a partition's intake stopped since renewals were too late.")
	c.relocations = counter("partitions_relocated_total", "Partitions that went to another master of a cluster, or may have.")
	c.tamperings = counter("tampered_total", "Announcements that somebody acknowledged, claimed, deleted or trimmed while they were held.", "result")
	c.batchSize = histogram("renewal_batch_size", "Leases in a batch.", batchBuckets)
	c.lateness = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "renewal_lateness_seconds", Help: "Seconds from when a renewal was due to when it was sent.",
		Buckets:                        latenessBuckets,
		NativeHistogramBucketFactor:    latenessFactor,
		NativeHistogramZeroThreshold:   latenessZero,
		NativeHistogramMaxBucketNumber: latenessMost,
	}, []string{"service"})
	c.vectors = append(c.vectors, c.lateness)
	c.scriptDuration = histogram("script_duration_seconds", "Seconds from sending a call to its answer.", scriptBuckets, "script")
	c.handlerDuration = histogram("handler_duration_seconds", "Seconds from the start of a handler to its end.", handlerBuckets, "kind")

	for g, kind := range gaugeKinds {
		labels := []string{"service"}
		if kind.perPartition {
			labels = append(labels, "partition")
		}
		c.descs[g] = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", kind.name), kind.help, labels, nil)
	}
	return c
}

// sharedCollector is the collector that is registered with r, a new one if there is none yet or r is nil.
func sharedCollector(r prometheus.Registerer) (*collector, error) {
	c := newCollector()
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

func (c *collector) add(m *metrics) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engines[m] = struct{}{}
}

func (c *collector) remove(m *metrics) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.engines, m)
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
		if gaugeKinds[at.gauge].perPartition {
			labels = append(labels, strconv.Itoa(at.partition))
		}
		out <- prometheus.MustNewConstMetric(c.descs[at.gauge], prometheus.GaugeValue, value, labels...)
	}
}

type gaugeKey struct {
	gauge     gauge
	service   string
	partition int
}

// gauges are those of all engines, those of one service made one.
func (c *collector) gauges() map[gaugeKey]float64 {
	values := make(map[gaugeKey]float64)
	c.mu.Lock()
	defer c.mu.Unlock()
	for m := range c.engines {
		if m.gauges == nil {
			continue
		}
		m.gauges.collectGauges(func(g gauge, partition int, v float64) {
			if !gaugeKinds[g].perPartition {
				partition = api.NoPartition
			}
			key := gaugeKey{g, m.service, partition}
			old, there := values[key]
			switch {
			case !there:
				values[key] = v
			case gaugeKinds[g].greatest:
				values[key] = max(old, v)
			default:
				values[key] = old + v
			}
		})
	}
	return values
}
