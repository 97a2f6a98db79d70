package scan

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/streamlease/streamlease/lease"
)

const (
	// convicting is how many marks convict. By chance one entry in (3^17 - 1) / 2 that have their first gets there: marks come
	// with a quarter of the deaths, and go with the others.
	convicting = 17
	// lately is the share of the suspects that come last before a death: one in so many.
	lately = 4
	// soleMarks is what a suspect gets that came last to a process that lived well without it.
	soleMarks = 3

	// Two entries that came within a share of the longest delay of each other came together: in which order says nothing.
	togetherShare            = 16
	minTogether, maxTogether = 20 * time.Millisecond, time.Second
)

// Suspect is an entry that may have been what killed its owner.
type Suspect struct {
	lease.Disposition
	Idle time.Duration // since it was acquired, or read
}

// Company is what a dead consumer had beside its suspects.
type Company struct {
	Stable int             // entries that it had held for StableAfter
	Idles  []time.Duration // of the others that it had, and that count a crash
	None   bool            // the service has one announcement, which is the one suspect
}

// Suspects reports whether an entry that Judge has sent somewhere is one for Convict: more than half of the crashes that
// are forgiven have come about.
func (c Config) Suspects(r lease.Disposition) bool {
	return r.Crashes > c.WithDefaults().crashLimit()/2
}

// Convict finds out which of the suspects that one dead consumer left are to blame, and sends those to the dead letters.
// All others are handed out again after a delay, and none of them has more crashes afterwards than it takes for the
// longest one, but for the marks that it has. It returns how many of the others have crashed more often than MaxCrashes.
//
// A number of crashes convicts nobody: where processes die for reasons of their own, all that they held has crashed as
// often. What kills is told from what dies with it by when it came. After a crash each entry waits for a time of its own,
// which doubles each time up to MaxCrashDelay and is moved by up to half of that to either side, so they come back one by
// one. When the next process dies, what killed it has come a moment ago, and what merely shares its fate some time before.
//
// An entry that has crashed so often that its delay has grown to MaxCrashDelay, and more than MaxCrashes times, gets a mark
// when it is among the last quarter of the suspects to come before a death, and loses one when it is not. 17 marks convict.
// A killer gets one with each of its deaths, however many killers there are. By chance one in 64,000,000 that have
// the first mark comes to the seventeenth, and so hardly ever where processes die for reasons of their own, however often they do. With fewer
// than four suspects chance is greater: one that is not the very last loses two marks, and 34 convict. One suspect alone
// gets three at a time, but only if something was there that had been stable, which shows that its process could live, and
// if it came in the last quarter of all that was not stable. What came together (within a sixteenth of MaxCrashDelay, 1 s at
// most) came at once: where more than a quarter came last together, as after a long time in which there was no process, they
// neither get a mark nor lose one.
//
// With the defaults (simulated: 300 streams, 1 to 5 killers; TestKillersAreConvicted) a killer that kills at once, or when it
// is read, is convicted after some 28 to 45 deaths of its own in a fleet of one process, and 17 to 42 in fleets of 4 and 20.
// Five that take 10 s each took up to 110 in a fleet of one. One that takes longer than a quarter of MaxCrashDelay, less with
// several, is not found: raise MaxCrashDelay, which has to be long against the time that processes stay away, too. No innocent
// stream became a dead letter, nor did any in 300 deaths of processes that had no killer.
//
// Two cases are decided at once. Where the service has a single announcement nothing else can be to blame, so it is
// convicted beyond MaxCrashes. And with MaxCrashes negative all that was held is.
func (c Config) Convict(suspects []Suspect, with Company, rnd func() float64) (waiting int) {
	c = c.WithDefaults()
	slices.SortStableFunc(suspects, func(a, b Suspect) int { return cmp.Compare(a.Idle, b.Idle) })
	came := 0 // how many came when this one did, or later
	for i := range suspects {
		s := &suspects[i]
		for came < len(suspects) && suspects[came].Idle <= s.Idle+c.together() {
			came++
		}
		together := s.Idle <= suspects[0].Idle+c.together()
		if c.weigh(s, came, len(suspects), together, &with) {
			s.Dest, s.Reason = lease.ToDeadLetters, crashReason(s.Crashes)
			continue
		}
		if s.Crashes > c.crashLimit() {
			waiting++
		}
		s.Reason = ""
		if s.Crashes > 1 {
			s.Dest, s.Delay = lease.ToLater, c.DelayAfterCrash(min(s.Crashes, c.patience())-1, rnd())
		}
	}
	return waiting
}

// weigh counts the marks of a suspect, and reports whether it is convicted. came is how many of all suspects came when it
// did, or later, itself included; together, that none came later.
func (c Config) weigh(s *Suspect, came, all int, together bool, with *Company) (guilty bool) {
	before, floor := s.Crashes-1, c.patience()
	switch {
	case c.MaxCrashes < 0:
		return true
	case with.None:
		return s.Crashes > c.crashLimit()
	case before < floor:
		return false // a crash more, no mark
	case all == 1 && with.Stable == 0:
		s.Crashes = before // nothing says that it was this one
		return false
	}
	gain, loss, enough := 1, 1, convicting
	last := came <= max(all/lately, 1)
	switch {
	case all == 1:
		gain = soleMarks
		last = 1+with.came(s.Idle+c.together()) <= max((1+len(with.Idles))/lately, 1)
		together = with.came(s.Idle-c.together()) == 0
	case all < lately:
		loss, enough = 2, 2*convicting
	}
	switch {
	case last:
		s.Crashes = before + gain
		return s.Crashes >= floor+enough
	case together:
		s.Crashes = before // too many came last to say which of them it was
	default:
		s.Crashes = max(before-loss, floor)
	}
	return false
}

// came is how many of the others came within the last idle.
func (w *Company) came(idle time.Duration) (n int) {
	for _, other := range w.Idles {
		if other <= idle {
			n++
		}
	}
	return n
}

// patience is the number of crashes from which on delays are the longest, and no less than MaxCrashes. What an entry has
// beyond it are marks.
func (c Config) patience() int {
	doublings := math.Ceil(math.Log2(float64(c.MaxCrashDelay) / float64(c.CrashDelay)))
	return max(c.crashLimit(), int(doublings)+2)
}

// mostCrashes is the greatest number of crashes that an entry can have, marks included.
func (c Config) mostCrashes() int { return c.patience() + 2*convicting }

// together is how much later than another one an entry must have come to be later at all.
func (c Config) together() time.Duration {
	return min(max(c.MaxCrashDelay/togetherShare, minTogether), maxTogether)
}
