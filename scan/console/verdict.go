package console

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/scan"
)

const (
	// longWait is from when on an announcement that nobody reads is a problem. A fleet that keeps up reads within a second.
	longWait = 10 * time.Second
	// badWait is from when on it is a bad one.
	badWait = time.Minute
	// longOver is for how long a process holds too much before that is a problem. A fleet evens itself out after some 3 min.
	longOver = 5 * time.Minute
	// mostNamed is how many processes a problem names.
	mostNamed = 3
)

// level is how bad a problem is.
type level int

const (
	note level = iota // somebody meant it, or it passes
	warn              // look at it today
	bad               // look at it now
)

// String returns the name of a level, as style sheets know it.
func (l level) String() string { return [...]string{"note", "warn", "bad"}[l] }

// Word is the name of a level, for people.
func (l level) Word() string { return [...]string{"for your information", "look at it", "act now"}[l] }

// problem is something that is not as it usually is.
type problem struct {
	Level level
	Text  string   // what, with numbers and units
	Names []string // of processes
	More  int      // how many are not named
	Do    string   // what to do, or what happens by itself
	Page  string   // where to look
	Link  string   // what that page is called

	Unread bool // it is that something could not be read
}

// verdict lists what is wrong, the worst first. It is passive.
func verdict(s *sample) []problem {
	var all []problem
	for _, look := range []func(s *sample) []problem{
		unreadable, deadProcesses, waiting, odd, letters, uneven, settling, wished, older,
	} {
		all = append(all, look(s)...)
	}
	slices.SortStableFunc(all, func(a, b problem) int { return int(b.Level) - int(a.Level) })
	return all
}

func one(p problem) []problem { return []problem{p} }

func unreadable(s *sample) []problem {
	if s.Err == nil {
		return nil
	}
	what, do := explain(s.Err)
	if s.Known {
		what = "Not all could be read, so numbers may be too small: " + what
	}
	return one(problem{Level: bad, Text: what, Do: do, Page: "maintenance", Link: "Maintenance", Unread: true})
}

func deadProcesses(s *sample) []problem {
	dead := s.deaths()
	if len(dead) == 0 {
		return nil
	}
	p := problem{Level: warn, Page: "fleet", Link: "Fleet",
		Do: "Others recover it within seconds, unless no process is alive or its partitions settle."}
	pending, since := 0, time.Time{}
	for _, d := range dead {
		pending += d.pending
		if since.IsZero() || !d.since.IsZero() && d.since.Before(since) {
			since = d.since
		}
		if len(p.Names) < mostNamed {
			p.Names = append(p.Names, d.name)
		} else {
			p.More++
		}
	}
	p.Text = fmt.Sprintf("%s died and %s not recovered yet; %s pending for %s.", plural(len(dead), "process"), verb(len(dead), "is", "are"),
		plural(pending, "announcement"), verb(len(dead), "it", "them"))
	if age := s.now().Sub(since); !since.IsZero() && age > longWait {
		p.Level = bad
		p.Text = strings.TrimSuffix(p.Text, ".") + fmt.Sprintf(", the longest for %s.", span(age))
		p.Do = "That should have taken seconds. Look at the log of the processes that are alive."
	}
	return one(p)
}

