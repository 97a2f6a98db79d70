package balance

import (
	"fmt"
	"time"
)

// Reason is why a process that should give streams does not.
type Reason uint8

// In order of precedence: if several apply, Pace has the last.
const (
	NotHeldOff       Reason = iota // it gives, or it has nothing to give, or its Patience is not over
	HeldOffQuiet                   // a process joined or left a short time ago; the fleet may still be changing
	HeldOffUntaken                 // nobody takes what it gives: entries wait
	HeldOffFrozen                  // an operator has stopped all moving
	HeldOffUnsettled               // what is known of the fleet is not reliable now
)

// String returns the reason in a word or two.
func (r Reason) String() string {
	names := [...]string{"not held off", "quiet", "untaken", "frozen", "unsettled"}
	if int(r) >= len(names) {
		return fmt.Sprintf("Reason(%d)", r)
	}
	return names[r]
}

// Look is what a process sees when it decides whether to give streams.
type Look struct {
	Now   time.Duration // a monotonic time; only differences count
	Share Share
	Held  int // streams that this process holds, those that are to be released included
	// Changes is a number that differs from that of the last look when a process has joined or left since.
	Changes int64
	// Settled is false while a partition settles, fails or migrates, or what is known of it is older than Stale. Nothing is judged then.
	Settled bool
	// Frozen: an operator has stopped all moving.
	Frozen bool
	// Waited is how long the oldest undelivered entry of any partition has waited. 0: there is none, or it is not known.
	Waited time.Duration
}

// Pace is how fast a process gives streams until its next look.
type Pace struct {
	Rate    float64       // streams a second; 0: none
	Stop    int           // none while no more than this many are held
	Over    time.Duration // for how long too much has been held; 0: it is not too much
	HeldOff Reason        // why nothing is given, though too much has been held for longer than Patience
}

// Shedder decides when a process gives streams, and how fast. It has the state between looks, and is not safe for concurrent use.
//
//	content ──too much──▶ patient ──Patience is over──▶ held off ──Quiet, or far too much──▶ giving
//	   ▲                     │                             │  ▲                                │
//	   └─────no longer───────┴─────────────────────────────┘  └────somebody joins or leaves────┤
//	   └──────────────────────────────── down to Stop ─────────────────────────────────────────┘
type Shedder struct {
	config Config
	random func() float64

	started bool
	last    time.Duration // of the last look
	changes int64
	changed time.Duration // when a process joined or left, as far as seen

	wanting bool          // something is to be given
	since   time.Duration // since when
	forIdle bool          // for somebody who is idle, who stops being it as soon as the first give: the others go on until the fleet is even
	due     time.Duration // when Patience is over
	extra   time.Duration // how much longer it is than Patience

	giving   bool          // the conditions for a start were met, and nobody has joined or left since
	heldOff  bool          // Patience is over, and Quiet keeps it from giving
	heldFrom time.Duration // since when

	untaken int           // how often entries were seen to wait, less how often giving went well
	taken   int           // looks since then at which giving went well
	retry   time.Duration // when to try again after entries waited
	gave    bool          // the last look had a rate
}

// NewShedder returns a Shedder of a process that has just started. c has been validated; random returns numbers from 0 to below 1.
func NewShedder(c Config, random func() float64) *Shedder {
	return &Shedder{config: c.WithDefaults(), random: random}
}

