package notice

import (
	"slices"
	"time"

	"github.com/streamlease/streamlease/cluster"
)

const (
	// MinWindow is the least length of a window, since announced times of 2 s, 0 and less occur.
	MinWindow = 10 * time.Second

	// longest is how many times its length a window stays open if its completion does not come.
	longest = 3

	// replayed is how long after an opt-in a completion may be an old one, repeated.
	replayed = 2 * time.Second

	// remembered is how long announcements are remembered: longer than any window, and longer than a node takes to come
	// back and repeat them.
	remembered = 15 * time.Minute

	// maxWindows is how many windows are kept apart. If there are more, a new one covers the whole service.
	maxWindows = 64

	// maxSeen is how many numbers are remembered at most.
	maxSeen = 4096
)

// Window is one maintenance window.
type Window struct {
	Kind     Kind // of the notice that opened it: a beginning
	Seq      int64
	Node     string          // that announced it first, which is often not the one affected
	Endpoint string          // see Notice
	Shards   []string        // those not completed; empty: all, as far as is known
	Slots    cluster.SlotSet // likewise
	Opened   time.Time
	In       time.Duration // as announced; see Notice
	Length   time.Duration // In, within limits
	Until    time.Time     // when it ends without a completion

	generation int // of the sequence that Seq belongs to
}

// Covers reports whether the window may affect a slot: only moving slots are announced by number, so every other window
// affects the whole service.
func (w *Window) Covers(slot uint16) bool {
	return w.Kind != SlotsMoving || w.Slots.Len() == 0 || w.Slots.Has(slot)
}

// Change is a change that a notice, or the passing of time, has made.
type Change struct {
	// Window is the window as it is now; one that has ended is as it was just before, since what is left of it covers nothing
	// and would be taken for a window that covers everything. With Partial, its Slots are those that have ended.
	Window    Window
	Open      bool // it was opened, or announced again under a new number; false: it has ended
	Completed bool // a notice ended it; false: its time was up
	Partial   bool // it goes on for other slots
}

// Tracker turns what nodes announce into windows. It is passive: now is an argument, and must never go back. Not safe for
// concurrent use.
type Tracker struct {
	most    time.Duration
	numbers sequence
	seen    map[seenKey]time.Time // when it counted last
	ended   []ending
	windows []Window
	forgot  time.Time // when old records were last dropped
}

type seenKey struct {
	kind Kind
	seq  int64
}

// ending is a completion that was seen.
type ending struct {
	at         time.Time
	generation int
	Notice
}

// Effect is what came of a notice.
type Effect uint8

const (
	Began    Effect = iota + 1 // it opened a window, or prolonged one
	Ended                      // it ended a window, or some of one, or showed that one was missed
	Repeated                   // it was known
	Outdated                   // it came too late to matter: a completion of long ago, or a beginning of what is over
)

var effectNames = [...]string{Began: "began", Ended: "ended", Repeated: "repeated", Outdated: "outdated"}

// String returns the name of the constant in lower case.
func (e Effect) String() string {
	if e == 0 || int(e) >= len(effectNames) {
		return "invalid"
	}
	return effectNames[e]
}

// NewTracker returns a tracker whose windows have a length of at most most.
func NewTracker(most time.Duration) *Tracker {
	return &Tracker{most: most, seen: make(map[seenKey]time.Time)}
}

// Take processes a notice from a node that was asked for notices at since, and returns what has changed: nothing for a notice
// that is already known, or out of date.
func (t *Tracker) Take(now time.Time, node string, since time.Time, n Notice) ([]Change, Effect) {
	t.forget(now)
	key := seenKey{n.Kind, n.Seq}
	horizon := horizon(now, since)
	if at, known := t.seen[key]; known && n.Seq >= 0 && now.Sub(at) < horizon {
		return nil, Repeated
	}
	begun := n.Kind.completes()
	if begun != 0 && now.Sub(since) < replayed && !t.endsSome(begun, &n) {
		return nil, Outdated // not remembered: the same from another node may be new
	}
	t.numbers.take(now, since, n.Seq)
	if begun != 0 {
		t.remember(now, key)
		return t.complete(now, begun, node, n), Ended
	}
	w, over := t.window(now, horizon, node, n)
	if over {
		return nil, Outdated // not remembered: on an older connection it may be new
	}
	t.remember(now, key)
	return t.begin(w), Began
}

// remember records that a notice counted.
func (t *Tracker) remember(now time.Time, key seenKey) {
	if key.seq < 0 {
		return
	}
	if len(t.seen) >= maxSeen {
		clear(t.seen)
	}
	t.seen[key] = now
}

// Generation returns how often the numbers of notices have begun again.
func (t *Tracker) Generation() int { return t.numbers.generation }

// endsSome reports whether a completion ends some of an open window.
func (t *Tracker) endsSome(begun Kind, n *Notice) bool {
	return slices.ContainsFunc(t.windows, func(w Window) bool {
		return w.Kind == begun && t.precedes(&w, n) && w.without(n) != whole
	})
}

// precedes reports whether the window's beginning is earlier than a completion, as far as is known.
func (t *Tracker) precedes(w *Window, n *Notice) bool {
	return w.Seq < 0 || n.Seq < 0 || w.Seq < n.Seq || w.generation != t.numbers.generation
}

// remains is how much of a window a completion leaves.
type remains uint8

const (
	none remains = iota
	some
	whole
)

