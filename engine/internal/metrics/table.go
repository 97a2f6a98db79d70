package metrics

// Counters. The exported ones are counted by Inc and Add, the others by the methods of Metrics.
var (
	acquisitions = counterBy(row{
		name: "acquisitions_total",
		help: "Attempts to acquire streams, by verdict.",
	}, verdicts)

	consumersRemoved = counter(row{
		name: "consumers_removed_total",
		help: "Dead consumers removed from the group.",
	})

	deadLetters = counterBy(row{
		name: "dead_letters_total",
		help: "Announcements that were dead-lettered.",
	}, deadReasons)

	DeadLettersFull = counter(row{
		name: "dead_letters_full_total",
		help: "Times that a full dead-letter stream delayed an announcement.",
	})

	Disowned = counterBy(row{
		name: "disowned_total",
		help: "Streams lost.",
	}, causes)

	endings = counterBy2(row{
		name: "endings_total",
		help: "Leases ended on purpose.",
	}, endKinds, endResults)

	EntriesGone = counter(row{
		name: "entries_gone_total",
		help: "Announcements whose body somebody else had deleted.",
	})

	EntriesRead = counter(row{
		name: "entries_read_total",
		help: "Announcements read from input streams.",
	})

	entriesRefused = counterBy(row{
		name: "entries_refused_total",
		help: "Times that Redis refused to end or move an announcement.",
		more: "The announcement is set apart and retried.",
	}, blames)

	Subscriptions = counterBy(row{
		name: "expired_subscriptions_total",
		help: "Subscriptions to reports of expired leases.",
		more: "With `WithExpired` only.",
	}, subscriptionResults)

	Expired = counterBy(row{
		name: "expired_total",
		help: "Expired leases that servers reported.",
		more: "With `WithExpired` only.",
	}, hintResults)

	Forwarded = counter(row{
		name: "forwarded_total",
		help: "Announcements moved to the partition they belong to.",
	})

	handlerErrors = counterBy(row{
		name: "handler_errors_total",
		help: "Handlers that returned an error or panicked.",
	}, handlerKinds)

	handlerPanics = counter(row{
		name: "handler_panics_total",
		help: "Handlers that panicked.",
	})

	Hooks = counterBy2(row{
		name: "hooks_total",
		help: "Events and log lines handed to the program.",
	}, hookNames, hookResults)

	IntakeStopped = counter(row{
		name: "intake_stopped_total",
		help: "Times that a partition's intake stopped because renewals were too late.",
	})

	Moves = counterBy(row{
		name: "maintenance_moves_total",
		help: "Servers that announced that they move, by what came of it.",
		more: "Each node counts once for each notice.",
	}, moveResults)

	Notices = counterBy(row{
		name: "maintenance_notices_total",
		help: "Maintenance notices that servers sent.",
		more: "Each counts once for each connection.",
	}, noticeKinds)

	opens = counterBy(row{
		name: "opens_total",
		help: "Attempts to open a session.",
	}, openResults)

	PartitionsRelocated = counter(row{
		name: "partitions_relocated_total",
		help: "Partitions that moved to another master of a cluster, or may have.",
		more: "The leases of each are renewed and its entries checked at once.",
	})

	PredecessorsEnded = counter(row{
		name: "predecessors_ended_total",
		help: "Sessions of earlier runs that were ended before their time.",
		more: "With `WithLockFile` only: the lock of the file proved that the run had ended.",
	})

	ReadsFailed = counter(row{
		name: "reads_failed_total",
		help: "Reads that failed.",
	})

	ReadsPaused = counter(row{
		name: "reads_paused_total",
		help: "Times that reading and recovery paused because a server did not answer.",
	})

	recovered = counter(row{
		name: "recovered_total",
		help: "Announcements taken from dead consumers and requeued.",
	})

	renewals = counterBy(row{
		name: "renewals_total",
		help: "Renewals of leases, by result.",
	}, renewalResults)

	scriptErrors = counterBy(row{
		name: "script_errors_total",
		help: "Calls of a script that failed.",
	}, scripts)

	SessionsLost = counter(row{
		name: "sessions_lost_total",
		help: "Sessions lost, each with all leases of its partition.",
	})

	suspects = counter(row{
		name: "suspects_total",
		help: "Announcements whose owners die again and again, none of which stands out.",
		more: "More than `MaxCrashes` of their owners died, and nothing shows which announcement is to blame: " +
			"they are recovered and handed out again after a delay.",
	})

	Tamperings = counterBy(row{
		name: "tampered_total",
		help: "Announcements that somebody acknowledged, claimed, deleted or trimmed while this process had them.",
	}, tamperedResults)
)

