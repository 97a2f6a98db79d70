package dashboards

// row is a row of the dashboard.
type row struct {
	title  string
	closed bool // its panels are asked for once somebody opens it
	panels []panel
}

// panel is one of them. In expressions, {P stands for what selects the processes that are chosen, and {F for what selects the services; W is the
// time over which counters are compared.
type panel struct {
	title   string
	kind    kind
	unit    string // as Grafana names it
	width   int    // of 24
	about   string // empty: what the first metric is for, in docs/metrics.md
	alerts  string // those that look at the same thing, the one whose heading the panel links to first
	limits  []float64
	queries []query
}

type query struct{ expr, legend string }

type kind string

const (
	stat  kind = "stat"
	lines kind = "lines"
	stack kind = "stack"
	table kind = "table"
)

const (
	count    = "short"
	seconds  = "s"
	memory   = "bytes"
	perSec   = "ops"
	share    = "percentunit"
	process  = "{{pod}} {{instance}}"
	services = "{{service}}"
)

// one is the query of a panel that has one.
func one(expr, legend string) []query { return []query{{expr, legend}} }

// p99 are the median and the 99th percentile of a histogram.
func p99(bucket, by, legend string) []query {
	if by != "" {
		by += ", "
	}
	sum := "sum by (" + by + "le) (rate(" + bucket + "[W]))"
	return []query{{"histogram_quantile(0.5, " + sum + ")", "p50 " + legend}, {"histogram_quantile(0.99, " + sum + ")", "p99 " + legend}}
}

// rates has a counter by a label, per second.
func rates(counter, by string) []query {
	return one("sum by ("+by+") (rate("+counter+"[W]))", "{{"+by+"}}")
}

// rises has a counter by a label, per minute or so: what should stay at zero.
func rises(counter, by string) []query {
	return one("sum by (service, "+by+") (increase("+counter+"[W]))", services+" {{"+by+"}}")
}

// fleet has the greatest of all processes for each partition, summed up.
func fleet(gauge, legend string) []query {
	return one("sum by (service) (max by (service, partition) ("+gauge+"))", legend)
}