// Look decides how fast streams are given until the next look. It should be called after each beat.
func (s *Shedder) Look(l Look) Pace {
	elapsed := l.Now - s.last
	if !s.started || l.Changes != s.changes {
		// A Shedder that has just started does not know when somebody joined last. Its own process did.
		s.changed, s.changes, s.giving = l.Now, l.Changes, false
	}
	if !s.started {
		elapsed, s.started = 0, true
	}
	s.last = l.Now
	gave := s.gave
	s.gave = false

	if !l.Settled {
		// Time that was spent without knowing counts for nothing, and what was known before still holds.
		s.due += elapsed
		return s.off(l.Now, HeldOffUnsettled)
	}
	if !s.wants(l) {
		s.wanting, s.forIdle, s.giving, s.heldOff = false, false, false, false
		if l.Now-s.retry >= HoldOff {
			s.untaken = 0
		}
		return Pace{}
	}
	if !s.wanting {
		s.wanting, s.since = true, l.Now
		s.extra = time.Duration(s.random() * PatienceSpread * float64(Patience))
		s.due = l.Now + Patience + s.extra
	}
	s.forIdle = s.forIdle || l.Share.idle()
	s.watch(l, gave)
	if reason := s.hindrance(l); reason != NotHeldOff || l.Now < s.due || !s.config.sheds() {
		return s.off(l.Now, reason)
	}
	s.gave = true
	return Pace{Rate: s.rate(l), Stop: l.Share.stop(), Over: l.Now - s.since}
}

// wants reports whether something is to be given, some time.
func (s *Shedder) wants(l Look) bool {
	if l.Share.Open || l.Share.Fair <= 0 {
		return false // nobody to give to; or a process that does not share, which keeps what it has
	}
	if l.Share.over(l.Held) {
		return true
	}
	return l.Held > l.Share.stop() && (s.giving || l.Share.idle() || s.forIdle && !l.Share.Even)
}

// hindrance returns what keeps the process from giving, once its Patience is over.
func (s *Shedder) hindrance(l Look) Reason {
	if l.Now < s.due {
		return NotHeldOff
	}
	quiet := s.quiet(l)
	switch {
	case l.Frozen:
		return HeldOffFrozen
	case l.Now < s.retry:
		return HeldOffUntaken
	case !quiet:
		return HeldOffQuiet
	}
	s.giving = true
	return NotHeldOff
}

// watch looks whether somebody takes what is given, by this process or by others: if so, nothing waits for long. One that is counted and
// does not read would otherwise have all others give for ever, and take back what they gave.
func (s *Shedder) watch(l Look, gave bool) {
	switch {
	case l.Waited >= untaken && l.Now >= s.due && l.Now >= s.retry:
		s.retry = l.Now + min((Patience+s.extra)<<s.untaken, HoldOff)
		if gave || s.untaken > 0 { // otherwise it may have nothing to do with giving
			s.untaken, s.taken = min(s.untaken+1, 8), 0
		}
	case gave && l.Waited < untaken && s.untaken > 0:
		if s.taken++; s.taken >= 10 {
			s.untaken, s.taken = s.untaken-1, 0
		}
	}
}

// quiet reports whether it has been quiet for long enough, or that does not matter. Who may give once goes on down to its share, unless
// somebody joins or leaves meanwhile.
func (s *Shedder) quiet(l Look) bool {
	switch {
	case s.giving:
		return true
	case l.Now-s.changed >= Quiet+s.extra, float64(l.Held) >= QuietUnless*l.Share.Fair && l.Share.over(l.Held):
		s.heldOff = false
		return true
	case !s.heldOff:
		s.heldOff, s.heldFrom = true, l.Now
	}
	// New streams find those who are idle anyway, and who restarts all the time is idle each time.
	return l.Now-s.heldFrom >= HoldOff && l.Share.over(l.Held)
}

// rate returns this process's part of the budget: together, processes that hold all there is give Budget streams a second. After
// nobody took what was given, it is a fraction of that, to find out whether somebody does now.
func (s *Shedder) rate(l Look) float64 {
	return s.config.Budget * float64(l.Held) / float64(max(l.Held, l.Share.Total)) / float64(int(1)<<s.untaken)
}

// off is the pace of a process that gives nothing.
func (s *Shedder) off(now time.Duration, reason Reason) Pace {
	if !s.wanting {
		return Pace{}
	}
	if now < s.due || !s.config.sheds() {
		reason = NotHeldOff
	}
	return Pace{Over: now - s.since, HeldOff: reason}
}
