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
	// new name. Err says how it was noticed.
	EventSessionLost EventKind = "session lost"

	// EventSettlingStarted: the server of the partition changed (failover or
	// restart) and may have forgotten writes. What is held goes on being
	// held; nothing free is taken until settling has ended.
	EventSettlingStarted EventKind = "settling started"

	// EventSettlingEnded: streams of the partition are taken again.
	EventSettlingEnded EventKind = "settling ended"

	// EventRedisUnreachable: beats and renewals of the partition fail. Leases
	// are held until their deadlines. Err is the last failure.
	EventRedisUnreachable EventKind = "redis unreachable"

	// EventRedisReachable: beats and renewals of the partition succeed again.
	EventRedisReachable EventKind = "redis reachable"

	// EventTopologyChanged: partitions went to another master of the cluster,
	// by a failover or a migration. What is held there is renewed at once.
	// Concerns no single partition; Detail says how many.
	EventTopologyChanged EventKind = "topology changed"

	// EventMaintenanceStarted: a server has announced maintenance. Until it
	// has ended, sessions and leases that it may concern last longer, and
	// nobody is recovered there, for a minute in all by default. Concerns no single partition; Maintenance
	// says what was announced.
	EventMaintenanceStarted EventKind = "maintenance started"

	// EventMaintenanceEnded: the server has said so, or the time is up. What
	// it may have concerned is renewed, once in an interval of renewals at
	// most. Maintenance says which.
	EventMaintenanceEnded EventKind = "maintenance ended"

	// EventReadsPaused: a server does not answer, so reading from it and
	// recovery there rest, but for an attempt now and then; renewal goes on.
	// Partition is the one where it was noticed; others of the same server
	// rest with it.
	EventReadsPaused EventKind = "reads paused"

	// EventReadsResumed: the server answers again.
	EventReadsResumed EventKind = "reads resumed"

	// EventIntakeStopped: renewals in the partition are so late that more
	// streams would endanger those that are held, so none are taken. Err
	// says how late, and what to do.
	EventIntakeStopped EventKind = "intake stopped"

	// EventIntakeResumed: streams of the partition are taken again.
	EventIntakeResumed EventKind = "intake resumed"

	// EventDisagreed: the service is no longer what this engine takes it
	// for: another number of partitions or format is on record, or it is
	// being deleted or repartitioned. All streams are disowned, nothing is
	// taken, and Ready fails. Err is the reason. Concerns no single
	// partition.
	EventDisagreed EventKind = "service changed"

	// EventAgreed: it is again what this engine takes it for; streams are
	// taken again. Concerns no single partition.
	EventAgreed EventKind = "service as before"

	// EventHintsMissed: with WithExpired only. A subscription to the expiry
	// events of a server was made after the first ones, since it was cut
	// off or the server is new; what the server reported before is missing.
	// Nothing rests on these hints. Concerns no single partition; Detail is
	// the server.
	EventHintsMissed EventKind = "hints missed"

	// EventCrashLoop: a process died, and announcements that it held have
	// now seen more of their owners die than scan.Config.MaxCrashes allows,
	// while none of them stands out as the one to blame. They are handed out
	// again after the longest delay. Detail says how many there are. Find out
	// why processes die: what all of them have in common is to blame, as a
	// lack of memory, or a probe that fails.
	EventCrashLoop EventKind = "crash loop"

	// EventDrainStarted: the engine has stopped reading and hands back what
	// it holds. Concerns no single partition.
	EventDrainStarted EventKind = "drain started"
)

// NoPartition is the partition of an [Event] that concerns no single one.
const NoPartition = -1

// Event is something that happened to the engine itself and not to a stream:
// for logs, metrics and alarms. The program need not act on any of them. New
// fields may be added, so write literals with field names.
type Event struct {
	Kind EventKind

	// Partition is the partition concerned, counted from 0, or NoPartition.
	Partition int

	// Time is when the engine noticed, by the clock of this process.
	Time time.Time

	// Err is why, or nil.
	Err error

	// Detail is for people to read, may be empty, and changes between
	// versions.
	Detail string

	// Maintenance is what was announced, for EventMaintenanceStarted and
	// EventMaintenanceEnded; else nil. It is shared and not to be changed.
	Maintenance *Maintenance
}

// Maintenance is a window of maintenance, as a server has announced it.
type Maintenance struct {
	// Notice is its name in the protocol: MOVING, MIGRATING, FAILING_OVER or
	// SMIGRATING. More may be added.
	Notice string

	// Seq is the number of the notice, -1 when it had none. A window that
	// ended keeps the number of the notice that opened it.
	Seq int64

	// Node is the address of the node that told of it first, which is often
	// not the one that it concerns.
	Node string

	// Endpoint is where a MOVING node goes, host:port, or empty.
	Endpoint string

	// Shards are those that MIGRATING and FAILING_OVER are about, as far as
	// the server said.
	Shards []string

	// Slots is how many slots SMIGRATING is about.
	Slots int

	// Announced is the time that the server gave, and Length what is made of
	// it: TTLs are longer by as much.
	Announced, Length time.Duration

	// Completed says, when it has ended, that the server said so.
	Completed bool
}

// EventFunc receives events, one at a time and in order, on a goroutine that
// does nothing else. The engine does not wait for it: while it runs, up to 1,024
// events wait, and more are dropped and counted. A panic is logged with its
// stack, counted, and ends nothing. The end of the engine waits up to a second
// for it to take the last events; nothing comes after that.
type EventFunc func(Event)