// board is the dashboard.
var board = []row{
	{title: "Is all well?", panels: []panel{
		{title: "Processes", kind: stat, unit: count, width: 3, about: "Processes that are scraped.", alerts: "Gone NotScraped",
			queries: one(`count by (service) (streamlease_entries_read_total{P})`, services)},
		{title: "Streams held", kind: stat, unit: count, width: 3, queries: one(`sum by (service) (streamlease_held{P})`, services)},
		{title: "Waiting", kind: stat, unit: count, width: 3, limits: []float64{100, 10000}, alerts: "LagGrows NotTaken", queries: fleet(`streamlease_lag{F}`, services)},
		{title: "Oldest waits for", kind: stat, unit: seconds, width: 3, limits: []float64{5, 30}, alerts: "NotTaken",
			queries: one(`max by (service) (streamlease_oldest_waiting_seconds{F})`, services)},
		{title: "Dead letters", kind: stat, unit: count, width: 3, limits: []float64{1, 50000}, alerts: "DeadLetters DeadLettersKept DeadLettersFull", queries: fleet(`streamlease_dead_letters_kept{F}`, services)},
		{title: "Renewals are late by", kind: stat, unit: seconds, width: 3, limits: []float64{1, 2}, alerts: "RenewalsLate", queries: one(`max by (service) (streamlease_renewals_late_seconds{P})`, services)},
		{title: "Alerts", kind: table, width: 6, about: "Alerts of rules.yml that fire. Where the rules are loaded elsewhere, this stays empty.",
			queries: one(`sum by (alertname, severity, service, pod, instance, partition) (ALERTS{alertname=~"Streamlease.*",alertstate="firing",service=~"$service"})`, "")},
		{title: "Streams held, by process", kind: lines, unit: count, width: 12, queries: one(`sum by (pod, instance) (streamlease_held{P})`, process)},
		{title: "Streams and leases lost", kind: lines, unit: count, width: 6, alerts: "StreamsLost LeasesLost SessionLost",
			queries: append(rises(`streamlease_disowned_total{P,cause!="closed"}`, "cause"), query{`sum by (service) (increase(streamlease_sessions_lost_total{P}[W]))`, "sessions"})},
		{title: "Intake", kind: lines, unit: count, width: 6, limits: []float64{4}, alerts: "IntakeStopped IntakeStops",
			queries: []query{{`max by (pod, instance) (streamlease_intake{P})`, process}, {`sum by (service) (increase(streamlease_intake_stopped_total{P}[W]))`, "stopped"}},
			about:   "Whether more streams are taken. 0: yes. 1: fewer, since renewals are late. 2: handlers are behind. 3: full. 4: what was read cannot be acquired or given back. 5: renewals are too late. 6: draining."},
	}},
	{title: "Fleet and balance", panels: []panel{
		{title: "Held for a weight of 1, over the share", kind: lines, unit: share, width: 8, limits: []float64{1.3}, alerts: "Uneven",
			queries: one(`streamlease_balance_fill{P} * streamlease_balance_weight{P} / (streamlease_balance_fair{P} > 0)`, process)},
		{title: "Shares", kind: lines, unit: count, width: 8, queries: []query{{`streamlease_balance_fair{P}`, "share " + process}, {`streamlease_balance_fill_least{P}`, "least " + process}}},
		{title: "Over its share since", kind: lines, unit: seconds, width: 4, limits: []float64{900}, alerts: "OverForLong", queries: one(`streamlease_balance_over_seconds{P}`, process)},
		{title: "Why nothing is handed back", kind: lines, unit: count, width: 4, queries: one(`streamlease_balance_held_off{P}`, process),
			about: "1: processes come and go. 2: nobody takes it. 3: an operator has stopped all moving. 4: what is known of the fleet is not reliable. 0: nothing keeps it."},
		{title: "Streams handed back, by reason", kind: stack, unit: perSec, width: 6, queries: rates(`streamlease_moves_total{P}`, "reason")},
		{title: "Weight, ramp, gate", kind: lines, unit: count, width: 6, about: "The weight of each process, the part of it that it has after a crash, and whether it may read.",
			queries: []query{{`streamlease_balance_weight{P}`, "weight " + process}, {`streamlease_balance_ramp{P}`, "ramp " + process}, {`streamlease_balance_gate_open{P}`, "gate " + process}}},
		{title: "Leftovers", kind: lines, unit: count, width: 4, alerts: "Leftovers", queries: one(`sum by (pod, instance) (increase(streamlease_leftover_reads_total{P}[W]))`, process)},
		{title: "Consumers, and dead ones", kind: lines, unit: count, width: 4, alerts: "NotRecovered",
			queries: []query{{`max by (service) (streamlease_consumers{F})`, "consumers"}, {`max by (service) (streamlease_peers_dead{F})`, "dead"}}},
		{title: "Recovered", kind: lines, unit: count, width: 4, alerts: "CrashLoop", about: "What the death of processes moved: announcements that were requeued, and consumers that were removed.",
			queries: []query{{`sum by (service) (increase(streamlease_recovered_total{P}[W]))`, "announcements"}, {`sum by (service) (increase(streamlease_consumers_removed_total{P}[W]))`, "consumers"},
				{`sum by (service) (increase(streamlease_predecessors_ended_total{P}[W]))`, "own earlier runs"}, {`sum by (service) (increase(streamlease_suspects_total{P}[W]))`, "suspects"}}},
		{title: "Room", kind: lines, unit: count, width: 12, alerts: "NoRoom",
			queries: []query{{`sum by (pod, instance) (streamlease_max_streams{P}) - sum by (pod, instance) (streamlease_held{P})`, "room " + process}, {`sum by (service) (streamlease_full{P})`, "full processes"},
				{`sum by (service) (max by (service, partition) (streamlease_waiting_for_room{F}))`, "wait for room"}}},
		{title: "Not read for want of room", kind: lines, unit: seconds, width: 12, queries: one(`max by (pod, instance) (streamlease_room_wait_seconds{P})`, process)},
	}},
	{title: "Work and backlog", panels: []panel{
		{title: "Read and acquired", kind: lines, unit: perSec, width: 8,
			queries: append(one(`sum by (service) (rate(streamlease_entries_read_total{P}[W]))`, "read"), rates(`streamlease_acquisitions_total{P}`, "result")...)},
		{title: "Ended", kind: stack, unit: perSec, width: 8, alerts: "OutcomeUnknown", queries: one(`sum by (kind, result) (rate(streamlease_endings_total{P}[W]))`, "{{kind}} {{result}}")},
		{title: "Waiting, pending, delayed", kind: lines, unit: count, width: 8, alerts: "LagGrows",
			queries: []query{{`sum by (service) (max by (service, partition) (streamlease_lag{F}))`, "waiting"}, {`sum by (service) (max by (service, partition) (streamlease_pending{F}))`, "pending"},
				{`sum by (service) (max by (service, partition) (streamlease_later{F}))`, "delayed"}, {`sum by (service) (streamlease_parked{P})`, "parked"}, {`max by (service) (streamlease_lag_estimated{F})`, "an estimate"}}},
		{title: "Wait for an owner", kind: lines, unit: seconds, width: 8, limits: []float64{5}, alerts: "SlowToOwn", queries: p99(`streamlease_ownership_wait_seconds_bucket{P}`, "service", services)},
		{title: "Oldest waiting, pending, held", kind: lines, unit: seconds, width: 8, alerts: "NotTaken",
			queries: []query{{`max by (service) (streamlease_oldest_waiting_seconds{F})`, "waiting"}, {`max by (service) (streamlease_oldest_pending_seconds{F})`, "pending"}, {`max by (service) (streamlease_oldest_held_seconds{P})`, "held"}}},
		{title: "Owned for", kind: lines, unit: seconds, width: 8, queries: p99(`streamlease_ownership_duration_seconds_bucket{P}`, "kind", "{{kind}}")},
		{title: "Delayed and due", kind: lines, unit: count, width: 6, alerts: "DelayedForTooLong", queries: fleet(`streamlease_later_due{F}`, services)},
		{title: "Delayed for too long by", kind: lines, unit: seconds, width: 6, limits: []float64{1}, alerts: "PromotionLate", queries: p99(`streamlease_promotion_lateness_seconds_bucket{P}`, "service", services)},
		{title: "Signals", kind: lines, unit: perSec, width: 6, alerts: "SignalsRefused",
			queries: append(rates(`streamlease_signals_received_total{P}`, "kind"), query{`sum by (service) (rate(streamlease_signals_dropped_total{P}[W]))`, "dropped"}, query{`sum by (service) (rate(streamlease_signal_gaps_total{P}[W]))`, "gaps"},
				query{`sum by (service, result) (rate(streamlease_signal_reads_total{P,result!="ok"}[W]))`, "reads {{result}}"})},
		{title: "Forwarded, expired", kind: lines, unit: perSec, width: 6, about: "Announcements in the wrong partition, and leases that servers reported as expired.",
			queries: append(rates(`streamlease_expired_total{P}`, "result"), query{`sum by (service) (rate(streamlease_forwarded_total{P}[W]))`, "forwarded"},
				query{`sum by (service, result) (rate(streamlease_expired_subscriptions_total{P}[W]))`, "subscriptions {{result}}"})},
	}},
	{title: "Renewals and Redis", panels: []panel{
		{title: "Renewals", kind: stack, unit: perSec, width: 8, alerts: "LeasesLost", queries: rates(`streamlease_renewals_total{P}`, "result")},
		{title: "Renewals are sent late by", kind: lines, unit: seconds, width: 8, limits: []float64{1}, alerts: "ProcessStarved", queries: p99(`streamlease_renewal_lateness_seconds_bucket{P}`, "pod, instance", process)},
		{title: "Renewals are missing for", kind: lines, unit: seconds, width: 8, limits: []float64{2, 4.75}, alerts: "RenewalsLate", queries: one(`max by (pod, instance) (streamlease_renewals_late_seconds{P})`, process)},
		{title: "Calls take", kind: lines, unit: seconds, width: 8, limits: []float64{0.1}, alerts: "RedisSlow",
			queries: append(p99(`streamlease_script_duration_seconds_bucket{P}`, "service", "of all"), query{`topk(5, histogram_quantile(0.99, sum by (script, le) (rate(streamlease_script_duration_seconds_bucket{P}[W]))))`, "p99 {{script}}"})},
		{title: "Calls", kind: stack, unit: perSec, width: 8, about: "Calls of scripts, the ten most frequent.", queries: one(`topk(10, sum by (script) (rate(streamlease_script_duration_seconds_count{P}[W])))`, "{{script}}")},
		{title: "Calls and reads that fail", kind: lines, unit: perSec, width: 8, alerts: "RedisFails ReadsFail NotReady",
			queries: append(rates(`streamlease_script_errors_total{P}`, "script"), query{`sum by (service) (rate(streamlease_reads_failed_total{P}[W]))`, "reads"})},
		{title: "Masters away", kind: lines, unit: count, width: 6, alerts: "MasterAway",
			queries: []query{{`max by (service) (streamlease_breakers_open{P})`, "away"}, {`sum by (service) (increase(streamlease_reads_paused_total{P}[W]))`, "pauses of reading"}}},
		{title: "Settling, not confirmed", kind: lines, unit: count, width: 6, alerts: "SettlingForLong NotConfirmed",
			queries: []query{{`sum by (service) (max by (service, partition) (streamlease_settling{P}))`, "partitions that settle"}, {`sum by (service) (streamlease_unconfirmed{P})`, "streams not confirmed"}}},
		{title: "Sessions opened", kind: lines, unit: count, width: 6, alerts: "SessionsDoNotOpen", queries: rises(`streamlease_opens_total{P}`, "result")},
		{title: "Leases in a batch", kind: lines, unit: count, width: 6, queries: p99(`streamlease_renewal_batch_size_bucket{P}`, "service", services)},
	}},
	{title: "Failures and dead letters", panels: []panel{
		{title: "Handlers wait and work", kind: lines, unit: count, width: 8, limits: []float64{1000}, alerts: "HandlersBehind",
			queries: []query{{`streamlease_handler_queue_depth{P}`, "waiting " + process}, {`streamlease_handler_busy_workers{P}`, "at work " + process}}},
		{title: "Handlers take", kind: lines, unit: seconds, width: 8, limits: []float64{1}, queries: p99(`streamlease_handler_duration_seconds_bucket{P}`, "kind", "{{kind}}")},
		{title: "Handlers fail", kind: lines, unit: count, width: 8, alerts: "HandlersFail Panics HooksFail",
			queries: append(rises(`streamlease_handler_errors_total{P}`, "kind"), query{`sum by (service) (increase(streamlease_handler_panics_total{P}[W]))`, "panics"},
				query{`sum by (hook, result) (increase(streamlease_hooks_total{P,result!="delivered"}[W]))`, "hook {{hook}} {{result}}"})},
		{title: "Dead letters, by reason", kind: lines, unit: count, width: 8, alerts: "DeadLetters",
			queries: append(rises(`streamlease_dead_letters_total{P}`, "reason"), query{`sum by (service) (increase(streamlease_dead_letters_full_total{P}[W]))`, "full"})},
		{title: "Dead letters kept", kind: lines, unit: count, width: 8, limits: []float64{50000}, alerts: "DeadLettersKept DeadLettersFull", queries: one(`max by (service, partition) (streamlease_dead_letters_kept{F})`, "{{service}} {{partition}}")},
		{title: "Refused by Redis", kind: lines, unit: count, width: 8, alerts: "Refused", queries: rises(`streamlease_entries_refused_total{P}`, "cause")},
		{title: "By hand", kind: lines, unit: count, width: 8, alerts: "TamperedWith Stranded BodiesDeleted",
			queries: append(rises(`streamlease_tampered_total{P}`, "result"), query{`sum by (service) (increase(streamlease_entries_gone_total{P}[W]))`, "gone"},
				query{`sum by (service) (max by (service, partition) (streamlease_stranded{F}))`, "stranded"}, query{`sum by (service) (max by (service, partition) (streamlease_pending_without_body{F}))`, "without a body"})},
		{title: "Checkpoints", kind: lines, unit: perSec, width: 8, alerts: "CheckpointsFail CheckpointsTooLong CheckpointsUnreadable",
			queries: append(rates(`streamlease_checkpoints_total{P}`, "result"), query{`sum by (service) (rate(streamlease_checkpoints_too_long_total{P}[W]))`, "too long"},
				query{`sum by (service) (rate(streamlease_checkpoints_unreadable_total{P}[W]))`, "unreadable"})},
		{title: "Checkpoints not stored for", kind: lines, unit: seconds, width: 4, limits: []float64{10}, alerts: "CheckpointsNotStored CheckpointsOff",
			queries: []query{{`max by (pod, instance) (streamlease_checkpoints_oldest_unsaved_seconds{P})`, process}, {`max by (service) (streamlease_checkpoints_off{P})`, "off"}}},
		{title: "Checkpoints: how many, how much", kind: lines, unit: count, width: 4,
			queries: []query{{`sum by (service) (streamlease_checkpoints_unsaved{P})`, "not stored"}, {`sum by (service) (rate(streamlease_checkpoint_bytes_total{P}[W]))`, "bytes a second"}}},
	}},
	{title: "Messages", closed: true, panels: []panel{
		{title: "Messages", kind: stack, unit: perSec, width: 8, alerts: "MessagesSkipped", queries: rates(`streamlease_feed_messages_total{P}`, "result")},
		{title: "Streams behind, by age", kind: lines, unit: count, width: 8, alerts: "MessagesLate StreamBehind",
			queries: append(one(`sum by (age) (streamlease_feed_behind_streams{P})`, "{{age}}"), query{`sum by (service) (streamlease_feed_streams{P})`, "all"})},
		{title: "Oldest message", kind: lines, unit: seconds, width: 8, limits: []float64{60, 600}, alerts: "StreamBehind",
			queries: []query{{`max by (pod, instance) (streamlease_feed_lag_seconds{P})`, process}, {`sum by (service) (streamlease_feed_lag_seconds_sum{P}) / sum by (service) (streamlease_feed_streams{P})`, "mean of streams"}}},
		{title: "From message to handler", kind: lines, unit: seconds, width: 8, queries: p99(`streamlease_feed_latency_seconds_bucket{P}`, "service", services)},
		{title: "Batches take", kind: lines, unit: seconds, width: 8, queries: p99(`streamlease_feed_handler_seconds_bucket{P}`, "service", services)},
		{title: "Batches", kind: stack, unit: perSec, width: 8, alerts: "BatchesFail FeedPanics",
			queries: append(rates(`streamlease_feed_batches_total{P}`, "result"), query{`sum by (service) (rate(streamlease_feed_panics_total{P}[W]))`, "panics"})},
		{title: "Streams at work, waiting, retrying", kind: lines, unit: count, width: 8, alerts: "WorkersBusy StreamsRetrying KeptBatches",
			queries: []query{{`sum by (service) (streamlease_feed_busy_streams{P})`, "at work"}, {`sum by (service) (streamlease_feed_waiting_streams{P})`, "waiting for a worker"},
				{`sum by (service) (streamlease_feed_retrying_streams{P})`, "retrying"}, {`sum by (service) (streamlease_feed_kept_batches{P})`, "kept batches"}, {`sum by (service) (streamlease_feed_lag_messages{P})`, "messages"}}},
		{title: "Memory of messages", kind: lines, unit: memory, width: 8, limits: []float64{32 << 20, 64 << 20}, alerts: "KeptBatches",
			queries: []query{{`streamlease_feed_bytes{P}`, process}, {`streamlease_feed_kept_bytes{P}`, "kept " + process}}},
		{title: "Gaps, positions, trims", kind: lines, unit: count, width: 8, alerts: "MessagesTrimmed PositionsFail TrimsFail",
			queries: append(rises(`streamlease_feed_gaps_total{P}`, "kind"), query{`sum by (result) (increase(streamlease_feed_checkpoints_total{P,result!="set"}[W]))`, "position {{result}}"},
				query{`sum by (result) (increase(streamlease_feed_trims_total{P,result!="trimmed"}[W]))`, "trim {{result}}"})},
		{title: "Reading", kind: lines, unit: perSec, width: 12, alerts: "RingsLost FeedPolls",
			queries: append(rates(`streamlease_feed_reading_total{P,event!="bytes"}`, "event"), query{`max by (service) (streamlease_feed_polling{P})`, "polls"})},
		{title: "Streams left", kind: stack, unit: perSec, width: 12, queries: rates(`streamlease_feed_leavings_total{P}`, "result")},
	}},
	{title: "Schedules", closed: true, panels: []panel{
		{title: "Schedules", kind: lines, unit: count, width: 8, alerts: "SchedulesBroken SchedulesPaused",
			queries: []query{{`sum by (service) (streamlease_schedules{P})`, "owned"}, {`sum by (service) (streamlease_schedules_paused{P})`, "paused"}, {`sum by (service) (streamlease_schedules_broken{P})`, "broken"}}},
		{title: "Ticks", kind: stack, unit: perSec, width: 8, alerts: "TicksSkipped TicksMissed TicksFail TickPanics",
			queries: append(rates(`streamlease_ticks_total{P}`, "result"), query{`sum by (service) (rate(streamlease_tick_panics_total{P}[W]))`, "panics"})},
		{title: "Ticks are late by", kind: lines, unit: seconds, width: 8, limits: []float64{0.1, 1}, alerts: "TicksLate", queries: p99(`streamlease_tick_lateness_seconds_bucket{P}`, "pod, instance", process)},
		{title: "Ticks take", kind: lines, unit: seconds, width: 6, queries: p99(`streamlease_tick_duration_seconds_bucket{P}`, "service", services)},
		{title: "Ticks at work, waiting", kind: lines, unit: count, width: 6, alerts: "TicksWait",
			queries: []query{{`streamlease_ticks_running{P}`, "at work " + process}, {`streamlease_ticks_waiting{P}`, "waiting " + process}}},
		{title: "What keeps schedules from ticking", kind: lines, unit: count, width: 6, alerts: "SchedulesUnreadable SchedulesDoNotBegin SchedulesLost ClockSet",
			queries: append(rises(`streamlease_schedule_errors_total{P}`, "reason"), query{`sum by (result) (increase(streamlease_schedule_audits_total{P}[W]))`, "audit {{result}}"},
				query{`max by (service) (increase(streamlease_schedule_clock_steps_total{P}[W]))`, "clock steps"})},
		{title: "Edits", kind: lines, unit: count, width: 6, queries: rises(`streamlease_schedule_changes_total{P}`, "change")},
	}},
	{title: "Maintenance", closed: true, panels: []panel{
		{title: "Notices", kind: lines, unit: count, width: 8, queries: rises(`streamlease_maintenance_notices_total{P}`, "kind")},
		{title: "Moves of servers and partitions", kind: lines, unit: count, width: 8, alerts: "MovesNotFollowed",
			queries: append(rises(`streamlease_maintenance_moves_total{P}`, "result"), query{`sum by (service) (increase(streamlease_partitions_relocated_total{P}[W]))`, "partitions"})},
		{title: "Windows, endpoints, servers", kind: lines, unit: count, width: 8,
			queries: []query{{`max by (service) (streamlease_maintenance_windows{P})`, "open windows"}, {`max by (service) (streamlease_maintenance_endpoints{P})`, "announced endpoints"},
				{`min by (service) (streamlease_maintenance_nodes{P})`, "servers that announce"}, {`max by (service) (streamlease_recovery_held_off{P})`, "recovery waits"}}},
	}},
}

// unshown are metrics that no panel has, and why.
var unshown = map[string]string{}
