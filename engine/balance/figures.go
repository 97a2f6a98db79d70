package balance

import "time"

// When streams move. The simulation in the tests of this package is where these figures were tried; its golden tables show what
// they come to.
const (
	// Over: a process holds too much when it holds more than this much of its share, and one stream. It is above 1 + Slack, so nobody is
	// over because of what the gate let in, and far enough above that streams that come and go by some hundredths move nothing.
	Over = 1.10
	// Idle: when the least filled process has less than this part of what a unit of weight holds on average, all that hold more than
	// their share give, though none of them is Over: when an eleventh process joins ten, each of them holds just a tenth too much.
	Idle = 0.5
	// StopAt: who gives stops at this much of its share, and one stream, once the fleet is even. It is below 1 + Slack: the last few
	// hundredths would cost moves that nobody notices.
	StopAt = 1.02
	// Slack: while the fleet is even, a process may take this much more than its share, and one stream. New streams find room
	// at once then, although what is known of the fleet is a second old.
	Slack = 0.05
	// evenAt: the fleet is even when the least filled process has this part of its share, or all of it but a fraction of a stream.
	evenAt = 0.9

	// Patience is how long too much has to be held before any of it is given back. It is longer than a process takes to restart, and
	// than a dead one takes to be noticed and recovered, with a session TTL of 10 or 20 s.
	Patience = 30 * time.Second
	// PatienceSpread is the greatest part of Patience by which it is longer, at random, so that not all processes of a fleet start
	// in the same second. Quiet is longer by as much.
	PatienceSpread = 0.2
	// Quiet is how long no process must have joined or left before shedding starts. During a deploy that replaces a process every two
	// minutes or faster, streams move only because their process ends: once each.
	Quiet = 2 * time.Minute
	// QuietUnless: shedding does not wait for Quiet where a process holds this much of its share or more, as the first ones do
	// when a service is scaled out to a multiple.
	QuietUnless = 1.5
	// HoldOff is the longest time for which Quiet keeps a process that is Over from giving. A fleet in which something always joins
	// or leaves would stay uneven forever.
	HoldOff = 10 * time.Minute

	// MinHold is how long a stream is held before it is given back, so that none moves twice within a minute, and what its new
	// owner did to start working on it is not wasted. Evacuation and drains ignore it.
	MinHold = time.Minute
	// AskAgain is how long a stream that is to be released counts as leaving. If its handler has not ended by then, it counts as
	// held, and another stream is chosen.
	AskAgain = 30 * time.Second
	// Unanswered is how many streams that are to be released may wait for their handlers. Shedding pauses there: a program that does
	// not release anything is not told of more and more.
	Unanswered = 64
)

// How quickly others take what is there.
const (
	// Lead is how long a process that drains waits between taking its weight out and handing back: one beat, after which all others
	// know of their greater share and wait in a read. Without it most streams of a drain wait for the Handicap.
	Lead = time.Second
	// Handicap is how long an undelivered entry waits for a process with room before those without room read it. Shares are
	// estimates, and no stream waits longer because they are wrong.
	Handicap = 500 * time.Millisecond
	// Leftovers is how many of them one process reads at a time.
	Leftovers = 64
	// untaken: who sheds and sees an entry wait for this long learns that nobody takes what it gives. It is below the Handicap, since
	// entries that wait longer are read, and a process looks only once a second.
	untaken = Handicap / 2

	// Stale is how old what is known of a partition may be: some beats have failed. After that the gate is open and nothing is shed.
	Stale = 5 * time.Second

	// FirstSecond is how long after its start a process takes no more than [Opening] allows. Whoever of a fleet opens first
	// sees nobody else, and would take all there is within a tenth of that.
	FirstSecond = time.Second
	// Starting is the longest time that a first second takes, because others go on joining ([Newcomer]).
	Starting = 5 * time.Second
	// OpeningPart is the part of all streams that Opening allows: one of so many. With 16, up to 16 processes that start within a
	// second come out nearly even, and one that is alone takes a second longer.
	OpeningPart = 16
	// OpeningLeast is what Opening allows at least. So few are moved in no time.
	OpeningLeast = 64
)

// How a process that keeps crashing comes back.
const (
	// RampFrom is the part of its weight with which a process starts after a crash.
	RampFrom = 0.02
	// RampFirst is how long its weight grows after one crash; after each further one, twice as long.
	RampFirst = time.Minute
	// RampMost is the longest time for which it grows.
	RampMost = 10 * time.Minute
)
