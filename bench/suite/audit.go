package suite

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
	last    map[string]overlap.Record // of each stream that was owned in an earlier round
	without []time.Duration           // without an owner, after those that did not end their ownership
	entries []journal.Entry           // of the last round, by stream and time
	found   found
}

// found is what journals tell.
type found struct {
	Ownerships int
	Done       int // calls of Done that succeeded
	Unknown    int // calls of Done of which nobody knows whether they did: no answer came, or not before the pod was killed
	Failed     int
	HandedBack int
	Recovered  int      // ownerships that their owners did not end, and that another one followed
	Again      int      // calls of Done that succeeded beyond the first of an announcement
	Lost       int      // announcements for which there is no call of Done that did, or may have
	LostOf     []string // some of their streams
	Overlaps   string   // two owners, or falling tokens; empty: neither
}

// add takes the journals of a round at the end of which nobody owned anything. announced is how often each stream was,
// stream its name.
func (a *audit) add(journals []*journal.Journal, announced map[int]int, stream func(int) string) error {
	a.entries = nil
	for _, j := range journals {
		if j.Full() {
			return fmt.Errorf("the journal of %s is full, so who owned what is not known", j.Party())
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
		a.found.Overlaps = err.Error()
	}
	a.count(announced, stream)
	a.follow()
	return nil
}

func (a *audit) count(announced map[int]int, stream func(int) string) {
	a.found.Ownerships += len(a.entries)
	type announcement struct{ stream, work int }
	done, unknown := make(map[announcement]int), make(map[announcement]bool)
	for _, e := range a.entries {
		which := announcement{e.Number, e.Work}
		switch e.State {
		case journal.Finished:
			a.found.Done++
			done[which]++
		case journal.Ending:
			a.found.Unknown++
			unknown[which] = true
		case journal.Failed:
			a.found.Failed++
		case journal.Given:
			a.found.HandedBack++
		}
	}
	for _, number := range slices.Sorted(maps.Keys(announced)) {
		lost := 0
		for work := range announced[number] {
			which := announcement{number, work + 1}
			a.found.Again += max(0, done[which]-1)
			if done[which] == 0 && !unknown[which] {
				lost++
			}
		}
		a.found.Lost += lost
		if lost > 0 && len(a.found.LostOf) < maxLostOf {
			a.found.LostOf = append(a.found.LostOf, stream(number))
		}
	}
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
			a.found.Recovered++
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
