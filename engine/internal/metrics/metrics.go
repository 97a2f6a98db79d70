package metrics

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Metrics are what one engine counts. All methods may be called from any goroutine and take no lock. Without a registerer,
// everything is counted and nobody sees it.
type Metrics struct {
	collector *collector
	service   string
	source    Source

	// The children of the vectors, resolved once, by their indices.
	counters   []prometheus.Counter
	histograms []prometheus.Observer
}

// Emit shows a gauge. partition is api.NoPartition for a gauge that has none.
type Emit func(g Gauge, partition int, v float64)

// Source emits the gauges of an engine; a gauge that it does not emit does not exist. It is called at every scrape, from any
// goroutine. It must not wait for long, nor take a lock under which Close is called.
type Source func(emit Emit)

// New registers the metrics of an engine with r, if that is not nil; engines that share a registerer share the series. gauges
// is called at every scrape until Close; nil has none. Errors match api.ErrInvalidConfig.
func New(r prometheus.Registerer, service string, gauges Source) (*Metrics, error) {
	return registered(r, ofEngine, service, gauges)
}

// NewFeed does the same with the metrics of a feed, which are counted apart.
func NewFeed(r prometheus.Registerer, service string, gauges Source) (*Metrics, error) {
	return registered(r, ofFeed, service, gauges)
}

// NewSchedule does the same with the metrics of schedules.
func NewSchedule(r prometheus.Registerer, service string, gauges Source) (*Metrics, error) {
	return registered(r, ofSchedule, service, gauges)
}

func registered(r prometheus.Registerer, p part, service string, gauges Source) (*Metrics, error) {
	c, err := sharedCollector(r, p)
	if err != nil {
		return nil, err
	}
	m := &Metrics{collector: c, service: service, source: gauges}
	c.add(m)
	return m, nil
}

// resolve makes the children of all vectors. collector.add calls it.
func (m *Metrics) resolve() {
	for _, r := range tables[m.collector.part] {
		if r.kind == isGauge {
			continue
		}
		for _, values := range r.series() {
			var counter prometheus.Counter
			var histogram prometheus.Observer
			switch {
			case values == nil:
			case r.kind == isCounter:
				counter = m.collector.counter(r, append([]string{m.service}, values...)...)
			default:
				histogram = m.collector.histogram(r, append([]string{m.service}, values...)...)
			}
			if r.kind == isCounter {
				m.counters = append(m.counters, counter)
			} else {
				m.histograms = append(m.histograms, histogram)
			}
		}
	}
}

// Close removes the engine's gauges; once it returns, its Source is not running and will not be called again. With the last engine
// of a service on its registerer, all series of the service go: what they counted ended with it, as at the end of a process, and
// one that is started later begins at zero. Safe to call twice.
func (m *Metrics) Close() { m.collector.remove(m) }

// Inc adds one to a counter.
func (m *Metrics) Inc(c Counter) { m.counters[c.index()].Inc() }

// Add adds n to a counter, unless n is 0: most batches have but one kind of result.
func (m *Metrics) Add(c Counter, n int) {
	if n > 0 {
		m.counters[c.index()].Add(float64(n))
	}
}

// Observe adds an observation to a histogram.
func (m *Metrics) Observe(h Histogram, v float64) { m.histograms[h.index()].Observe(v) }

// Renewed counts what came of the renewals of so many leases.
func (m *Metrics) Renewed(kept, lost, missing, failed int) {
	m.Add(renewals.With(renewalKept), kept)
	m.Add(renewals.With(renewalLost), lost)
	m.Add(renewals.With(renewalMissing), missing)
	m.Add(renewals.With(renewalFailed), failed)
}

// Late records how long after its time a renewal was sent.
func (m *Metrics) Late(d time.Duration) { m.Observe(renewalLateness, d.Seconds()) }

// Script records a call of a script. One that its caller cancelled has not failed.
func (m *Metrics) Script(name string, took time.Duration, err error) {
	duration, failures := m.script(name)
	duration.Observe(took.Seconds())
	if err != nil && !rueidis.IsRedisNil(err) && !errors.Is(err, context.Canceled) {
		failures.Inc()
	}
}

func (m *Metrics) script(name string) (duration prometheus.Observer, failures prometheus.Counter) {
	i, known := scriptDuration.named[name]
	if !known { // one of a package above scan
		return m.collector.unlisted(m, scriptDuration.row, scriptErrors.row, name)
	}
	return m.histograms[scriptDuration.With(i).index()], m.counters[scriptErrors.With(i).index()]
}

// Took counts verdicts on announcements. One that acquire does not have counts as refused.
func (m *Metrics) Took(takes []lease.Take) {
	for i := range takes {
		v := takes[i].Verdict
		if !verdicts.has(v) {
			v = lease.Refused
		}
		m.Inc(acquisitions.With(v))
	}
}