// without removes from the window what a completion covers, and returns how much is left. If either does not say what it
// covers, the completion covers all of the window.
func (w *Window) without(n *Notice) remains {
	switch before := w.Slots.Len(); {
	case n.Kind == SlotsMoved && before > 0 && n.Slots.Len() > 0:
		remove(&w.Slots, &n.Slots)
		return left(before, w.Slots.Len())
	case n.Kind != SlotsMoved && len(w.Shards) > 0 && len(n.Shards) > 0:
		before := len(w.Shards)
		w.Shards = slices.DeleteFunc(slices.Clone(w.Shards), func(s string) bool { return slices.Contains(n.Shards, s) })
		return left(before, len(w.Shards))
	}
	return none
}

func left(before, after int) remains {
	switch after {
	case 0:
		return none
	case before:
		return whole
	}
	return some
}

// window returns the window that a beginning opens, without what was completed since, and reports whether that is all of it:
// one node may announce late what others have already announced the end of.
func (t *Tracker) window(now time.Time, horizon time.Duration, node string, n Notice) (w Window, over bool) {
	w = Window{
		Kind: n.Kind, Seq: n.Seq, Node: node, Endpoint: n.Endpoint, Shards: n.Shards, Slots: n.Slots,
		Opened: now, In: n.In, Length: max(MinWindow, min(n.In, t.most)), generation: t.numbers.generation,
	}
	w.Until = now.Add(w.Length)
	if n.Kind != Moving {
		w.Until = now.Add(longest * w.Length)
	}
	for i := range t.ended {
		e := &t.ended[i]
		later := e.generation == w.generation && e.Seq > n.Seq && n.Seq >= 0 && now.Sub(e.at) < horizon
		if later && e.Kind.completes() == n.Kind && w.without(&e.Notice) == none {
			return w, true
		}
	}
	return w, false
}

// begin opens a window.
func (t *Tracker) begin(w Window) []Change {
	var changes []Change
	for i := range t.windows {
		// Announced again, without a number or under a new one: it stays one window, with the later end.
		if o := &t.windows[i]; o.Kind == w.Kind && slices.Equal(o.Shards, w.Shards) && o.Slots == w.Slots && o.Endpoint == w.Endpoint {
			w.Opened = o.Opened
			w.Length = max(w.Length, o.Length)
			if o.Until.After(w.Until) {
				w.Until = o.Until
			}
			w.Node = o.Node
			news := w.Seq >= 0 && w.Seq != o.Seq
			if w.Seq < 0 {
				w.Seq = o.Seq
			}
			*o = w
			if news {
				return []Change{{Window: w, Open: true}}
			}
			return nil
		}
	}
	if len(t.windows) == maxWindows {
		changes = append(changes, Change{Window: t.windows[0]})
		t.windows = slices.Delete(t.windows, 0, 1)
		w.Shards, w.Slots = nil, cluster.SlotSet{}
	}
	t.windows = append(t.windows, w)
	return append(changes, Change{Window: w, Open: true})
}

// complete ends what a completion covers. What it covers and no window does is reported, too: something has changed there, and
// the beginning was missed. Of slots, each completion is reported, so that each is acted on once, for its slots alone. Which
// slots a shard has is not known, so shards are reported when the last of a window is completed.
func (t *Tracker) complete(now time.Time, begun Kind, node string, n Notice) (changes []Change) {
	t.ended = append(t.ended, ending{now, t.numbers.generation, n})
	if len(t.ended) > maxWindows {
		t.ended = slices.Delete(t.ended, 0, 1)
	}
	heard, missed := false, n.Slots
	var open []Window
	for _, w := range t.windows {
		if w.Kind != begun || !t.precedes(&w, &n) {
			open = append(open, w)
			continue
		}
		was := w
		remains := w.without(&n)
		if remains != whole {
			heard = true
			remove(&missed, &was.Slots)
		}
		if remains == none {
			if was.Slots.Len() == 0 {
				missed = cluster.SlotSet{} // the window covered all slots
			}
			changes = append(changes, Change{Window: was, Completed: true})
			continue
		}
		if remains == some && n.Kind == SlotsMoved {
			remove(&was.Slots, &w.Slots)
			changes = append(changes, Change{Window: was, Completed: true, Partial: true})
		}
		open = append(open, w)
	}
	t.windows = open
	if !heard || missed.Len() > 0 {
		w := Window{Kind: begun, Seq: n.Seq, Node: node, Shards: n.Shards, Slots: missed, Opened: now, Until: now}
		changes = append(changes, Change{Window: w, Completed: true})
	}
	return changes
}

// Expire ends the windows whose time is up.
func (t *Tracker) Expire(now time.Time) (changes []Change) {
	t.windows = slices.DeleteFunc(t.windows, func(w Window) bool {
		if now.Before(w.Until) {
			return false
		}
		changes = append(changes, Change{Window: w})
		return true
	})
	return changes
}

// Next returns when Expire has something to do; false if no window is open.
func (t *Tracker) Next() (at time.Time, open bool) {
	for _, w := range t.windows {
		if at.IsZero() || w.Until.Before(at) {
			at = w.Until
		}
	}
	return at, len(t.windows) > 0
}

// Windows returns a copy of the open windows.
func (t *Tracker) Windows() []Window { return slices.Clone(t.windows) }

// forget drops records of what was seen long ago.
func (t *Tracker) forget(now time.Time) {
	if now.Sub(t.forgot) < remembered/10 {
		return
	}
	t.forgot = now
	for key, at := range t.seen {
		if now.Sub(at) > remembered {
			delete(t.seen, key)
		}
	}
	t.ended = slices.DeleteFunc(t.ended, func(e ending) bool { return now.Sub(e.at) > remembered })
}
