package api

import "time"

// EventKind names what an [Event] is about. More may be added: ignore kinds
// that you do not know.
type EventKind string

const (
	// EventSessionOpened: this process has a session in the partition and
	// may take streams from it.
	EventSessionOpened EventKind = "session opened"

	// EventSessionLost: the session in the partition passed its deadline.
	// All leases of the partition are lost; a new session is opened under a
	// new name. Err says how this was detected.
	EventSessionLost EventKind = "session lost"

	// EventSettlingStarted: the server of the partition changed (failover or
	// restart) and may have forgotten writes. Streams that are held stay
	// held; no free stream is taken until settling has ended.
	EventSettlingStarted EventKind = "settling started"

	// EventSettlingEnded: streams of the partition are taken again.
	EventSettlingEnded EventKind = "settling ended"

	// EventRedisUnreachable: beats and renewals of the partition get no
	// answer. Leases are held until their deadlines. Err is the last failure.
	EventRedisUnreachable EventKind = "redis unreachable"

	// EventRedisRefuses: beats and renewals of the partition are answered
	// with an error: the server is loading, full, or was demoted, a slot is
	// migrating, the password was changed. Leases are held until their
	// deadlines. Err says which it is and what to do.
	EventRedisRefuses EventKind = "redis refuses"

	// EventRedisReachable: beats and renewals of the partition succeed again,
	// after any of the two.
	EventRedisReachable EventKind = "redis reachable"

	// EventTopologyChanged: partitions moved to another master of the
	// cluster, by a failover or a migration. Leases in them are renewed at
	// once. Concerns no single partition; Detail says how many moved.
	EventTopologyChanged EventKind = "topology changed"

	// EventMaintenanceStarted: a server has announced maintenance. Until it
	// has ended, sessions and leases that it may affect last longer, and no
	// consumer is recovered there, for a minute in total by default. Concerns
	// no single partition; Maintenance says what was announced.
	EventMaintenanceStarted EventKind = "maintenance started"

	// EventMaintenanceEnded: the server has said so, or the time is up.
	// Leases that it may have affected are renewed, at most once per renewal
	// interval. Maintenance says which window ended.
	EventMaintenanceEnded EventKind = "maintenance ended"

	// EventServerMoved: a server has announced that its address goes away, and
	// the engine's own clients now connect to the endpoint that it named, or
	// again to the same address if it named none. With Err, the new endpoint
	// does not answer, and the address stays in use while it lasts. Concerns no
	// single partition; Maintenance has the address and the endpoint.
	EventServerMoved EventKind = "server moved"

	// EventNoticeReceived: a server has sent a notice of maintenance, and
	// nothing was done about it yet. Each node sends each notice, so there
	// is an event for each node, and another one when a node repeats it.
	// Notice says what was announced. It is for hooks that want to hear of
	// everything: the log has no line for it, only for what it changes.
	// Concerns no single partition.
	EventNoticeReceived EventKind = "notice received"

	// EventNoticeHandled: the engine has acted on the notice of the latest
	// EventNoticeReceived. Notice.Effect says what came of it. Renewals and
	// connections that it calls for are due, not made. Between the two come
	// the EventMaintenanceStarted and EventMaintenanceEnded that it caused.
	EventNoticeHandled EventKind = "notice handled"

	// EventReadsPaused: a server does not answer, so reading from it and
	// recovery there are paused, except for an occasional attempt; renewal
	// goes on. Partition is the one where this was noticed; the other
	// partitions of the same server are paused with it.
	EventReadsPaused EventKind = "reads paused"

	// EventReadsResumed: the server answers again.
	EventReadsResumed EventKind = "reads resumed"

	// EventIntakeStopped: renewals in the partition are so late that more
	// streams would endanger those already held, so none are taken. Err says
	// how late they are, and what to do.
	EventIntakeStopped EventKind = "intake stopped"

	// EventIntakeResumed: streams of the partition are taken again.
	EventIntakeResumed EventKind = "intake resumed"

	// EventDisagreed: the service is no longer as this engine expects it:
	// another number of partitions or format is on record, or the service is
	// being deleted or repartitioned. All streams are disowned, none are
	// taken, and Ready fails. Err is the reason. Concerns no single
	// partition.
	EventDisagreed EventKind = "service changed"

	// EventAgreed: the service is again as this engine expects it; streams
	// are taken again. Concerns no single partition.
	EventAgreed EventKind = "service as before"

	// EventHintsMissed: only with WithExpired. A subscription to the expiry
	// events of a server was made later than the first ones, because it was
	// cut off or the server is new; what the server reported before is
	// missing. Nothing depends on these hints. Concerns no single partition;
	// Detail is the server.
	EventHintsMissed EventKind = "hints missed"

	// EventCrashLoop: a process died, and announcements that it held have
	// now seen more of their owners die than scan.Config.MaxCrashes allows,
	// while none of them stands out as the cause. They are handed out again
	// after the longest delay. Detail says how many there are. Find out why
	// processes die: the cause is something that they all have in common,
	// such as a lack of memory or a failing probe.
	EventCrashLoop EventKind = "crash loop"

	// EventPredecessorEnded: only with WithLockFile. The lock of the file
	// proved that an earlier run of this process has ended, so its sessions in
	// the partition were ended before their time: what it held is recovered
	// now. Detail says how many sessions there were.
	EventPredecessorEnded EventKind = "predecessor ended"

	// EventDrainStarted: the engine has stopped reading and is handing back
	// what it holds. Concerns no single partition.
	EventDrainStarted EventKind = "drain started"
)

