package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine/internal/outbox"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// metrics are what one engine counts. All methods may be called from any goroutine and take no lock; what is counted
// without a registerer is seen by nobody. All series carry the label service; none carries the name of a stream, so their
// number depends on partitions and scripts alone. Counters and histograms are there from the start, at zero.
//
// Counters:
//
//	streamlease_acquisitions_total{result}    verdicts on announcements: acquired, held (by another, or here), early
//	                                          (before its time), gone (body deleted), refused (an error), not_pending
//	                                          (another consumer's by now)
//	streamlease_consumers_removed_total       dead consumers removed from the group
//	streamlease_dead_letters_total{reason}    announcements given up: malformed, permanent, retries, crashes, too_wide
//	                                          (too many fields), too_large (beyond WithLimits, or more than is copied), refused (by
//	                                          Redis, again and again; a letter refers to it), other
//	streamlease_dead_letters_full_total       times that a full dead-letter stream put an announcement off
//	streamlease_disowned_total{cause}         streams lost: lease (Redis says so), session (lost with it), deadline (no
//	                                          renewal succeeded in time), closed (the engine stopped), announcement (it was
//	                                          deleted or trimmed, and is announced again)
//	streamlease_endings_total{kind,result}    leases ended on purpose. kind: done, released, failed, handed_back; result:
//	                                          ok, lost (before Redis answered), unknown (may or may not have happened)
//	streamlease_entries_read_total            announcements read from input streams
//	streamlease_entries_gone_total            announcements whose body somebody else had deleted
//	streamlease_entries_refused_total{cause}  times that Redis refused to end or move an announcement, which is set apart and
//	                                          tried again. cause: entry (what it is; dead-lettered in the end), server (its
//	                                          state, its keys, or missing rights)
//	streamlease_expired_total{result}         expired leases that servers reported, with WithExpired. result: delivered,
//	                                          own (of this process), dropped (handlers were behind)
//	streamlease_expired_subscriptions_total{result}  subscriptions to these reports: made (what came before it is missing),
//	                                          failed (tried again), lost (made again)
//	streamlease_forwarded_total               announcements moved to the partition they belong to
//	streamlease_handler_errors_total{kind}    handlers that returned an error or panicked. kind: added, disowned, expired,
//	                                          terminated, releasing, superseded
//	streamlease_handler_panics_total          handlers that panicked
//	streamlease_hooks_total{hook,result}      events handed to the hook of WithEvents (hook: events) and lines handed to the
//	                                          handler of the log (log). result: delivered, panicked, dropped (too many waited)
//	streamlease_intake_stopped_total          times that a partition's intake stopped since renewals were too late
//	streamlease_maintenance_notices_total{kind}  notices of maintenance that servers sent, each once a connection. kind:
//	                                          moving, migrating, migrated, failing_over, failed_over, smigrating, smigrated
//	streamlease_opens_total{result}           attempts to open a session: ok, failed
//	streamlease_partitions_relocated_total    partitions that went to another master of a cluster, or may have: each is renewed
//	                                          and looked through at once
//	streamlease_reads_failed_total            reads that failed
//	streamlease_reads_paused_total            times that reading and recovery began to rest, since a server did not answer
//	streamlease_recovered_total               announcements taken from dead consumers and queued again
//	streamlease_renewals_total{result}        leases renewed: kept, lost, missing (forgotten by a new server, being
//	                                          verified), failed (no answer, asked again)
//	streamlease_script_errors_total{script}   calls of a script that failed
//	streamlease_sessions_lost_total           sessions lost, each with all leases of its partition
//	streamlease_suspects_total                announcements that saw more than MaxCrashes of their owners die, recovered and handed
//	                                          out again after a delay: nothing shows which of them are to blame
//
//	streamlease_tampered_total{result}        announcements that somebody acknowledged, claimed, deleted or trimmed while this
//	                                          process had them. result: pending_again (for the same owner), announced_again (as
//	                                          they stood there, or from memory), elsewhere (pending for another consumer), lost
//
// Histograms:
//
//	streamlease_handler_duration_seconds{kind}   seconds from the start of a handler to its end. kind: as above
//	streamlease_renewal_batch_size               leases in a batch
//	streamlease_renewal_lateness_seconds         seconds from when a renewal was due to when the one that succeeded was sent
//	streamlease_script_duration_seconds{script}  seconds from sending a call to its answer, waiting in queues included
//
// Gauges, gone when the engine has stopped; of several engines of one service the sum, or where it says so the greatest:
//
//	streamlease_consumers{partition}               consumers in the group; see below
//	streamlease_dead_letters_kept{partition}       dead letters that are there; see below
//	streamlease_handler_busy_workers      notifications being handled
//	streamlease_handler_queue_depth       notifications waiting for a worker
//	streamlease_held{partition}           streams held
//	streamlease_intake{partition}         whether more streams are taken: 0 yes, 1 slowed since renewals are late, 2 handlers are
//	                                      behind, 3 as many are held as may be, 4 what was read finds no place, 5 renewals are too
//	                                      late, 6 draining; the greatest
//	streamlease_lag{partition}                     announcements not delivered yet; missing where unknown; see below
//	streamlease_later{partition}                   announcements put off; see below
//	streamlease_later_due{partition}      announcements put off that are due, as the last beat told; the greatest
//	streamlease_maintenance_nodes         servers that announce maintenance to this process; the greatest
//	streamlease_maintenance_windows       windows of maintenance that are open; the greatest
//	streamlease_oldest_held_seconds       seconds since the stream that is held longest was acquired; the greatest
//	streamlease_oldest_pending_seconds{partition}  since the oldest pending announcement was made; see below
//	streamlease_oldest_waiting_seconds{partition}  since the oldest one not delivered yet was made; see below
//	streamlease_parked{partition}         announcements at hand whose streams are held
//	streamlease_peers_dead{partition}     consumers past their deadline, as the last beat told; the greatest
//	streamlease_pending{partition}                 announcements delivered and not done; see below
//	streamlease_pending_without_body{partition}    pending announcements that were deleted or trimmed, at least so many;
//	                                               missing where unknown; see below
//	streamlease_recovery_held_off{partition}  1 while recovery waits for the end of a window of maintenance; the greatest
//	streamlease_renewals_late_seconds{partition}  since the first renewal was due that is not made yet; the greatest
//	streamlease_settling{partition}       1 while nothing free is taken after a change of server, else 0; the greatest
//	streamlease_stranded{partition}                announcements that are neither pending nor waiting to be delivered: they were
//	                                               acknowledged by hand, or a dead letter refers to them; missing where unknown;
//	                                               see below
//
// Those that say "see below" are measured by whoever of the fleet has the turn to scan a partition, once an interval of
// recovery, and shown by that process until two intervals have passed: take the greatest over the fleet.
type metrics struct {
	collector *collector
	service   string
	gauges    gaugeSource

	// The children of the vectors, resolved once.

	renewals      [4]prometheus.Counter // in the order of renewalResults
	batchSize     prometheus.Observer
	lateness      prometheus.Observer
	scripts       map[string]scriptMetrics
	acquisitions  map[lease.Verdict]prometheus.Counter
	entriesRead   prometheus.Counter
	entriesGone   prometheus.Counter
	refusals      [2]prometheus.Counter // entry, server
	forwards      prometheus.Counter
	disownments   [len(disownCauses)]prometheus.Counter
	endings       map[lease.EndKind]endingMetrics
	deadLetters   map[string]prometheus.Counter
	dlqFull       prometheus.Counter
	handlers      map[api.Kind]handlerMetrics
	panics        prometheus.Counter
	lostSessions  prometheus.Counter
	recoveries    prometheus.Counter
	suspects      prometheus.Counter
	removals      prometheus.Counter
	failedReads   prometheus.Counter
	opens         [2]prometheus.Counter // ok, failed
	notices       map[notice.Kind]prometheus.Counter
	pauses        prometheus.Counter
	stops         prometheus.Counter
	relocations   prometheus.Counter
	expirations   [len(hintResults)]prometheus.Counter
	subscriptions [len(subscriptionResults)]prometheus.Counter
	tamperings    [len(tamperedResults)]prometheus.Counter
	hooks         [len(hookNames)][len(outbox.Results)]prometheus.Counter
}

