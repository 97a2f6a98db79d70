package metrics

import "time"

// Metrics of package engine/feed.
var (
	FeedBatches = counterBy(row{
		part: ofFeed,
		name: "feed_batches_total",
		help: "Batches that ended, by result.",
		use:  "Alert if `failed` goes on: handlers fail, and their streams wait for the next try.",
	}, batchResults)

	FeedCheckpoints = counterBy(row{
		part: ofFeed,
		name: "feed_checkpoints_total",
		help: "Positions handed to the engine to be stored, and how the first ones fared.",
		use:  "Alert on any increase but for `set` and `started`. What becomes of `set` is among the checkpoints of the engine.",
	}, checkpointResults)

	FeedGaps = counterBy(row{
		part: ofFeed,
		name: "feed_gaps_total",
		help: "Times that a stream was not what it had been, by kind.",
		use:  "Alert on `trimmed`: messages were lost before they were read. `forgotten` and `reborn` mean that messages were handled again, or will be.",
	}, gapKinds)

	FeedLeavings = counterBy(row{
		part: ofFeed,
		name: "feed_leavings_total",
		help: "Attempts to end a stream that is finished, idle or announced again.",
		use:  "How much work is finished. `failed` is tried again.",
	}, leavingResults)

	FeedMessages = counterBy(row{
		part: ofFeed,
		name: "feed_messages_total",
		help: "Messages by what became of them.",
		use:  "The rate of the work. Alert on `skipped`: nobody handled these.",
	}, messageResults)

	FeedPanics = counter(row{
		part: ofFeed,
		name: "feed_panics_total",
		help: "Panics in handlers of batches and in hooks.",
		use:  "Alert on any increase; the log has the stack.",
	})

	FeedReading = counterBy(row{
		part: ofFeed,
		name: "feed_reading_total",
		help: "What reading did, by event.",
		use: "`rings` with few `messages` mean writes that add nothing, or a tracking table that is too small (`backoffs` then, too). " +
			"Alert on `sweep_found`: something was not announced by a ring. `failures` and `reconnects` go with outages.",
	}, readingEvents)

	FeedTrims = counterBy(row{
		part: ofFeed,
		name: "feed_trims_total",
		help: "Streams trimmed to what is not handled yet, by result.",
		use:  "Alert if `failed` goes on: streams grow.",
		more: "With `TrimHandled` only.",
	}, trimResults)

	FeedHandling = histogram(row{
		part: ofFeed,
		name: "feed_handler_seconds",
		help: "Duration of a batch, from the call of its handler to the end of its work.",
		use:  "What a batch takes. `Workers` divided by the mean of handlers that do not keep batches is how many are handled per second.",

		buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.5, 2, 10, 60},
	})

	FeedLatency = histogram(row{
		part: ofFeed,
		name: "feed_latency_seconds",
		help: "Time from the ID of the oldest message of a batch to the call of its handler.",
		use:  "How fresh the messages are. Clocks of servers and clients differ, so it is good to some milliseconds.",
		more: "Messages with IDs that producers chose, and that are no times, are left out.",

		buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 300, 3600},
	})

	FeedBehind = gaugeBy(row{
		part:    ofFeed,
		name:    "feed_behind_streams",
		help:    "Streams whose oldest message not handled yet is older than that.",
		use:     "Alert on what you promise: more than a few streams that are so far behind.",
		more:    "A stream counts once its messages were read.",
		combine: sum,
	}, ages)

	FeedBusy = gauge(row{
		part:    ofFeed,
		name:    "feed_busy_streams",
		help:    "Streams with messages that were read and not handled yet, or with a handler at work.",
		use:     "With `feed_waiting_streams`: at `Workers` and more all the time, there are too few workers, or handlers block.",
		combine: sum,
	})

	FeedBytes = gauge(row{
		part:    ofFeed,
		name:    "feed_bytes",
		help:    "Memory of messages that were read and not handled yet.",
		use:     "Near `MaxBytes` all the time, reading waits for handlers.",
		combine: sum,
	})

	FeedKept = gauge(row{
		part:    ofFeed,
		name:    "feed_kept_batches",
		help:    "Batches that were kept and not ended yet.",
		use:     "One that stays is a batch that nobody ends: its stream is not read on.",
		combine: sum,
	})

	FeedKeptBytes = gauge(row{
		part:    ofFeed,
		name:    "feed_kept_bytes",
		help:    "Memory of messages of kept batches.",
		use:     "Alert above half of `MaxBytes`: there a warning names the longest, and at `MaxBytes` nothing is read.",
		combine: sum,
	})

	FeedLagMessages = gauge(row{
		part:    ofFeed,
		name:    "feed_lag_messages",
		help:    "Messages that were read and not handled yet, of all streams.",
		use:     "What waits here. What was not read yet does not count.",
		combine: sum,
	})

	FeedLag = gauge(row{
		part:    ofFeed,
		name:    "feed_lag_seconds",
		help:    "Age of the oldest message that was read and not handled yet, 0 if there is none.",
		use:     "Alert on what you promise. `Feed.Lag` names the stream.",
		combine: greatest,
	})

	FeedLagSum = gauge(row{
		part:    ofFeed,
		name:    "feed_lag_seconds_sum",
		help:    "Sum over streams of the age of their oldest message that was read and not handled yet.",
		use:     "Grows when many streams are behind, where the greatest shows one.",
		combine: sum,
	})

	FeedPolling = gauge(row{
		part:    ofFeed,
		name:    "feed_polling",
		help:    "1 where streams are polled, since tracking is refused or was not wanted; otherwise 0.",
		use:     "Alert above 0 where tracking is expected: polling costs Redis more and takes longer.",
		combine: greatest,
	})

	FeedRetrying = gauge(row{
		part:    ofFeed,
		name:    "feed_retrying_streams",
		help:    "Streams that wait for the next try after a failure.",
		use:     "Alert if it stays: messages that no retry cures. `OnFailure` decides what becomes of them.",
		combine: sum,
	})

	FeedStreams = gauge(row{
		part:    ofFeed,
		name:    "feed_streams",
		help:    "Streams that are read here.",
		use:     "Should be `held`, but for those that just begin or end.",
		combine: sum,
	})

	FeedWaiting = gauge(row{
		part:    ofFeed,
		name:    "feed_waiting_streams",
		help:    "Streams that wait for a worker.",
		use:     "Alert if it grows: handlers are slower than what comes in.",
		combine: sum,
	})
)

