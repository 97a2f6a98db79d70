package metrics

// Metrics of package engine/schedule.
var (
	Ticks = counterBy(row{
		part: ofSchedule,
		name: "ticks_total",
		help: "Ticks by what became of them.",
		use: "The rate of the work. Alert if `failed` goes on, and on `skipped_overlap`: tasks take longer than their interval, or hang. " +
			"`skipped_missed` goes with crashes and outages, not with deploys.",
	}, tickResults)

	TickPanics = counter(row{
		part: ofSchedule,
		name: "tick_panics_total",
		help: "Panics in tasks, and in the function that opens them.",
		use:  "Alert on any increase; the log has the stack.",
	})

	ScheduleChanges = counterBy(row{
		part: ofSchedule,
		name: "schedule_changes_total",
		help: "Changes of the table that this process has taken in for schedules that it owns.",
		use:  "What edits there are. Far more than are made by people: something puts specs that differ each time.",
	}, scheduleChanges)

	ScheduleErrors = counterBy(row{
		part: ofSchedule,
		name: "schedule_errors_total",
		help: "What kept schedules from ticking, by reason.",
		use:  "Alert on `spec` and `checkpoint`: such a schedule does not tick; `Table.Get` and the log say why.",
	}, scheduleErrors)

	ScheduleAudits = counterBy(row{
		part: ofSchedule,
		name: "schedule_audits_total",
		help: "What the audit did about schedules that nobody owns.",
		use:  "Alert on `announced`: an announcement was lost, as in a failover; and on `dead_letter`: put the schedule again once its task does not kill processes any more.",
	}, scheduleAudits)

	ClockSteps = counter(row{
		part: ofSchedule,
		name: "schedule_clock_steps_total",
		help: "Steps of a server's clock by more than 100 ms, after which ticks were timed again.",
		use:  "Alert on more than one: clocks of servers are set instead of slewed.",
	})

	TickLateness = histogram(row{
		part: ofSchedule,
		name: "tick_lateness_seconds",
		help: "Time from when a tick was due to the call of its task, by the server's clock.",
		use:  "Alert above what you promise. Up to 10 ms are the wheel's; tens of milliseconds mean that the process is short of CPU or workers, seconds that a process died.",
		more: "Manual ticks are left out.",

		buckets: []float64{0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 300},
	})

	TickDuration = histogram(row{
		part: ofSchedule,
		name: "tick_duration_seconds",
		help: "Duration of a tick, from the call of its task to its return.",
		use:  "What ticks take. Compare with intervals: what takes longer skips ticks.",

		buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.5, 2, 10, 60, 600},
	})

	Schedules = gauge(row{
		part:    ofSchedule,
		name:    "schedules",
		help:    "Schedules that this process owns.",
		use:     "Should be `held`. The sum over processes is the size of the table.",
		combine: sum,
	})

	SchedulesPaused = gauge(row{
		part:    ofSchedule,
		name:    "schedules_paused",
		help:    "Those that are paused.",
		use:     "Alert if it stays above 0: somebody forgot to resume them.",
		combine: sum,
	})

	SchedulesBroken = gauge(row{
		part:    ofSchedule,
		name:    "schedules_broken",
		help:    "Those that do not tick, since their spec cannot be read.",
		use:     "Alert above 0.",
		combine: sum,
	})

	TicksRunning = gauge(row{
		part:    ofSchedule,
		name:    "ticks_running",
		help:    "Ticks whose tasks are at work.",
		use:     "At `Workers` all the time, tasks hang or there are too few.",
		combine: sum,
	})

	TicksWaiting = gauge(row{
		part:    ofSchedule,
		name:    "ticks_waiting",
		help:    "Ticks that wait for a worker.",
		use:     "Alert if it stays above 0: all workers are busy.",
		combine: sum,
	})
)

// TickResult is what became of a tick.
type TickResult uint8

var (
	tickResults = newLabel[TickResult]("result")

	TickOK         = tickResults.value("ok", "its task returned nil")
	TickFailed     = tickResults.value("failed", "an error or a panic; it counts as fired")
	TickLost       = tickResults.value("lost", "its schedule was lost or handed back before it was done; the next owner fires it, or a later one")
	TickOverlapped = tickResults.value("skipped_overlap", "it was due while an earlier one was at work")
	TickMissed     = tickResults.value("skipped_missed", "its time had passed, and a later one was fired, or none by `Skip`")
	TickTooLate    = tickResults.value("skipped_window", "its time had passed for longer than `Window`")
)

// ScheduleChange is a change that an owner takes in.
type ScheduleChange uint8

var (
	scheduleChanges = newLabel[ScheduleChange]("change")

	ChangeEdited    = scheduleChanges.value("edited", "its spec")
	ChangePaused    = scheduleChanges.value("paused", "it is owned and does not tick")
	ChangeResumed   = scheduleChanges.value("resumed", "it ticks again")
	ChangeTriggered = scheduleChanges.value("triggered", "a tick was asked for")
	ChangeDeleted   = scheduleChanges.value("deleted", "or put again since, which is another one")
	ChangeReplaced  = scheduleChanges.value("replaced", "announced again, and left to whoever has the newer announcement")
)

// ScheduleError is what keeps a schedule from ticking.
type ScheduleError uint8

var (
	scheduleErrors = newLabel[ScheduleError]("reason")

	ErrorSpec       = scheduleErrors.value("spec", "its row cannot be read, or this process does not know its zone")
	ErrorCheckpoint = scheduleErrors.value("checkpoint", "it has a checkpoint that is none of a schedule; it failed")
	ErrorOpen       = scheduleErrors.value("open", "its task could not be opened; it failed, and is tried again elsewhere or later")
	ErrorLoad       = scheduleErrors.value("load", "the table could not be read; retried")
	ErrorSave       = scheduleErrors.value("save", "the checkpoint of a tick was not stored at once; it goes along with later ones")
)

// ScheduleAudit is what the audit did.
type ScheduleAudit uint8

var (
	scheduleAudits = newLabel[ScheduleAudit]("result")

	AuditAnnounced  = scheduleAudits.value("announced", "again, since nobody owned the schedule and no announcement was there")
	AuditDeadLetter = scheduleAudits.value("dead_letter", "marked, since its announcement is a dead letter")
	AuditFailed     = scheduleAudits.value("failed", "Redis did not answer; retried")
)