type scriptMetrics struct {
	duration prometheus.Observer
	errors   prometheus.Counter
}

type handlerMetrics struct {
	duration prometheus.Observer
	errors   prometheus.Counter
}

type endingMetrics struct{ ok, lost, unknown prometheus.Counter }

// disownCause is why a stream was disowned, as the metrics tell it.
type disownCause uint8

const (
	causeLease        disownCause = iota // Redis says that the lease is gone or another's
	causeSession                         // its session was lost
	causeDeadline                        // no renewal succeeded in time
	causeClosed                          // the engine stopped
	causeAnnouncement                    // its announcement was deleted
)

// tampered is what became of an announcement that somebody took away, as the metrics tell it.
type tampered uint8

const (
	tamperedPending tampered = iota
	tamperedAnnounced
	tamperedElsewhere
	tamperedLost
)

// hook is code of the user that no notification runs.
type hook uint8

const (
	hookEvents hook = iota // of WithEvents
	hookLog                // the handler of the log
)

var hookNames = [...]string{hookEvents: "events", hookLog: "log"}

// Values of labels, in the order of what they stand for.
var (
	disownCauses = [...]string{causeLease: "lease", causeSession: "session", causeDeadline: "deadline", causeClosed: "closed",
		causeAnnouncement: "announcement"}
	tamperedResults = [...]string{tamperedPending: "pending_again", tamperedAnnounced: "announced_again",
		tamperedElsewhere: "elsewhere", tamperedLost: "lost"}
	renewalResults = [...]string{"kept", "lost", "missing", "failed"}
	deadReasons    = [...]string{"malformed", "permanent", "retries", "crashes", "too_wide", "too_large", "refused", otherReason}
	takeResults    = map[lease.Verdict]string{
		lease.Acquired:   "acquired",
		lease.HeldByOne:  "held",
		lease.Early:      "early",
		lease.Gone:       "gone",
		lease.Refused:    "refused",
		lease.NotPending: "not_pending",
	}
	endKinds = map[lease.EndKind]string{
		lease.EndDone:     "done",
		lease.EndReleased: "released",
		lease.EndFailed:   "failed",
		lease.EndHandBack: "handed_back",
	}
)