// NoPartition is the partition of an [Event] that concerns no single one.
const NoPartition = -1

// Event is something that happened to the engine itself, not to a stream: for
// logs, metrics and alarms. The program need not act on any event. New fields
// may be added, so write literals with field names.
type Event struct {
	// Kind is what happened. Ignore kinds that you do not know.
	Kind EventKind

	// Partition is the partition concerned, counted from 0, or NoPartition.
	Partition int

	// Time is when the engine noticed, by the clock of this process.
	Time time.Time

	// Err is why, or nil.
	Err error

	// Detail is for people to read. It may be empty, and its wording changes
	// between versions.
	Detail string

	// Maintenance is what was announced, for EventMaintenanceStarted,
	// EventMaintenanceEnded and EventServerMoved; otherwise nil. It is shared
	// and must not be changed.
	Maintenance *Maintenance

	// Notice is what a server has sent, for EventNoticeReceived and
	// EventNoticeHandled; otherwise nil. It is shared and must not be
	// changed.
	Notice *Notice
}

// Notice is a notice of maintenance, as one node has sent it. New fields may be
// added, so write literals with field names.
type Notice struct {
	// Name is its name in the protocol: MOVING, MIGRATING, MIGRATED,
	// FAILING_OVER, FAILED_OVER, SMIGRATING or SMIGRATED. More may be added.
	Name string

	// Seq is its number, -1 when it had none. Every node sends a notice under
	// the same number.
	Seq int64

	// Node is the address of the node that sent it, which is often not the
	// node affected.
	Node string

	// Endpoint is where a MOVING node moves to, host:port, or empty.
	Endpoint string

	// Shards are those that the notice is about, as far as the server said.
	Shards []string

	// Slots is how many slots it is about; 0 where slots are not announced.
	Slots int

	// Announced is how long the maintenance lasts, or how soon it begins, as
	// the server said; 0 where it said nothing. It may be negative.
	Announced time.Duration

	// Effect is what came of it, for EventNoticeHandled; otherwise empty.
	Effect NoticeEffect

	// Restarted, for EventNoticeHandled, reports that the numbers of notices
	// have begun again with this one, as they may after a failover.
	Restarted bool
}

// NoticeEffect is what came of a [Notice]. More may be added.
type NoticeEffect string

const (
	// NoticeBegan: it opened a maintenance window, or prolonged one.
	NoticeBegan NoticeEffect = "began"

	// NoticeEnded: it ended a window, a part of one, or one whose beginning
	// was missed.
	NoticeEnded NoticeEffect = "ended"

	// NoticeRepeated: it was known, mostly from another node.
	NoticeRepeated NoticeEffect = "repeated"

	// NoticeOutdated: it came too late to matter, such as the end of a
	// maintenance of long ago, which servers repeat on new connections.
	NoticeOutdated NoticeEffect = "outdated"
)

// Maintenance is a maintenance window, as a server has announced it.
type Maintenance struct {
	// Notice is its name in the protocol: MOVING, MIGRATING, FAILING_OVER or
	// SMIGRATING. More may be added.
	Notice string

	// Seq is the number of the notice, -1 when it had none. A window that
	// ended keeps the number of the notice that opened it.
	Seq int64

	// Node is the address of the node that announced it first, which is often
	// not the node affected.
	Node string

	// Endpoint is where a MOVING node moves to, host:port, or empty.
	Endpoint string

	// Shards are those that MIGRATING and FAILING_OVER are about, as far as
	// the server said.
	Shards []string

	// Slots is how many slots SMIGRATING is about.
	Slots int

	// Announced is the duration that the server gave. Length is that duration
	// within limits: TTLs are lengthened by it.
	Announced, Length time.Duration

	// Completed reports whether a window that has ended was ended by the
	// server; if not, its time was up.
	Completed bool
}

// EventFunc receives events, one at a time and in order, on a goroutine that
// does nothing else. The engine does not wait for it: while it runs, up to
// 1,024 events are queued, and further ones are dropped and counted. A panic is
// logged with its stack and counted, and ends nothing. When the engine ends, it
// waits up to a second for the last events to be taken; none come after that.
type EventFunc func(Event)
