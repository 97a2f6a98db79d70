package soak

import (
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/test/journal"
)

// Reasons for which an announcement may be lost that an operator tampered with.
const (
	excuseWaiting = "before it was delivered"
	excuseRead    = "delivered and not held yet"
	excuseKilled  = "held by a pod that was killed"
	excuseTrouble = "held by a pod that was in trouble"
)

// interval is a time in which something was in trouble, on the clock of the journals.
type interval struct{ from, until time.Duration }

// overlaps reports whether one of the intervals overlaps the time between from and until.
func overlaps(intervals []interval, from, until time.Duration) bool {
	for _, s := range intervals {
		if s.from <= until && s.until >= from {
			return true
		}
	}
	return false
}

// excuse is why an announcement that was never done may be lost: an operator tampered with its entry while nobody held it, or the pod
// of its owner was killed, or may have lost its session before it noticed that the entry was missing. Empty: there is no excuse. owned
// are the ownerships of this announcement.
func (r *round) excuse(which announcement, owned []journal.Entry) string {
	if r.operator == nil {
		return ""
	}
	a, ok := r.operator.last[which]
	if !ok {
		return ""
	}
	last := a.until
	for _, e := range owned {
		if e.From > a.until && e.Token > a.token {
			return "" // it was owned again afterwards
		}
		if e.Token == a.token {
			last = max(last, e.Until)
		}
	}
	switch a.was {
	case waiting:
		return excuseWaiting
	case read:
		return excuseRead
	}
	p, x := r.podOf(a.consumer)
	switch {
	case x == nil || x.Killed:
		return excuseKilled
	case overlaps(p.troubled, a.from, last+2*r.options.SessionTTL), r.outages.during(a.from, last+2*r.options.SessionTTL):
		return excuseTrouble
	}
	return ""
}

// excused reports whether a stranded entry may be lost: an operator tampered with this very entry, and there is an excuse for its
// announcement if that can be read. Nobody can hold what cannot be read.
func (r *round) excused(l strandedEntry, owned map[announcement][]journal.Entry) bool {
	if r.operator == nil {
		return false
	}
	a, ok := r.operator.entries[l.input+" "+l.id]
	if !ok || a.which != l.which {
		return false
	}
	return l.which == (announcement{}) || r.excuse(l.which, owned[l.which]) != ""
}

// erased reports whether an operator deleted the entry that a dead letter refers to.
func (r *round) erased(l letter) bool {
	return r.operator != nil && r.operator.gone[r.store.layout.Keys(l.partition).Input+" "+l.reference]
}

// ownershipsOf returns the ownerships in journals by announcement.
func ownershipsOf(journals []*journal.Journal) map[announcement][]journal.Entry {
	all := make(map[announcement][]journal.Entry)
	for _, j := range journals {
		for _, e := range j.Read() {
			which := announcement{e.Number, e.Work}
			all[which] = append(all[which], e)
		}
	}
	return all
}

// podOf returns the pod of a consumer and its place; nil: it is none of ours.
func (r *round) podOf(consumer string) (*place, *pod.Pod) {
	for _, p := range r.places {
		for _, x := range p.all {
			// The name of the pod is followed by a random suffix.
			if suffix, ok := strings.CutPrefix(consumer, x.Journal.Party()+"."); ok && !strings.Contains(suffix, ".") {
				return p, x
			}
		}
	}
	return nil, nil
}