const otherReason = "other"

// newMetrics registers what is counted with the registerer of cfg, if it has one; engines that share one share the
// series. gauges is asked at every scrape until close; nil has none.
func newMetrics(cfg *config, service string, gauges gaugeSource) (*metrics, error) {
	c, err := sharedCollector(cfg.registerer)
	if err != nil {
		return nil, err
	}
	m := &metrics{collector: c, service: service, gauges: gauges}
	m.resolve()
	c.add(m)
	return m, nil
}

// resolve makes the children that the methods count with.
func (m *metrics) resolve() {
	c, s := m.collector, m.service
	for i, result := range renewalResults {
		m.renewals[i] = c.renewals.WithLabelValues(s, result)
	}
	m.batchSize = c.batchSize.WithLabelValues(s)
	m.lateness = c.lateness.WithLabelValues(s)
	m.scripts = make(map[string]scriptMetrics)
	for _, script := range slices.Concat(lease.Scripts(), scan.Scripts()) {
		m.scripts[script.Name()] = m.scriptMetrics(script.Name())
	}
	m.acquisitions = make(map[lease.Verdict]prometheus.Counter)
	for verdict, result := range takeResults {
		m.acquisitions[verdict] = c.acquisitions.WithLabelValues(s, result)
	}
	m.entriesRead = c.entriesRead.WithLabelValues(s)
	m.entriesGone = c.entriesGone.WithLabelValues(s)
	m.refusals = [...]prometheus.Counter{c.refusals.WithLabelValues(s, "entry"), c.refusals.WithLabelValues(s, "server")}
	m.forwards = c.forwards.WithLabelValues(s)
	for i, cause := range disownCauses {
		m.disownments[i] = c.disownments.WithLabelValues(s, cause)
	}
	m.endings = make(map[lease.EndKind]endingMetrics)
	for kind, name := range endKinds {
		result := func(r string) prometheus.Counter { return c.endings.WithLabelValues(s, name, r) }
		m.endings[kind] = endingMetrics{ok: result("ok"), lost: result("lost"), unknown: result("unknown")}
	}
	m.deadLetters = make(map[string]prometheus.Counter)
	for _, reason := range deadReasons {
		m.deadLetters[reason] = c.deadLetters.WithLabelValues(s, reason)
	}
	m.dlqFull = c.dlqFull.WithLabelValues(s)
	m.handlers = make(map[api.Kind]handlerMetrics)
	for kind := api.Added; kind <= api.Superseded; kind++ {
		m.handlers[kind] = m.handlerMetrics(kind)
	}
	m.panics = c.panics.WithLabelValues(s)
	m.lostSessions = c.lostSessions.WithLabelValues(s)
	m.recoveries = c.recoveries.WithLabelValues(s)
	m.suspects = c.suspects.WithLabelValues(s)
	m.removals = c.removals.WithLabelValues(s)
	m.failedReads = c.failedReads.WithLabelValues(s)
	m.stops = c.stops.WithLabelValues(s)
	m.pauses = c.pauses.WithLabelValues(s)
	m.relocations = c.relocations.WithLabelValues(s)
	m.notices = make(map[notice.Kind]prometheus.Counter)
	for kind := notice.Moving; kind <= notice.SlotsMoved; kind++ {
		m.notices[kind] = c.notices.WithLabelValues(s, strings.ToLower(kind.String()))
	}
	for i, result := range tamperedResults {
		m.tamperings[i] = c.tamperings.WithLabelValues(s, result)
	}
	for i, result := range hintResults {
		m.expirations[i] = c.expirations.WithLabelValues(s, result)
	}
	for i, result := range subscriptionResults {
		m.subscriptions[i] = c.subscriptions.WithLabelValues(s, result)
	}
	for h, name := range hookNames {
		for i, result := range outbox.Results {
			m.hooks[h][i] = c.hooks.WithLabelValues(s, name, result.String())
		}
	}
	m.opens = [...]prometheus.Counter{c.opens.WithLabelValues(s, "ok"), c.opens.WithLabelValues(s, "failed")}
}