// Histograms.
var (
	handlerDuration = histogramBy(row{
		name:    "handler_duration_seconds",
		help:    "Seconds from the start of a handler to its end.",
		buckets: []float64{.0001, .001, .01, .1, 1, 10, 60, 600},
	}, handlerKinds)

	PromotionLateness = histogram(row{
		name:    "promotion_lateness_seconds",
		help:    "How late delayed announcements were handed out, in seconds: the latest of each batch.",
		more:    "By the server's clock, from when it was due to when it was moved to the input stream.",
		buckets: []float64{.05, .1, .25, .5, 1, 2.5, 10},
	})

	ownershipDuration = histogramBy(row{
		name:    "ownership_duration_seconds",
		help:    "Seconds from the acquisition of a stream to the end of its ownership.",
		buckets: []float64{1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600},
	}, ownershipEnds)

	ownershipWait = histogram(row{
		name: "ownership_wait_seconds",
		help: "Seconds from an announcement to its ownership.",
		more: "From its ID to its token, both the server's time; a retry, a promotion and a hand-back give it a new ID. So it counts from when the " +
			"stream was last free to be taken, or asked for while another announcement of it was owned. IDs that producers choose are not times " +
			"and count only if they look like one.",
		buckets: []float64{.01, .1, .5, 1, 5, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600},
	})

	RenewalBatchSize = histogram(row{
		name:    "renewal_batch_size",
		help:    "Leases in a batch.",
		buckets: []float64{1, 4, 16, 64, 128, 256, 512, 1000},
	})

	renewalLateness = histogram(row{
		name:    "renewal_lateness_seconds",
		help:    "Seconds from when a renewal was due to when the one that succeeded was sent.",
		more:    "Also a native histogram, for those who scrape one.",
		buckets: []float64{.005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 5, 10},
		native:  true,
	})

	scriptDuration = histogramBy(row{
		name:    "script_duration_seconds",
		help:    "Seconds from sending a call to its answer.",
		more:    "Waiting in queues counts.",
		buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	}, scripts)
)