// BatchResult is how a batch ended.
type BatchResult uint8

var (
	batchResults = newLabel[BatchResult]("result")

	BatchHandled = batchResults.value("handled", "the position moved past it")
	BatchFailed  = batchResults.value("failed", "an error or a panic")
	BatchLost    = batchResults.value("lost", "its lease had ended before it did")
)

// MessageResult is what became of a message.
type MessageResult uint8

var (
	messageResults = newLabel[MessageResult]("result")

	MessageHandled = messageResults.value("handled", "the position moved past it")
	MessageFailed  = messageResults.value("failed", "it was in a batch that failed, and comes again")
	MessageSkipped = messageResults.value("skipped", "passed over after its last try")
	MessageDropped = messageResults.value("dropped", "read and not handled, since the stream was handed back, lost or waits for the next try; read again later")
)

// CheckpointResult is what was done about a position.
type CheckpointResult uint8

var (
	checkpointResults = newLabel[CheckpointResult]("result")

	CheckpointSet        = checkpointResults.value("set", "handed to the engine")
	CheckpointStarted    = checkpointResults.value("started", "where a stream with `Latest` begins was stored")
	CheckpointFailed     = checkpointResults.value("failed", "where a stream begins could not be stored; retried before it is read")
	CheckpointUnreadable = checkpointResults.value("unreadable", "a stream has a checkpoint that is none of a feed; it failed")
)

// GapKind is what had happened to a stream.
type GapKind uint8

var (
	gapKinds = newLabel[GapKind]("kind")

	GapReborn    = gapKinds.value("reborn", "it was deleted and begun again with lower IDs; read from its start")
	GapForgotten = gapKinds.value("forgotten", "a failover forgot its last messages; read again from a minute before")
	GapTrimmed   = gapKinds.value("trimmed", "messages were deleted before they were read")
)

// Leaving is what came of an attempt to end a stream.
type Leaving uint8

var (
	leavingResults = newLabel[Leaving]("result")

	LeavingDone     = leavingResults.value("done", "nothing was left to read")
	LeavingReopened = leavingResults.value("reopened", "a message had come")
	LeavingFailed   = leavingResults.value("failed", "Redis did not answer, or the lease was lost")
	LeavingMadeWay  = leavingResults.value("made_way", "for a newer announcement")
)

// Trim is what came of trimming a stream.
type Trim uint8

var (
	trimResults = newLabel[Trim]("result")

	TrimDone    = trimResults.value("trimmed", "or nothing was there to be trimmed")
	TrimRefused = trimResults.value("refused", "the message at the position is gone, so what is there may be unread")
	TrimFailed  = trimResults.value("failed", "an error; tried again after the next messages")
)

// Reading is something that reading does. The order is that of the counters of package reading.
type Reading uint8

var readingEvents = labelOf[Reading](dimension{name: "event", values: []value{
	{"rings", "of streams that are read here"},
	{"strays", "rings of streams that are not read here any more"},
	{"reads", "reads of one stream"},
	{"empty_reads", "reads that brought nothing"},
	{"messages", "messages read"},
	{"bytes", "memory that they took"},
	{"sweep_found", "reads of the sweep that brought what no ring had announced"},
	{"looks", "looks at a stream itself"},
	{"backoffs", "rings answered later, since earlier ones had brought nothing"},
	{"failures", "reads and looks that failed and were repeated"},
	{"reconnects", "connections lost and databases flushed: everything was read again"},
	{"batches", "pipelines sent"},
}})

// ReadingNames returns the names of all events, in order.
func ReadingNames() (names []string) {
	for _, v := range readingEvents.values {
		names = append(names, v.name)
	}
	return names
}

// Age is how old a message is, at least.
type Age uint8

// Ages are the ages that FeedBehind has, by Age.
var Ages = [...]time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute}

var ages = labelOf[Age](dimension{name: "age", about: "at least", values: []value{{name: "1s"}, {name: "10s"}, {name: "1m"}, {name: "10m"}}})