func (m *metrics) scriptMetrics(name string) scriptMetrics {
	return scriptMetrics{
		duration: m.collector.scriptDuration.WithLabelValues(m.service, name),
		errors:   m.collector.scriptErrors.WithLabelValues(m.service, name),
	}
}

func (m *metrics) handlerMetrics(kind api.Kind) handlerMetrics {
	name := strings.ToLower(kind.String())
	return handlerMetrics{
		duration: m.collector.handlerDuration.WithLabelValues(m.service, name),
		errors:   m.collector.handlerErrors.WithLabelValues(m.service, name),
	}
}

// close takes the engine's gauges off; when it returns its gaugeSource is not being asked and never will be again. What
// was counted stays. Safe twice.
func (m *metrics) close() { m.collector.remove(m) }

// renewed counts what came of the renewals of so many leases.
func (m *metrics) renewed(kept, lost, missing, failed int) {
	for i, n := range [...]int{kept, lost, missing, failed} {
		countUp(m.renewals[i], n)
	}
}

// countUp skips zeros: most batches have but one kind of result.
func countUp(c prometheus.Counter, n int) {
	if n > 0 {
		c.Add(float64(n))
	}
}

// batch counts a renewal of so many leases that was sent.
func (m *metrics) batch(leases int) { m.batchSize.Observe(float64(leases)) }

// late notes how long after its time a renewal was sent.
func (m *metrics) late(d time.Duration) { m.lateness.Observe(d.Seconds()) }

// script notes a call of a script. One that was given up by its caller has not failed.
func (m *metrics) script(name string, took time.Duration, err error) {
	s, known := m.scripts[name]
	if !known { // one of a package above lease
		s = m.scriptMetrics(name)
	}
	s.duration.Observe(took.Seconds())
	if err != nil && !rueidis.IsRedisNil(err) && !errors.Is(err, context.Canceled) {
		s.errors.Inc()
	}
}

// took counts verdicts on announcements.
func (m *metrics) took(takes []lease.Take) {
	for i := range takes {
		c, known := m.acquisitions[takes[i].Verdict]
		if !known {
			c = m.acquisitions[lease.Refused]
		}
		c.Inc()
	}
}