// Signal counts a signal that was read.
func (m *Metrics) Signal(kind lease.SignalKind) {
	k := signalOther
	switch kind {
	case lease.SignalAnnounced:
		k = signalAnnounced
	case lease.SignalFreed:
		k = signalFreed
	case lease.SignalUser:
		k = signalUser
	case lease.SignalWish:
		k = signalWish
	}
	m.Inc(signalsReceived.With(k))
}

// CheckpointsSaved counts checkpoints that were sent, by what became of them, and the bytes of those that are stored.
func (m *Metrics) CheckpointsSaved(counts [SavingResults]int, bytes int) {
	for result, n := range counts {
		m.Add(checkpoints.With(Saving(result)), n)
	}
	m.Add(checkpointBytes, bytes)
}

// Refused counts an entry that Redis refused to move, and whether the entry is to blame.
func (m *Metrics) Refused(blames bool) {
	if blames {
		m.Inc(entriesRefused.With(blameEntry))
	} else {
		m.Inc(entriesRefused.With(blameServer))
	}
}

// Ended counts a lease that was ended on purpose, and what became of that.
func (m *Metrics) Ended(kind lease.EndKind, err error) {
	switch {
	case !endKinds.has(kind):
	case err == nil:
		m.Inc(endings.With(kind, endOK))
	case errors.Is(err, api.ErrLeaseLost) && !errors.Is(err, api.ErrOutcomeUnknown):
		m.Inc(endings.With(kind, endLost))
	default:
		m.Inc(endings.With(kind, endUnknown))
	}
}

// OwnershipEnded records how long a stream was owned, and how that ended.
func (m *Metrics) OwnershipEnded(kind lease.EndKind, after time.Duration) {
	if ownershipEnds.has(kind) {
		m.Observe(ownershipDuration.With(kind), after.Seconds())
	}
}

// madeUp is the age in seconds beyond which the ID of an announcement is no time: producers may choose IDs.
const madeUp = 10 * 365 * 24 * 3600

// OwnershipBegan records how long an announcement waited to be owned: from its ID to its token, which both have the server's time.
func (m *Metrics) OwnershipBegan(token api.Token, entry string) {
	ms, _ := lease.ParseID(entry)
	if waited := (float64(token) - float64(ms)*1000) / 1e6; waited < madeUp {
		m.Observe(ownershipWait, max(0, waited))
	}
}

// DeadLetter counts an announcement that was dead-lettered. The class of a reason is what precedes its first colon.
func (m *Metrics) DeadLetter(reason string) {
	class, _, _ := strings.Cut(reason, ":")
	i, known := deadLetters.named[class]
	if !known {
		i = int(deadOther)
	}
	m.Inc(deadLetters.With(deadReason(i)))
}

// Handled records that the handling of a notification ended.
func (m *Metrics) Handled(n api.Notification, err error, took time.Duration) {
	duration, failures := m.handler(n.Kind)
	duration.Observe(took.Seconds())
	if err == nil {
		return
	}
	failures.Inc()
	var panicked *api.PanicError
	if errors.As(err, &panicked) {
		m.Inc(handlerPanics)
	}
}

func (m *Metrics) handler(kind api.Kind) (duration prometheus.Observer, failures prometheus.Counter) {
	if !handlerKinds.has(kind) {
		return m.collector.unlisted(m, handlerDuration.row, handlerErrors.row, strings.ToLower(kind.String()))
	}
	return m.histograms[handlerDuration.With(kind).index()], m.counters[handlerErrors.With(kind).index()]
}

// Recovered counts what the recovery of a dead consumer did.
func (m *Metrics) Recovered(done scan.Recovered) {
	m.Add(recovered, done.Entries)
	m.Add(EntriesGone, done.Gone)
	m.Add(entriesRefused.With(blameEntry), done.Blamed)
	m.Add(entriesRefused.With(blameServer), done.Refused-done.Blamed)
	m.Add(deadLetters.With(deadMalformed), done.Malformed)
	m.Add(deadLetters.With(deadTooWide), done.TooWide)
	m.Add(deadLetters.With(deadTooLarge), done.TooLarge)
	m.Add(deadLetters.With(deadRefused), done.GivenUp)
	m.Add(deadLetters.With(deadCrashes), done.DeadLetters-done.Malformed-done.TooWide-done.TooLarge-done.GivenUp)
	m.Add(suspects, done.Suspected)
	if done.Removed {
		m.Inc(consumersRemoved)
	}
}

// Opened counts an attempt to open a session.
func (m *Metrics) Opened(ok bool) {
	if ok {
		m.Inc(opens.With(openOK))
	} else {
		m.Inc(opens.With(openFailed))
	}
}
