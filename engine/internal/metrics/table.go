package metrics

// Counters. The exported ones are counted by Inc and Add, the others by the methods of Metrics.
var (
	acquisitions = counterBy(row{
		name: "acquisitions_total",
		help: "Attempts to acquire streams, by verdict.",
		use: "What comes in, and how much of it other processes already own: `held` far above `acquired` means that " +
			"streams are announced again and again.",
	}, verdicts)

	checkpointBytes = counter(row{
		name: "checkpoint_bytes_total",
		help: "Bytes of the checkpoints that were stored.",
		use:  "What checkpoints cost the network and the server: at most 4 KiB each, which is much at once a second and stream.",
	})

	checkpoints = counterBy(row{
		name: "checkpoints_total",
		help: "Checkpoints sent to Redis, by result.",
		use: "Alert on `failed` for minutes: the log has the reason, and a crash would repeat what was handled since. `refused` goes " +
			"with streams that were lost.",
	}, savingResults)

	CheckpointsTooLong = counter(row{
		name: "checkpoints_too_long_total",
		help: "Checkpoints that were not set since they are longer than 4,096 bytes.",
		use:  "Alert on any increase: the program keeps more than fits, and goes on with an old checkpoint after the next hand-over.",
	})

	CheckpointsUnreadable = counter(row{
		name: "checkpoints_unreadable_total",
		help: "Streams that were given back at once since their checkpoints could not be read.",
		use: "Alert on any increase: such a stream is not handed out. A newer version has stored its checkpoint, or somebody by hand: upgrade, or delete " +
			"the field that the log names.",
	})

	consumersRemoved = counter(row{
		name: "consumers_removed_total",
		help: "Dead consumers removed from the group.",
		use:  "A process died and all that it left was handed out again. Compare with what is deployed: more means crashes.",
	})

	deadLetters = counterBy(row{
		name: "dead_letters_total",
		help: "Announcements that were dead-lettered.",
		use:  "Alert on any increase: somebody has to look, send back or drop.",
	}, deadReasons)

	DeadLettersFull = counter(row{
		name: "dead_letters_full_total",
		help: "Times that a full dead-letter stream delayed an announcement.",
		use:  "Alert on any increase: announcements wait until dead letters are dropped, or `DLQMaxLen` is raised.",
	})

	Disowned = counterBy(row{
		name: "disowned_total",
		help: "Streams lost.",
		use:  "Alert on any increase but for `closed`: streams were lost and handed out again.",
	}, causes)

	endings = counterBy2(row{
		name: "endings_total",
		help: "Leases ended on purpose.",
		use: "How much work is finished. `unknown` and `lost` mean that a stream may be handled twice: look at " +
			"`script_errors_total`.",
	}, endKinds, endResults)

	EntriesGone = counter(row{
		name: "entries_gone_total",
		help: "Announcements whose body somebody else had deleted.",
		use:  "Alert on any increase: somebody trims the input stream, and what was announced there is lost.",
	})

	EntriesRead = counter(row{
		name: "entries_read_total",
		help: "Announcements read from input streams.",
		use:  "The rate at which work arrives here.",
	})

	entriesRefused = counterBy(row{
		name: "entries_refused_total",
		help: "Times that Redis refused to end or move an announcement.",
		use: "Alert if it goes on for minutes: `server` means a full or demoted server or a missing right, which the log " +
			"names; `entry` ends in a dead letter.",
		more: "The announcement is set apart and retried.",
	}, blames)

	Subscriptions = counterBy(row{
		name: "expired_subscriptions_total",
		help: "Subscriptions to reports of expired leases.",
		use:  "`failed` and `lost` say when hints are missing.",
		more: "With `WithExpired` only.",
	}, subscriptionResults)

	Expired = counterBy(row{
		name: "expired_total",
		help: "Expired leases that servers reported.",
		use:  "`dropped` above 0 means that handlers of hints are too slow.",
		more: "With `WithExpired` only.",
	}, hintResults)

	Forwarded = counter(row{
		name: "forwarded_total",
		help: "Announcements moved to the partition they belong to.",
		use: "Producers that know of no partitions: high values cost a copy each. Let them announce where the name " +
			"belongs.",
	})

	handlerErrors = counterBy(row{
		name: "handler_errors_total",
		help: "Handlers that returned an error or panicked.",
		use:  "Alert on a share of `acquisitions_total{result=\"acquired\"}` that is not usual for your handlers.",
	}, handlerKinds)

	handlerPanics = counter(row{
		name: "handler_panics_total",
		help: "Handlers that panicked.",
		use:  "Alert on any increase: a bug in a handler.",
	})

	Hooks = counterBy2(row{
		name: "hooks_total",
		help: "Events and log lines handed to the program.",
		use:  "`dropped` and `panicked` say that events or log lines are missing.",
	}, hookNames, hookResults)

	IntakeStopped = counter(row{
		name: "intake_stopped_total",
		help: "Times that a partition's intake stopped because renewals were too late.",
		use:  "Alert on any increase: the process holds more streams than it, or its server, can renew.",
	})

	Moves = counterBy(row{
		name: "maintenance_moves_total",
		help: "Servers that announced that they move, by what came of it.",
		use: "What was done about a move that was announced. Alert on `unanswered`: the new endpoint cannot be reached " +
			"from here.",
		more: "Each node counts once for each notice.",
	}, moveResults)

	Notices = counterBy(row{
		name: "maintenance_notices_total",
		help: "Maintenance notices that servers sent.",
		use:  "Whether trouble at that time was maintenance.",
		more: "Each counts once for each connection.",
	}, noticeKinds)

	opens = counterBy(row{
		name: "opens_total",
		help: "Attempts to open a session.",
		use:  "`failed` at a start: what keeps the process from beginning; the log has the reason.",
	}, openResults)

	PartitionsRelocated = counter(row{
		name: "partitions_relocated_total",
		help: "Partitions that moved to another master of a cluster, or may have.",
		use:  "When slots moved, to explain a burst of renewals.",
		more: "The leases of each are renewed and its entries checked at once.",
	})

	PredecessorsEnded = counter(row{
		name: "predecessors_ended_total",
		help: "Sessions of earlier runs that were ended before their time.",
		use:  "How often a process that came back got its own streams at once.",
		more: "With `WithLockFile` only: the lock of the file proved that the run had ended.",
	})

	ReadsFailed = counter(row{
		name: "reads_failed_total",
		help: "Reads that failed.",
		use:  "Alert if it goes on for minutes: nothing new is taken; the log has the reason.",
	})

	ReadsPaused = counter(row{
		name: "reads_paused_total",
		help: "Times that reading and recovery paused because a server did not answer.",
		use:  "Outages of a server that lasted for five failures.",
	})

	recovered = counter(row{
		name: "recovered_total",
		help: "Announcements taken from dead consumers and requeued.",
		use:  "How much work the death of a process moved.",
	})

	renewals = counterBy(row{
		name: "renewals_total",
		help: "Renewals of leases, by result.",
		use: "`failed` rises during an outage, before anything is lost. `missing` shows what a failover forgot. Alert on " +
			"`lost`.",
	}, renewalResults)

	scriptErrors = counterBy(row{
		name: "script_errors_total",
		help: "Calls of a script that failed.",
		use:  "Which calls fail, and from when on.",
	}, scripts)

	SessionsLost = counter(row{
		name: "sessions_lost_total",
		help: "Sessions lost, each with all leases of its partition.",
		use: "Alert on any increase: all streams of a partition were lost at once, by a stall of the process or the " +
			"server.",
	})

	SignalGaps = counter(row{
		name: "signal_gaps_total",
		help: "Times that signals of a partition may have been missed.",
		use: "One a partition with each change of server is normal. More means that more are sent than are kept: see " +
			"`signals_received_total`.",
		more: "What is parked is asked for within seconds, and owners hear of further announcements with their next renewals; what " +
			"producers sent may be lost.",
	})

	SignalReads = counterBy(row{
		name: "signal_reads_total",
		help: "Pages of signals that were read.",
		use:  "Alert on `refused`: owners hear late of further announcements, and of what producers signal not at all.",
	}, signalReadResults)

	SignalsDropped = counter(row{
		name: "signals_dropped_total",
		help: "Signals of producers that were dropped, since too many waited for the handler.",
		use:  "Handlers of `Signaled` take long, or one stream is signalled too often.",
	})

	signalsReceived = counterBy(row{
		name: "signals_received_total",
		help: "Signals read, by what they are about.",
		use: "Every process reads every signal: look at one process. Beyond 100 a second and partition, `user` ones cost servers " +
			"more than data in streams would.",
	}, signalKinds)

	suspects = counter(row{
		name: "suspects_total",
		help: "Announcements whose owners die again and again, none of which stands out.",
		use:  "Alert on any increase: processes die again and again, of a stream or for reasons of their own.",
		more: "More than `MaxCrashes` of their owners died, and nothing shows which announcement is to blame: " +
			"they are recovered and handed out again after a delay.",
	})

	Tamperings = counterBy(row{
		name: "tampered_total",
		help: "Announcements that somebody acknowledged, claimed, deleted or trimmed while this process had them.",
		use:  "Alert on any increase: somebody acknowledges, deletes, trims or removes consumers by hand.",
	}, tamperedResults)
)

