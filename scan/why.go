package scan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// why says for a person why the stream stands where it does, and what to do about it.
func (t *telling) why() string {
	var said []string
	if len(t.failed) > 0 {
		said = append(said, "Not everything could be read, so this may be wrong.")
	}
	switch t.story.State {
	case StreamOwned:
		said = append(said, t.whyOwned()...)
	case StreamRead:
		said = append(said, t.whyRead())
	case StreamWaiting:
		said = append(said, t.whyWaiting())
	case StreamDelayed:
		said = append(said, t.whyDelayed())
	case StreamStranded:
		said = append(said, fmt.Sprintf("Announcement %s is neither pending nor undelivered, so no consumer ever gets it: somebody acknowledged it, or removed a "+
			"consumer, by hand. Reannounce it.", t.first(func(e *StreamEntry) bool { return e.Stranded }).ID))
	case StreamDead:
	case StreamDone:
		said = append(said, "It was done at "+t.ago(t.story.Checkpoint.DoneAt)+". Announce it again if there is more to do.")
	default:
		said = append(said, t.whyUnknown())
	}
	return strings.Join(append(said, t.whyDead()...), " ")
}

func (t *telling) whyOwned() []string {
	o := &t.story.Ownership
	owner := plain(o.Consumer)
	held := fmt.Sprintf("It is owned by %s", owner)
	if !o.Since.IsZero() {
		held += " since " + t.ago(o.Since)
	}
	if o.Session.State != SessionAlive {
		return []string{held + ", whose session " + t.ended(o.Session) + ".", t.soonRecovered()}
	}
	said := []string{held + " and renewed."}
	if o.Since.IsZero() {
		said = append(said, "Its announcement is not pending any more, since somebody acknowledged it, or the server forgot it: the owner restores it within minutes.")
	}
	if p := t.story.Owner; p != nil && p.State != BalanceShares {
		if text, ok := ownerDoes[p.State]; ok {
			said = append(said, text)
		}
	}
	said = append(said, fmt.Sprintf("If nothing happens, its handler is at work or hangs: look at the process of %s.", owner))
	if o.Waiting != "" {
		said = append(said, "A later announcement waits for this one to end.")
	}
	return said
}

// ownerDoes says what a state of the owner's process means for the stream.
var ownerDoes = map[BalanceState]string{
	BalanceBehind:     "The process is behind with its handlers or its renewals: it lacks CPU, or its handlers wait for something.",
	BalanceEvacuating: "The process hands back what it holds, so the stream moves once its handler returns.",
	BalanceDraining:   "The process is shutting down, so the stream moves once its handler returns.",
}

// ended says what became of a session that is not alive.
func (t *telling) ended(s Session) string {
	switch s.State {
	case SessionDead:
		return "ended at " + t.ago(s.Until)
	case SessionClosed:
		return "was closed"
	}
	return "is not there"
}

// soonRecovered says what happens to what a dead consumer holds.
func (t *telling) soonRecovered() string {
	switch {
	case t.living == 0:
		return t.nobody() + " Nobody recovers it until then."
	case !t.story.Settling.IsZero():
		return t.settling() + " Then it is recovered."
	}
	return "It is about to be recovered by another process, within a minute or so; if it is not, look at the logs of those that run."
}

func (t *telling) nobody() string {
	return fmt.Sprintf("No consumer of partition %d is alive: start a process of the service, or look at why none runs.", t.partition)
}

func (t *telling) settling() string {
	return fmt.Sprintf("The server of partition %d was replaced or restarted, so nobody takes a stream there until %s.", t.partition, t.in(t.story.Settling))
}

func (t *telling) whyRead() string {
	e := t.first(func(e *StreamEntry) bool { return e.Consumer != "" })
	read := fmt.Sprintf("Its announcement %s was read at %s by %s, which does not own it.", e.ID, t.ago(t.at.Add(-e.Idle)), plain(e.Consumer))
	switch {
	case t.living == 0:
		return read + " " + t.nobody()
	case !t.story.Settling.IsZero():
		return read + " " + t.settling()
	case t.living > 0 && !t.alive[e.Consumer]:
		return read + " The session of that one has ended. " + t.soonRecovered()
	case e.Idle < 10*time.Second:
		return read + " It is about to be acquired."
	}
	return read + " It is parked there until there is room, or until an earlier owner has let go: if this lasts, look at that process."
}