// Gauges.
var (
	Consumers = gauge(row{
		name:      "consumers",
		help:      "Consumers in the group.",
		partition: true, combine: fleet,
	})

	DeadLettersKept = gauge(row{
		name:      "dead_letters_kept",
		help:      "Dead letters in the dead-letter stream.",
		partition: true, combine: fleet,
	})

	BreakersOpen = gauge(row{
		name:    "breakers_open",
		help:    "Masters that do not answer and are not read from meanwhile, an occasional attempt aside.",
		combine: greatest,
	})

	BusyWorkers = gauge(row{
		name:    "handler_busy_workers",
		help:    "Notifications being handled.",
		combine: sum,
	})

	QueueDepth = gauge(row{
		name:    "handler_queue_depth",
		help:    "Notifications waiting for a worker.",
		combine: sum,
	})

	Full = gauge(row{
		name:    "full",
		help:    "1 while as many streams are held as are allowed, otherwise 0.",
		combine: greatest,
	})

	Held = gauge(row{
		name:      "held",
		help:      "Streams held.",
		partition: true, combine: sum,
	})

	Intake = gauge(row{
		name: "intake",
		help: "Whether more streams are taken, and if not, why.",
		more: "0: yes. 1: fewer, since renewals are late. 2: handlers are behind. 3: as many are held as are allowed. " +
			"4: what was read cannot be acquired or given back. 5: renewals are too late. 6: draining.",
		partition: true, combine: greatest,
	})

	Lag = gauge(row{
		name:      "lag",
		help:      "Announcements that no consumer was given yet.",
		more:      "An estimate where `lag_estimated` is 1.",
		partition: true, combine: fleet,
	})

	LagEstimated = gauge(row{
		name: "lag_estimated",
		help: "Whether `lag` is an estimate: 0 exact, 1 an estimate.",
		more: "It is one if there are many announcements and Redis cannot say how many were delivered. It is too great by what is" +
			" stranded, or too small by what is pending without a body.",
		partition: true, combine: fleet,
	})

	Later = gauge(row{
		name:      "later",
		help:      "Delayed announcements.",
		partition: true, combine: fleet,
	})

	LaterDue = gauge(row{
		name:      "later_due",
		help:      "Delayed announcements that are due.",
		more:      "As the last beat reported.",
		partition: true, combine: greatest,
	})

	MaintenanceEndpoints = gauge(row{
		name:    "maintenance_endpoints",
		help:    "Addresses of servers in place of which another endpoint is used.",
		combine: greatest,
	})

	MaintenanceNodes = gauge(row{
		name:    "maintenance_nodes",
		help:    "Servers that announce maintenance to this process.",
		combine: greatest,
	})

	MaintenanceWindows = gauge(row{
		name:    "maintenance_windows",
		help:    "Maintenance windows that are open.",
		combine: greatest,
	})

	MaxStreams = gauge(row{
		name:    "max_streams",
		help:    "Streams that may be held.",
		more:    "Missing where there is no limit.",
		combine: sum,
	})

	OldestHeld = gauge(row{
		name:    "oldest_held_seconds",
		help:    "Seconds since the stream that is held longest was acquired.",
		combine: greatest,
	})

	OldestPending = gauge(row{
		name:      "oldest_pending_seconds",
		help:      "Seconds since the oldest pending announcement was made.",
		partition: true, combine: fleet,
	})

	OldestWaiting = gauge(row{
		name:      "oldest_waiting_seconds",
		help:      "Seconds since the oldest announcement not delivered yet was made.",
		partition: true, combine: fleet,
	})

	Parked = gauge(row{
		name:      "parked",
		help:      "Announcements kept by this process because their streams are held.",
		partition: true, combine: sum,
	})

	PeersDead = gauge(row{
		name:      "peers_dead",
		help:      "Consumers past their deadline.",
		more:      "As the last beat reported.",
		partition: true, combine: greatest,
	})

	Pending = gauge(row{
		name:      "pending",
		help:      "Announcements given to consumers and not done.",
		partition: true, combine: fleet,
	})

	PendingWithoutBody = gauge(row{
		name:      "pending_without_body",
		help:      "Pending announcements that were deleted or trimmed, at least.",
		more:      "Missing where the lag is an estimate.",
		partition: true, combine: fleet,
	})

	RecoveryHeldOff = gauge(row{
		name:      "recovery_held_off",
		help:      "1 while recovery waits for the end of a maintenance window.",
		partition: true, combine: greatest,
	})

	RenewalsLate = gauge(row{
		name:      "renewals_late_seconds",
		help:      "Seconds since the first renewal that has not been made was due.",
		partition: true, combine: greatest,
	})

	RoomWait = gauge(row{
		name:      "room_wait_seconds",
		help:      "Seconds for which a partition has not been read because as many streams are held as are allowed.",
		partition: true, combine: greatest,
	})

	Settling = gauge(row{
		name:      "settling",
		help:      "1 while no free stream is taken after a change of server, otherwise 0.",
		partition: true, combine: greatest,
	})

	Stranded = gauge(row{
		name: "stranded",
		help: "Announcements that are neither pending nor waiting to be delivered.",
		more: "They were acknowledged by hand, or a dead letter refers to them. Missing where the lag is an estimate.",

		partition: true, combine: fleet,
	})

	Unconfirmed = gauge(row{
		name: "unconfirmed",
		help: "Streams held that no renewal has confirmed since the server of their partition changed.",
		more: "Until it is, a lease lasts no longer than its session would have without the change. 0 again within seconds.",

		partition: true, combine: sum,
	})

	WaitingForRoom = gauge(row{
		name:      "waiting_for_room",
		help:      "Announcements that no consumer was given yet, while this process has no room for them, otherwise 0.",
		more:      "That is `lag` where it is measured by a process that is full.",
		partition: true, combine: fleet,
	})
)