// Histograms.
var (
	handlerDuration = histogramBy(row{
		name:    "handler_duration_seconds",
		help:    "Seconds from the start of a handler to its end.",
		use:     "Handlers of `Run` that take over a second block workers: work elsewhere, or use `RunEach`.",
		buckets: []float64{.0001, .001, .01, .1, 1, 10, 60, 600},
	}, handlerKinds)

	PromotionLateness = histogram(row{
		name:    "promotion_lateness_seconds",
		help:    "How late delayed announcements were handed out, in seconds: the latest of each batch.",
		use:     "Whether delays are kept. Alert on a 99th percentile above a second: no process gets to what was delayed.",
		more:    "By the server's clock, from when it was due to when it was moved to the input stream.",
		buckets: []float64{.05, .1, .25, .5, 1, 2.5, 10},
	})

	ownershipDuration = histogramBy(row{
		name: "ownership_duration_seconds",
		help: "Seconds from the acquisition of a stream to the end of its ownership.",
		use: "How long work lasts, to choose `StableAfter` and the drain timeout; many short ones that end as `lost` or " +
			"`released` mean that streams wander.",
		buckets: []float64{1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600},
	}, ownershipEnds)

	ownershipWait = histogram(row{
		name: "ownership_wait_seconds",
		help: "Seconds from an announcement to its ownership.",
		use: "What producers wait for. Alert on the quantile that you promise them; then look at `waiting_for_room`, `lag` " +
			"and `settling`.",
		more: "From its ID to its token, both the server's time; a retry, a promotion and a hand-back give it a new ID. So it counts from when the " +
			"stream was last free to be taken, or asked for while another announcement of it was owned. IDs that producers choose are not times " +
			"and count only if they look like one.",
		buckets: []float64{.01, .1, .5, 1, 5, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600},
	})

	RenewalBatchSize = histogram(row{
		name:    "renewal_batch_size",
		help:    "Leases in a batch.",
		use:     "Small batches with many streams mean that they are spread over many partitions.",
		buckets: []float64{1, 4, 16, 64, 128, 256, 512, 1000},
	})

	renewalLateness = histogram(row{
		name:    "renewal_lateness_seconds",
		help:    "Seconds from when a renewal was due to when the one that succeeded was sent.",
		use:     "Alert on a 99th percentile above a second: the process is starved of CPU, or the server is slow.",
		more:    "Also a native histogram, for those who scrape one.",
		buckets: []float64{.005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 5, 10},
		native:  true,
	})

	scriptDuration = histogramBy(row{
		name: "script_duration_seconds",
		help: "Seconds from sending a call to its answer.",
		use: "How quick the server and the way to it are. Alert where a percentile comes near to the timeout of a call, 1 " +
			"s by default.",
		more:    "Waiting in queues counts.",
		buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	}, scripts)
)
