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
}

// EventFunc receives events, one at a time and in order for one partition, and
// at once for several. It must return at once and not call the engine back.
type EventFunc func(Event)
