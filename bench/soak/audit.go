package soak

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/overlap"
)

// maxLostOf is about how many streams of lost announcements are named.
const maxLostOf = 20

// audit checks the journals of pods against what was announced, one round after the other.
type audit struct {
	last     map[string]overlap.Record // by stream: the last ownership in earlier rounds
	without  []time.Duration           // how long streams had no owner after one that did not end its ownership
	entries  []journal.Entry           // of the last round, by stream and time
	missed   []announcement            // announcements of the last round that are lost
	findings findings
}

// findings are what the journals show.
type findings struct {
	Ownerships int
	Done       int // calls of Done that succeeded
	Unknown    int // calls of Done with an unknown outcome: no answer came, or the pod was killed before it came
	Failed     int
	HandedBack int
	Recovered  int            // ownerships that their owners did not end and that another one followed
	Again      int            // calls of Done that succeeded, beyond the first for an announcement
	Excused    map[string]int // announcements that nobody finished and nobody had to finish, by reason
	Letters    int            // announcements that became dead letters, which is allowed
	Lost       int            // announcements without a call of Done that succeeded or may have
	LostOf     []string       // some of the streams of lost announcements
	Overlaps   string         // two owners, or falling tokens; empty: neither
}

// facts are what is known of a round besides the journals.
type facts struct {
	announced map[int]int                                            // by stream: how often it was announced
	stream    func(int) string                                       // name of a stream
	poisoned  map[announcement]bool                                  // poison announcements, which may become dead letters
	letters   map[announcement]bool                                  // announcements that became dead letters
	excuse    func(which announcement, owned []journal.Entry) string // why nobody had to finish it, empty: no excuse; nil: there are none
}

// add checks the journals of a round at the end of which nobody owned anything. unaccounted counts the poison announcements that are
// neither done nor a dead letter that can be identified.
func (a *audit) add(journals []*journal.Journal, t facts) (unaccounted int, err error) {
	a.entries, a.missed = nil, nil
	for _, j := range journals {
		if j.Full() {
			return 0, fmt.Errorf("the journal of %s is full, so ownerships may be missing", j.Party())
		}
		a.entries = append(a.entries, j.Read()...)
	}
	slices.SortFunc(a.entries, func(a, b journal.Entry) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.From, b.From), cmp.Compare(a.Token, b.Token))
	})
	records := make([]overlap.Record, 0, len(a.last)+len(a.entries))
	for _, r := range a.last {
		records = append(records, r)
	}
	for _, e := range a.entries {
		records = append(records, e.Record)
	}
	if err := overlap.Check(records); err != nil {
		a.findings.Overlaps = err.Error()
	}
	unaccounted = a.count(t)
	a.follow()
	return unaccounted, nil
}

func (a *audit) count(t facts) (unaccounted int) {
	a.findings.Ownerships += len(a.entries)
	done, unknown := make(map[announcement]int), make(map[announcement]bool)
	owned := make(map[announcement][]journal.Entry)
	for _, e := range a.entries {
		which := announcement{e.Number, e.Work}
		owned[which] = append(owned[which], e)
		switch e.State {
		case journal.Finished:
			a.findings.Done++
			done[which]++
		case journal.Ending:
			a.findings.Unknown++
			unknown[which] = true
		case journal.Failed:
			a.findings.Failed++
		case journal.Given:
			a.findings.HandedBack++
		}
	}
	for _, number := range slices.Sorted(maps.Keys(t.announced)) {
		lost := 0
		for work := range t.announced[number] {
			which := announcement{number, work + 1}
			a.findings.Again += max(0, done[which]-1)
			if done[which] > 0 || unknown[which] {
				continue
			}
			why := ""
			if t.excuse != nil {
				why = t.excuse(which, owned[which])
			}
			switch {
			case t.poisoned[which] && t.letters[which]:
				a.findings.Letters++
			case why != "":
				if a.findings.Excused == nil {
					a.findings.Excused = make(map[string]int)
				}
				a.findings.Excused[why]++
			case t.poisoned[which]:
				unaccounted++
			default:
				lost++
				a.missed = append(a.missed, which)
			}
		}
		a.findings.Lost += lost
		if lost > 0 && len(a.findings.LostOf) < maxLostOf {
			a.findings.LostOf = append(a.findings.LostOf, t.stream(number))
		}
	}
	return unaccounted
}

// follow looks at who owned each stream after whom.
func (a *audit) follow() {
	if a.last == nil {
		a.last = make(map[string]overlap.Record)
	}
	for i, e := range a.entries {
		a.last[e.Stream] = e.Record
		if i == 0 {
			continue
		}
		if before := a.entries[i-1]; before.Number == e.Number && before.State == journal.Owned {
			a.findings.Recovered++
			a.without = append(a.without, e.From-before.Until)
		}
	}
}

// write writes the ownerships of the last round as text.
func (a *audit) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	for _, e := range a.entries {
		fmt.Fprintf(out, "%v: announcement %d %v\n", e.Record, e.Work, e.State)
	}
	return errors.Join(out.Flush(), f.Close())
}
