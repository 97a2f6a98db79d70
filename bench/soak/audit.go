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

// maxLostOf is how many streams that were lost are named.
const maxLostOf = 20

// audit holds what pods wrote in their journals against what was announced, one round after the other.
type audit struct {
	last     map[string]overlap.Record // of each stream that was owned in an earlier round
	without  []time.Duration           // without an owner, after those that did not end their ownership
	entries  []journal.Entry           // of the last round, by stream and time
	missed   []announcement            // of the last round, those that are lost
	findings findings
}

// found is what journals tell.
type findings struct {
	Ownerships int
	Done       int // calls of Done that succeeded
	Unknown    int // calls of Done of which nobody knows whether they did: no answer came, or not before the pod was killed
	Failed     int
	HandedBack int
	Recovered  int            // ownerships that their owners did not end, and that another one followed
	Again      int            // calls of Done that succeeded beyond the first of an announcement
	Excused    map[string]int // announcements that nobody was done with, and nobody need have been, by the reason
	Letters    int            // announcements that became dead letters, as they may
	Lost       int            // announcements for which there is no call of Done that did, or may have
	LostOf     []string       // some of their streams
	Overlaps   string         // two owners, or falling tokens; empty: neither
}

// known is what is known of a round besides what is in journals.
type facts struct {
	announced map[int]int                                            // how often each stream was
	stream    func(int) string                                       // its name
	poisoned  map[announcement]bool                                  // those that may become dead letters
	letters   map[announcement]bool                                  // those that did
	excuse    func(which announcement, owned []journal.Entry) string // why nobody was done with it; nil: there are no excuses
}

// add takes the journals of a round at the end of which nobody owned anything. unaccounted is how many announcements that may be
// dead letters are neither done nor one that can be told.
func (a *audit) add(journals []*journal.Journal, t facts) (unaccounted int, err error) {
	a.entries, a.missed = nil, nil
	for _, j := range journals {
		if j.Full() {
			return 0, fmt.Errorf("the journal of %s is full, so who owned what is not known", j.Party())
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

// write writes what was owned in the last round, as people read it.
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