// read counts announcements that were read.
func (m *metrics) read(n int) { countUp(m.entriesRead, n) }

// readFailed counts a read that failed.
func (m *metrics) readFailed() { m.failedReads.Inc() }

// paused counts that reading and recovery began to rest.
func (m *metrics) paused() { m.pauses.Inc() }

// intakeStopped counts that a partition's intake stopped.
func (m *metrics) intakeStopped() { m.stops.Inc() }

// relocated counts partitions that another server has, or may have.
func (m *metrics) relocated(n int) { countUp(m.relocations, n) }

// noticed counts a notice of maintenance.
func (m *metrics) noticed(kind notice.Kind) { m.notices[kind].Inc() }

// gone counts announcements whose body was deleted.
func (m *metrics) gone(n int) { countUp(m.entriesGone, n) }

// refused counts that an entry was not moved, and whether that lies in the entry.
func (m *metrics) refused(blames bool) {
	if blames {
		m.refusals[0].Inc()
	} else {
		m.refusals[1].Inc()
	}
}

// tampered counts announcements that somebody took away from this process.
func (m *metrics) tampered(result tampered, n int) { countUp(m.tamperings[result], n) }

// forwarded counts announcements that were moved to their own partition.
func (m *metrics) forwarded(n int) { countUp(m.forwards, n) }

// disowned counts a stream that was lost.
func (m *metrics) disowned(cause disownCause) { m.disownments[cause].Inc() }

// ended counts a lease that was ended on purpose, with what became of that.
func (m *metrics) ended(kind lease.EndKind, err error) {
	e, known := m.endings[kind]
	switch {
	case !known:
	case err == nil:
		e.ok.Inc()
	case errors.Is(err, api.ErrLeaseLost) && !errors.Is(err, api.ErrOutcomeUnknown):
		e.lost.Inc()
	default:
		e.unknown.Inc()
	}
}

// deadLetter counts an announcement that was given up. The class of a reason is what stands before its first colon.
func (m *metrics) deadLetter(reason string) {
	class, _, _ := strings.Cut(reason, ":")
	c, known := m.deadLetters[class]
	if !known {
		c = m.deadLetters[otherReason]
	}
	c.Inc()
}

// deadLettersFull counts an announcement that the dead-letter stream had no room for.
func (m *metrics) deadLettersFull() { m.dlqFull.Inc() }

// handled notes that the handling of a notification ended.
func (m *metrics) handled(n api.Notification, err error, took time.Duration) {
	h, known := m.handlers[n.Kind]
	if !known {
		h = m.handlerMetrics(n.Kind)
	}
	h.duration.Observe(took.Seconds())
	if err == nil {
		return
	}
	h.errors.Inc()
	var panicked *api.PanicError
	if errors.As(err, &panicked) {
		m.panics.Inc()
	}
}

// hooked counts what became of what was handed to a hook.
func (m *metrics) hooked(h hook, r outbox.Result) { m.hooks[h][r].Inc() }

// sessionLost counts a session that was lost.
func (m *metrics) sessionLost() { m.lostSessions.Inc() }

// recovered counts what a recovery of a dead consumer did.
func (m *metrics) recovered(done scan.Recovered) {
	countUp(m.recoveries, done.Entries)
	countUp(m.entriesGone, done.Gone)
	countUp(m.refusals[0], done.Blamed)
	countUp(m.refusals[1], done.Refused-done.Blamed)
	crashes := done.DeadLetters
	for class, n := range map[string]int{
		lease.DeadMalformed: done.Malformed, lease.DeadTooWide: done.TooWide, lease.DeadTooLarge: done.TooLarge, lease.DeadRefused: done.GivenUp,
	} {
		countUp(m.deadLetters[class], n)
		crashes -= n
	}
	countUp(m.deadLetters["crashes"], crashes)
	countUp(m.suspects, done.Suspected)
	if done.Removed {
		m.removals.Inc()
	}
}

// opened counts an attempt to open a session.
func (m *metrics) opened(ok bool) {
	if ok {
		m.opens[0].Inc()
	} else {
		m.opens[1].Inc()
	}
}
