package metrics

// Gauges.
var (
	Consumers = gauge(row{
		name:      "consumers",
		help:      "Consumers in the group.",
		use:       "Should be the number of processes. More for long means consumers that nobody removes.",
		partition: true, combine: fleet,
	})

	CheckpointsUnsaved = gauge(row{
		name:      "checkpoints_unsaved",
		help:      "Checkpoints that were set and are not stored yet.",
		use:       "As many as change within a second. More means that Redis does not store them.",
		partition: true, combine: sum,
	})

	CheckpointsOldest = gauge(row{
		name:      "checkpoints_oldest_unsaved_seconds",
		help:      "Seconds since the first checkpoint was set that is not stored yet.",
		use:       "How much a crash would repeat. Alert above 10.",
		partition: true, combine: greatest,
	})

	CheckpointsOff = gauge(row{
		name:      "checkpoints_off",
		help:      "1 while no checkpoints are stored since Redis refuses them, otherwise 0.",
		use:       "Alert above 0 where programs use checkpoints: a right is missing, or the key has another type; the log has the reason.",
		partition: true, combine: greatest,
	})

	DeadLettersKept = gauge(row{
		name:      "dead_letters_kept",
		help:      "Dead letters in the dead-letter stream.",
		use:       "Alert above 0, or well below `DLQMaxLen`.",
		partition: true, combine: fleet,
	})

	BreakersOpen = gauge(row{
		name:    "breakers_open",
		help:    "Masters that do not answer and are not read from meanwhile, an occasional attempt aside.",
		use:     "Alert above 0 for minutes: a master is away.",
		combine: greatest,
	})

	BusyWorkers = gauge(row{
		name:    "handler_busy_workers",
		help:    "Notifications being handled.",
		use:     "At `WithWorkers` all the time, handlers block.",
		combine: sum,
	})

	QueueDepth = gauge(row{
		name:    "handler_queue_depth",
		help:    "Notifications waiting for a worker.",
		use:     "Alert if it grows: handlers are slower than what comes in.",
		combine: sum,
	})

	Full = gauge(row{
		name:    "full",
		help:    "1 while as many streams are held as are allowed, otherwise 0.",
		use:     "Alert if all processes of a service are full, `min(streamlease_full) == 1`: add one.",
		combine: greatest,
	})

	Held = gauge(row{
		name:      "held",
		help:      "Streams held.",
		use:       "The load of each process; a drop to 0 without a deployment needs a look.",
		partition: true, combine: sum,
	})

	Intake = gauge(row{
		name: "intake",
		help: "Whether more streams are taken, and if not, why.",
		use:  "Alert on 4 or 5 for a minute.",
		more: "0: yes. 1: fewer, since renewals are late. 2: handlers are behind. 3: as many are held as are allowed. " +
			"4: what was read cannot be acquired or given back. 5: renewals are too late. 6: draining.",
		partition: true, combine: greatest,
	})

	Lag = gauge(row{
		name:      "lag",
		help:      "Announcements that no consumer was given yet.",
		use:       "The queue in front of the fleet: alert if it grows for longer than a deployment takes.",
		more:      "An estimate where `lag_estimated` is 1.",
		partition: true, combine: fleet,
	})

	LagEstimated = gauge(row{
		name: "lag_estimated",
		help: "Whether `lag` is an estimate: 0 exact, 1 an estimate.",
		use:  "Whether to trust small changes of `lag`.",
		more: "It is one if there are many announcements and Redis cannot say how many were delivered. It is too great by what is" +
			" stranded, or too small by what is pending without a body.",
		partition: true, combine: fleet,
	})

	Later = gauge(row{
		name:      "later",
		help:      "Delayed announcements.",
		use:       "How much waits for its time, retries after failures included.",
		partition: true, combine: fleet,
	})

	LaterDue = gauge(row{
		name:      "later_due",
		help:      "Delayed announcements that are due.",
		use:       "Alert above 0 for minutes: what is due is not promoted.",
		more:      "As the last beat reported.",
		partition: true, combine: greatest,
	})

	MaintenanceEndpoints = gauge(row{
		name:    "maintenance_endpoints",
		help:    "Addresses of servers in place of which another endpoint is used.",
		use:     "Whether clients still use an announced endpoint.",
		combine: greatest,
	})

	MaintenanceNodes = gauge(row{
		name:    "maintenance_nodes",
		help:    "Servers that announce maintenance to this process.",
		use:     "0 with `WithMaintenance` where servers should announce: see the log.",
		combine: greatest,
	})

	MaintenanceWindows = gauge(row{
		name:    "maintenance_windows",
		help:    "Maintenance windows that are open.",
		use:     "Whether timeouts and TTLs are longer just now.",
		combine: greatest,
	})

	MaxStreams = gauge(row{
		name:    "max_streams",
		help:    "Streams that may be held.",
		use:     "With `held`: how much room is left, `streamlease_max_streams - sum without (partition) (streamlease_held)`.",
		more:    "Missing where there is no limit.",
		combine: sum,
	})

	OldestHeld = gauge(row{
		name:    "oldest_held_seconds",
		help:    "Seconds since the stream that is held longest was acquired.",
		use:     "A stream that is never finished.",
		combine: greatest,
	})

	OldestPending = gauge(row{
		name:      "oldest_pending_seconds",
		help:      "Seconds since the oldest pending announcement was made.",
		use:       "The oldest work in progress in the fleet, since it was last announced.",
		partition: true, combine: fleet,
	})

	OldestWaiting = gauge(row{
		name:      "oldest_waiting_seconds",
		help:      "Seconds since the oldest announcement not delivered yet was made.",
		use:       "Alert on what you promise producers: that long nobody has taken the first one.",
		partition: true, combine: fleet,
	})

	Parked = gauge(row{
		name:      "parked",
		help:      "Announcements kept by this process because their streams are held.",
		use:       "Streams that are announced faster than their owners finish; at `WithMaxParked` the rest goes to later.",
		partition: true, combine: sum,
	})

	PeersDead = gauge(row{
		name:      "peers_dead",
		help:      "Consumers past their deadline.",
		use:       "Alert above 0 for a minute: nobody recovers what a dead process left.",
		more:      "As the last beat reported.",
		partition: true, combine: greatest,
	})

	Pending = gauge(row{
		name: "pending",
		help: "Announcements given to consumers and not done.",
		use: "What the fleet has taken: `held` and `parked` of all processes and what is on its way. Much more for long " +
			"means work that nobody has.",
		partition: true, combine: fleet,
	})

	PendingWithoutBody = gauge(row{
		name:      "pending_without_body",
		help:      "Pending announcements that were deleted or trimmed, at least.",
		use:       "Alert above 0: somebody trims the input stream.",
		more:      "Missing where the lag is an estimate.",
		partition: true, combine: fleet,
	})

	RecoveryHeldOff = gauge(row{
		name:      "recovery_held_off",
		help:      "1 while recovery waits for the end of a maintenance window.",
		use:       "Why `peers_dead` is not served at present.",
		partition: true, combine: greatest,
	})

	RenewalsLate = gauge(row{
		name: "renewals_late_seconds",
		help: "Seconds since the first renewal that has not been made was due.",
		use: "Alert at a tenth of a lease's slack, 2 s with the defaults, if it lasts a minute. At a quarter intake is slowed, at a " +
			"half it is stopped.",
		partition: true, combine: greatest,
	})

	RoomWait = gauge(row{
		name: "room_wait_seconds",
		help: "Seconds for which a partition has not been read because as many streams are held as are allowed.",
		use: "How long this process has been of no use to a partition; with that of all others, for how long nobody has " +
			"been.",
		partition: true, combine: greatest,
	})

	Settling = gauge(row{
		name:      "settling",
		help:      "1 while no free stream is taken after a change of server, otherwise 0.",
		use:       "1 for a session TTL after a failover. For longer: servers change again and again.",
		partition: true, combine: greatest,
	})

	Stranded = gauge(row{
		name: "stranded",
		help: "Announcements that are neither pending nor waiting to be delivered.",
		use:  "Alert on an increase: somebody acknowledges by hand. `Inspector.Reannounce` brings them back.",
		more: "They were acknowledged by hand, or a dead letter refers to them. Missing where the lag is an estimate.",

		partition: true, combine: fleet,
	})

	Unconfirmed = gauge(row{
		name: "unconfirmed",
		help: "Streams held that no renewal has confirmed since the server of their partition changed.",
		use:  "Alert above 0 for longer than a session TTL: the new server answers beats and takes no renewals.",
		more: "Until it is, a lease lasts no longer than its session would have without the change. 0 again within seconds.",

		partition: true, combine: sum,
	})

	WaitingForRoom = gauge(row{
		name: "waiting_for_room",
		help: "Announcements that no consumer was given yet, while this process has no room for them, otherwise 0.",
		use: "How many streams more processes, or a higher `WithMaxStreams`, would start at once. Alert above 0 for " +
			"minutes.",
		more:      "That is `lag` where it is measured by a process that is full.",
		partition: true, combine: fleet,
	})
)
