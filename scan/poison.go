package scan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/streamlease/streamlease/lease"
)

const (
	// poisonStrikes is how many strikes make an entry poison. By chance, one in (3^17 - 1) / 2 of the entries with a first strike
	// gets there: a strike comes with a quarter of the deaths, and one goes with each of the others.
	poisonStrikes = 17
	// recentShare is the share of the candidates that counts as the last to arrive before a death: one in so many.
	recentShare = 4
	// soleStrikes is what a sole candidate gets that arrived last in a process that lived well without it.
	soleStrikes = 3

	// Two entries that arrived within this share of the longest delay of each other arrived together: their order says nothing.
	togetherShare            = 16
	minTogether, maxTogether = 20 * time.Millisecond, time.Second
)

// poisonCandidate is an entry that may have killed its owner.
type poisonCandidate struct {
	lease.Disposition
	idle time.Duration // since it was acquired, or read
}

// cohort is what a dead consumer had besides its poison candidates.
type cohort struct {
	stable int             // entries that it had held for StableAfter
	idles  []time.Duration // of its other entries that count a crash
	sole   bool            // the service has only one announcement, which is the one candidate
}

// isCandidate reports whether detectPoison has to look at an entry that decide has dealt with: it has used up more than half
// of the crashes that MaxCrashes allows.
func (c Config) isCandidate(r lease.Disposition) bool {
	return r.Crashes > c.WithDefaults().crashLimit()/2
}

// detectPoison finds out which of the candidates that one dead consumer left are poison, and sends those to the dead letters.
// All others are requeued after a delay. Except for its strikes, none of them then has more crashes than it takes to reach the
// longest delay. detectPoison returns how many of the others have crashed more often than MaxCrashes.
//
// A number of crashes proves nothing: where processes die for reasons of their own, everything that they held has crashed
// equally often. Its time of arrival distinguishes poison from what dies with it. After a crash each entry waits for a delay of
// its own, which doubles each time up to MaxCrashDelay, with a jitter of up to half of it to either side, so entries come back
// one by one. When the next process dies, what killed it arrived a moment ago, and what merely shares its fate arrived earlier.
//
// An entry that has crashed so often that its delay has grown to MaxCrashDelay, and more than MaxCrashes times, gets a strike
// when it is among the last quarter of the candidates to arrive before a death, and loses one when it is not. 17 strikes make
// it poison. A killer gets one with each of its deaths, however many killers there are. By chance, one in 64,000,000 of the
// entries with a first strike gets to the seventeenth, so this hardly ever happens where processes die for reasons of their
// own, however often they do. With fewer than four candidates chance is greater: one that is not the very last loses two
// strikes, and it takes 34. A sole candidate gets three at a time, but only if there was something stable, which shows that
// its process could live, and if it arrived in the last quarter of all that was not stable. Entries that arrived together
// (within a sixteenth of MaxCrashDelay, at most 1 s) arrived at once: where more than a quarter arrived last together, as
// after a long time without a process, they neither get a strike nor lose one.
//
// With the defaults (simulated: 300 streams, 1 to 5 killers; TestKillersAreDetected) a killer that kills at once, or when it
// is read, is detected after some 28 to 45 deaths of its own in a fleet of one process, and 17 to 42 in fleets of 4 and 20.
// Five that take 10 s each took up to 110 in a fleet of one. One that takes longer than a quarter of MaxCrashDelay, less with
// several, is not found: raise MaxCrashDelay, which also has to be long compared with the time that processes stay away. No
// innocent stream became a dead letter, nor did any in 300 deaths of processes that had no killer.
//
// Two cases are decided at once. Where the service has a single announcement nothing else can be to blame, so it is poison
// beyond MaxCrashes. With MaxCrashes negative, everything that was held is.
func (c Config) detectPoison(candidates []poisonCandidate, others cohort, rnd func() float64) (suspected int) {
	c = c.WithDefaults()
	slices.SortStableFunc(candidates, func(a, b poisonCandidate) int { return cmp.Compare(a.idle, b.idle) })
	arrived := 0 // how many arrived when this one did, or later
	for i := range candidates {
		s := &candidates[i]
		for arrived < len(candidates) && candidates[arrived].idle <= s.idle+c.arrivalWindow() {
			arrived++
		}
		together := s.idle <= candidates[0].idle+c.arrivalWindow()
		if c.countStrikes(s, arrived, len(candidates), together, &others) {
			s.Dest, s.Reason = lease.ToDeadLetters, crashReason(s.Crashes)
			continue
		}
		if s.Crashes > c.crashLimit() {
			suspected++
		}
		s.Reason = ""
		if s.Crashes > 1 {
			s.Dest, s.Delay = lease.ToLater, c.DelayAfterCrash(min(s.Crashes, c.strikeFloor())-1, rnd())
		}
	}
	return suspected
}

// countStrikes updates the strikes of a candidate, and reports whether it is poison. arrived is how many of all candidates
// arrived when it did, or later, including itself; together reports that none arrived later.
func (c Config) countStrikes(s *poisonCandidate, arrived, all int, together bool, others *cohort) (poison bool) {
	before, floor := s.Crashes-1, c.strikeFloor()
	switch {
	case c.MaxCrashes < 0:
		return true
	case others.sole:
		return s.Crashes > c.crashLimit()
	case before < floor:
		return false // one more crash, no strike
	case all == 1 && others.stable == 0:
		s.Crashes = before // nothing shows that it was this one
		return false
	}
	gain, loss, enough := 1, 1, poisonStrikes
	last := arrived <= max(all/recentShare, 1)
	switch {
	case all == 1:
		gain = soleStrikes
		last = 1+others.arrived(s.idle+c.arrivalWindow()) <= max((1+len(others.idles))/recentShare, 1)
		together = others.arrived(s.idle-c.arrivalWindow()) == 0
	case all < recentShare:
		loss, enough = 2, 2*poisonStrikes
	}
	switch {
	case last:
		s.Crashes = before + gain
		return s.Crashes >= floor+enough
	case together:
		s.Crashes = before // too many arrived last to tell which of them it was
	default:
		s.Crashes = max(before-loss, floor)
	}
	return false
}

// arrived returns how many entries of the cohort arrived within the last idle.
func (c *cohort) arrived(idle time.Duration) (n int) {
	for _, other := range c.idles {
		if other <= idle {
			n++
		}
	}
	return n
}

// strikeFloor returns the number of crashes from which on delays are the longest, and no less than MaxCrashes. What an entry
// has beyond it are strikes.
func (c Config) strikeFloor() int {
	doublings := math.Ceil(math.Log2(float64(c.MaxCrashDelay) / float64(c.CrashDelay)))
	return max(c.crashLimit(), int(doublings)+2)
}

// maxCrashCount returns the greatest number of crashes that an entry can have, strikes included.
func (c Config) maxCrashCount() int { return c.strikeFloor() + 2*poisonStrikes }

// arrivalWindow returns by how much an entry must have arrived after another one to count as later.
func (c Config) arrivalWindow() time.Duration {
	return min(max(c.MaxCrashDelay/togetherShare, minTogether), maxTogether)
}

func crashReason(crashes int) string {
	return fmt.Sprintf("crashes: its owners died again and again (crash count %d)", crashes)
}

// crashLimit returns MaxCrashes as a count.
func (c Config) crashLimit() int { return min(max(c.MaxCrashes, 0), math.MaxInt/4) }