func (t *telling) whyWaiting() string {
	e := t.first(func(e *StreamEntry) bool { return e.undelivered })
	waits := fmt.Sprintf("It was announced at %s (entry %s) and was not delivered yet", t.ago(e.Announced), e.ID)
	switch t.story.Ahead {
	case -1:
	case 0:
		waits += "; it is the next"
	case 1:
		waits += "; one announcement is ahead of it"
	default:
		waits += fmt.Sprintf("; %d announcements are ahead of it", t.story.Ahead)
	}
	waits += "."
	switch {
	case t.living == 0:
		return waits + " " + t.nobody()
	case !t.story.Settling.IsZero():
		return waits + " " + t.settling()
	case t.living > 0 && t.taking[BalanceShares] == 0:
		return waits + fmt.Sprintf(" None of the %d consumers of partition %d takes streams (%s): add processes, or find out why not.", t.living, t.partition, t.states())
	}
	return waits + " Consumers read on as they have room. If this lasts, they are full or slow: see Balance and Backlog."
}

// states lists how many of the living consumers are in which state.
func (t *telling) states() string {
	var words []string
	for state, n := range t.taking {
		words = append(words, fmt.Sprintf("%d %s", n, state))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func (t *telling) whyDelayed() string {
	d := &t.story.Delayed[0]
	var why string
	switch {
	case d.Crashes > 0:
		why = fmt.Sprintf(" after %s of its owners and %s", counted(d.Crashes, "crash", "crashes"), counted(d.Retries, "retry", "retries"))
	case d.Retries > 0:
		why = " after " + counted(d.Retries, "retry", "retries")
	default:
		why = " by its producer or its handler"
	}
	if !d.Due.After(t.at) {
		text := "It was delayed" + why + " and is due since " + t.ago(d.Due) + "."
		if t.living == 0 {
			return text + " " + t.nobody()
		}
		return text + " It is about to be handed out."
	}
	return "It is delayed" + why + " until " + t.in(d.Due) + ". Bring it forward to have it handed out now."
}

// whyDead tells of dead letters, whatever else there is.
func (t *telling) whyDead() []string {
	if len(t.story.Letters) == 0 {
		return nil
	}
	l := &t.story.Letters[0]
	reason := "for a reason that is not on record"
	if l.Reason != "" {
		reason = fmt.Sprintf("for the reason %s", quoted(l.Reason))
	}
	when := "at an unknown time"
	if !l.At.IsZero() {
		when = "at " + t.ago(l.At)
	}
	if t.story.State == StreamDead {
		return []string{fmt.Sprintf("It was given up %s %s, after %s and %s: it is a dead letter.", when, reason, counted(l.Retries, "retry", "retries"),
			counted(l.Crashes, "crash", "crashes")), "Nothing happens until somebody sends it back, once the cause is removed, or drops it."}
	}
	return []string{fmt.Sprintf("It also has a dead letter, given up %s %s.", when, reason)}
}

func (t *telling) whyUnknown() string {
	if len(t.failed) > 0 {
		return "In what could be read there is nothing of it."
	}
	if len(t.story.Unread) > 0 {
		return "In what was looked through there is nothing of it, and not everything was: " + strings.Join(t.story.Unread, "; ") + "."
	}
	if t.story.Checkpoint != nil {
		return "Nothing of it is announced, and its checkpoint is not that of a stream that was done: its announcement was deleted by hand, or lost with a server. Announce it again."
	}
	return "Redis has nothing of it: it was done and has no checkpoint, or was never announced. Check the name and the service."
}

// first returns the oldest of its announcements that is such a one.
func (t *telling) first(is func(e *StreamEntry) bool) *StreamEntry {
	for n := range t.story.Entries {
		if e := &t.story.Entries[n]; is(e) {
			return e
		}
	}
	return &StreamEntry{}
}

const clock = "2006-01-02 15:04:05 UTC"

// ago writes a time in the past.
func (t *telling) ago(at time.Time) string {
	if at.IsZero() {
		return "an unknown time"
	}
	return at.UTC().Format(clock) + " (" + spoken(t.at.Sub(at)) + " ago)"
}

// in writes a time to come.
func (t *telling) in(at time.Time) string {
	if at.IsZero() {
		return "an unknown time"
	}
	return at.UTC().Format(clock) + " (in " + spoken(at.Sub(t.at)) + ")"
}

// spoken writes a duration in the greatest unit of which there are at least two.
func spoken(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "a moment"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " seconds"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " minutes"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " hours"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + more
}

// plain returns the name of a consumer as it is if it is one that engines use, and else in quotes.
func plain(name string) string {
	usual := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:@/", r)
	}
	if name != "" && len(name) <= 300 && strings.TrimFunc(name, usual) == "" {
		return name
	}
	return quoted(name)
}

// quoted returns text from outside, which may be anything, in quotes and cut.
func quoted(text string) string {
	const most = 200
	if len(text) > most {
		return strconv.QuoteToASCII(strings.ToValidUTF8(text[:most], "")) + "…"
	}
	return strconv.QuoteToASCII(text)
}
