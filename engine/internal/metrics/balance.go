package metrics

// MoveReason is why a stream moves to another process.
type MoveReason uint8

var (
	moveReasons = newLabel[MoveReason]("reason")

	MoveShed  = moveReasons.value("shed", "this process held more than its share")
	MoveLimit = moveReasons.value("limit", "`SetMaxStreams` was lowered")
	MoveWish  = moveReasons.value("wish", "this process is to be emptied: `Evacuate`, or an operator")
	MoveDrain = moveReasons.value("drain", "this process shuts down")
)

// What the balance counts.
var (
	Rebalanced = counterBy(row{
		name: "moves_total",
		help: "Streams whose owners were notified that they are to be handed back.",
		use: "What evening out and deploys cost. `shed` goes up after a change of the fleet and stays then; if it goes on for hours, processes come and " +
			"go all the time.",
	}, moveReasons)

	LeftoverReads = counter(row{
		name: "leftover_reads_total",
		help: "Reads of what nobody had room for.",
		use:  "Some in a deploy. Alert on any for minutes: shares are too small, since processes count that do not read.",
	})
)

// How the streams of a service are spread, as this process sees it.
var (
	BalanceFair = gauge(row{
		name:    "balance_fair",
		help:    "Streams that are this process's share.",
		use:     "Compare with `held`. 0: it does not share, since it is full, paused or about to end.",
		combine: sum,
	})

	BalanceFill = gauge(row{
		name:    "balance_fill",
		help:    "Streams that this process holds for a weight of 1.",
		use:     "Should be nearly the same in all processes. Alert where it is above 1.3 times `balance_fair / balance_weight` for 15 minutes, with `balance_fair` above 10.",
		combine: greatest,
	})

	BalanceFillLeast = gauge(row{
		name:    "balance_fill_least",
		help:    "The least of `balance_fill` of all processes that share; that of this one where none does.",
		use:     "Far below the others for minutes: a process takes nothing.",
		combine: greatest,
	})

	BalanceWeight = gauge(row{
		name:    "balance_weight",
		help:    "The weight of this process.",
		use:     "What `WithWeight`, `SetWeight` or an operator has set.",
		combine: sum,
	})

	BalanceRamp = gauge(row{
		name: "balance_ramp",
		help: "The part of its weight that this process has: below 1 for some time after it has crashed.",
		use: "Below 1 its share is as much smaller. Starts at 0.02 and is 1 within a minute after one crash, within ten minutes after many. If it keeps " +
			"coming back to 0.02, find out why the process dies.",
		combine: greatest,
	})

	BalanceGateOpen = gauge(row{
		name:    "balance_gate_open",
		help:    "1 while this process may read announcements, as far as its share goes, otherwise 0.",
		use:     "0 everywhere while `lag` is above 0: shares are too small.",
		combine: greatest,
	})

	BalanceOver = gauge(row{
		name:    "balance_over_seconds",
		help:    "Seconds since this process has held more than its share by more than a tenth; 0: it does not.",
		use:     "Above 30 it gives streams back. Alert above 900; `balance_held_off` says what it waits for.",
		combine: greatest,
	})

	BalanceHeldOff = gauge(row{
		name: "balance_held_off",
		help: "Why nothing is handed back though too much is held: 1 processes come and go, 2 nobody takes it, 3 an operator has stopped all moving, 4 " +
			"what is known of the fleet is not reliable; 0: nothing keeps it.",
		use:     "1 for two minutes after each change of the fleet, at most ten. 2 for long: a process counts that does not read.",
		combine: greatest,
	})
)