func verb(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

func waiting(s *sample) []problem {
	t := s.Total()
	if s.Known && s.Alive() == 0 {
		if t.Length+t.Later == 0 {
			return one(problem{Level: note, Text: "No process is alive. Nothing waits for one.", Page: "fleet", Link: "Fleet"})
		}
		return one(problem{Level: bad, Text: fmt.Sprintf("No process is alive. %s in the input streams, %s delayed.", announcements(t.Length), count(t.Later)),
			Do: "Start the fleet. If it runs, look at its log: it may not reach Redis, or use another service name or database.", Page: "fleet", Link: "Fleet"})
	}
	if t.OldestWaiting < longWait || t.Lag == 0 {
		return nil
	}
	p := problem{Level: warn, Page: "partitions", Link: "Partitions",
		Text: fmt.Sprintf("%s to be read, the oldest for %s.", wait(t.Lag), span(t.OldestWaiting)),
		Do:   "The fleet lacks room: processes are full, paused or behind, or there are too few."}
	if t.OldestWaiting >= badWait {
		p.Level = bad
	}
	return one(p)
}

func wait(n int) string          { return plural(n, "announcement") + verb(n, " waits", " wait") }
func announcements(n int) string { return plural(n, "announcement") + verb(n, " is", " are") }

func odd(s *sample) (all []problem) {
	t := s.Total()
	if t.Stranded > 0 {
		all = append(all, problem{Level: warn, Page: "maintenance", Link: "Maintenance",
			Text: fmt.Sprintf("%s neither pending nor undelivered, so nobody gets %s, unless a dead letter refers to %s.",
				announcements(t.Stranded), verb(t.Stranded, "it", "them"), verb(t.Stranded, "it", "them")),
			Do: "Somebody acknowledged them, or removed a consumer, by hand. Reannounce requeues them."})
	}
	if t.WithoutBody > 0 {
		all = append(all, problem{Level: warn, Page: "partitions", Link: "Partitions",
			Text: announcements(t.WithoutBody) + " pending without a body.",
			Do:   "Somebody deleted or trimmed them in the input stream. Announce their streams again."})
	}
	return all
}

func letters(s *sample) []problem {
	n := s.Total().DeadLetters
	if n == 0 {
		return nil
	}
	p := problem{Level: warn, Page: "letters", Link: "Dead letters",
		Text: fmt.Sprintf("%s: %s given up on.", plural(n, "dead letter"), verb(n, "its stream was", "their streams were")),
		Do:   "Read the reasons, mend the cause, and send them back."}
	if s.NewLetters > 0 {
		p.Level = bad
		p.Text += fmt.Sprintf(" %s came in the last %s.", count(s.NewLetters), span(s.At.Sub(s.WatchedSince)))
	}
	return one(p)
}

func uneven(s *sample) []problem {
	p := problem{Level: warn, Page: "fleet", Link: "Fleet"}
	longest := time.Duration(0)
	for _, process := range s.Balance.Processes {
		over := s.now().Sub(process.Over)
		if process.Dead || process.Over.IsZero() || over < longOver {
			continue
		}
		longest = max(longest, over)
		if len(p.Names) < mostNamed {
			p.Names = append(p.Names, process.Name)
		} else {
			p.More++
		}
	}
	n := len(p.Names) + p.More
	if n == 0 {
		return nil
	}
	p.Text = fmt.Sprintf("Shares are uneven: %s more than %s share, the longest for %s.", plural(n, "process")+verb(n, " holds", " hold"),
		verb(n, "its", "their"), span(longest))
	p.Do = "A fleet evens itself out within minutes, once none has joined or left for two. If not, it is frozen, others take nothing, or handlers do not end when they are told to release."
	return one(p)
}

func settling(s *sample) []problem {
	now, n, until := s.now(), 0, time.Time{}
	for _, at := range s.Settling {
		if at.After(now) {
			if n++; at.After(until) {
				until = at
			}
		}
	}
	if n == 0 {
		return nil
	}
	return one(problem{Level: note, Page: "maintenance", Link: "Maintenance",
		Text: fmt.Sprintf("%s after a change of server, for %s more.", plural(n, "partition")+verb(n, " settles", " settle"), span(until.Sub(now))),
		Do:   "Streams that are owned go on. Nobody is declared dead, and nothing free is taken, until then."})
}

func wished(s *sample) (all []problem) {
	if until := s.Balance.FrozenUntil; !until.IsZero() {
		all = append(all, problem{Level: note, Page: "maintenance", Link: "Maintenance",
			Text: fmt.Sprintf("Frozen for %s more: no stream is moved to even out shares.%s", span(until.Sub(s.now())), because(s.Wishes, ""))})
	}
	byState := make(map[scan.BalanceState][]string)
	for _, p := range s.Balance.Processes {
		if !p.Dead && p.State != scan.BalanceShares {
			byState[p.State] = append(byState[p.State], p.Name)
		}
	}
	for _, state := range []scan.BalanceState{scan.BalanceBehind, scan.BalanceFull, scan.BalancePaused, scan.BalanceEvacuating, scan.BalanceDraining} {
		names := byState[state]
		if len(names) == 0 {
			continue
		}
		p := problem{Level: note, Names: names[:min(len(names), mostNamed)], More: max(0, len(names)-mostNamed), Page: "fleet", Link: "Fleet",
			Text: fmt.Sprintf("%s %s: %s.", plural(len(names), "process"), verb(len(names), "is "+stateText(state), "are "+stateText(state)), stateMeaning(state))}
		if state == scan.BalanceBehind {
			p.Level = warn
		}
		all = append(all, p)
	}
	return all
}

// because returns the reason of the wish that is meant for all, or for a consumer.
func because(wishes []scan.Wish, consumer string) string {
	for _, w := range wishes {
		if w.Consumer == consumer && w.Reason != "" {
			return " Reason: " + short(w.Reason)
		}
	}
	return ""
}

func older(s *sample) []problem {
	if s.Balance.Older == 0 {
		return nil
	}
	n := s.Balance.Older
	return one(problem{Level: note, Page: "fleet", Link: "Fleet",
		Text: fmt.Sprintf("%s of an earlier version, which says nothing of what it holds.", plural(n, "process")+verb(n, " is", " are"))})
}

func stateText(state scan.BalanceState) string {
	switch state {
	case scan.BalanceShares:
		return "sharing"
	case scan.BalanceFull, scan.BalanceBehind, scan.BalancePaused, scan.BalanceEvacuating, scan.BalanceDraining:
		return string(state)
	}
	return "in a state that this version does not know"
}

func stateMeaning(state scan.BalanceState) string {
	switch state {
	case scan.BalanceFull:
		return "it holds as many streams as its program allows (WithMaxStreams)"
	case scan.BalanceBehind:
		return "its handlers or its renewals do not keep up, so it takes no more"
	case scan.BalancePaused:
		return "it takes no more streams, and keeps those that it holds"
	case scan.BalanceEvacuating:
		return "it hands back what it holds, and goes on running"
	case scan.BalanceDraining:
		return "it hands back what it holds, and stops"
	case scan.BalanceShares:
		return "it takes its share"
	}
	return "a later version says so"
}

// storyLevel tells how bad a state is.
func storyLevel(state scan.StreamState) string {
	switch state {
	case scan.StreamOwned, scan.StreamDone:
		return "fine"
	case scan.StreamDead, scan.StreamStranded:
		return "bad"
	case scan.StreamWaiting, scan.StreamRead:
		return "warn"
	}
	return "note"
}
