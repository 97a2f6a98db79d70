package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/scan"
)

const (
	// mostPoints is how many samples a chart has. With more, every second one is left out, and it spans twice the time.
	mostPoints = 360
	// mostMoves is how much the journal has.
	mostMoves = 60
	// mostTracked is how many processes are followed; those beyond are part of the sum of the others.
	mostTracked = 500
	// mostLines is how many of them have a line of their own.
	mostLines = 12
)

// move is something that happened to the fleet while somebody watched.
type move struct {
	At   time.Time
	Name string // of the process; empty: all
	What string
}

// point is what processes held at one moment.
type point struct {
	at     time.Time
	held   map[string]int
	others int  // held by those that are not in it
	more   int  // how many those are
	after  bool // nobody watched before it
}

// history is what the sampler remembers of earlier samples. It is passive.
type history struct {
	points []point
	latest point  // of the last sample, which may not be one of points
	moves  []move // oldest first
	skip   int    // of so many samples, one is kept
	seen   int
	gap    bool
	fleet  map[string]scan.Process
	frozen time.Time
	// letters is how many dead letters there were at since, when somebody began to watch.
	letters int
	since   time.Time
}

// interrupted says that nobody has watched until now.
func (h *history) interrupted() { h.gap, h.fleet, h.since = true, nil, time.Time{} }

// add takes in a sample. One that is not complete says nothing of who has gone.
func (h *history) add(s *sample) {
	if !s.Known || s.Err != nil {
		return
	}
	h.compare(s)
	if n := s.Total().DeadLetters; h.since.IsZero() || n < h.letters {
		h.letters, h.since = n, s.At
	}
	s.NewLetters, s.WatchedSince = s.Total().DeadLetters-h.letters, h.since
	p := point{at: s.At, held: make(map[string]int), after: h.gap && len(h.points) > 0}
	for n, process := range s.Balance.Processes {
		if n < mostTracked {
			p.held[process.Name] = process.Held
		} else {
			p.others, p.more = p.others+process.Held, p.more+1
		}
	}
	h.latest = p
	h.skip = max(h.skip, 1)
	h.seen++
	if h.seen%h.skip != 0 && !h.gap {
		return
	}
	h.gap = false
	h.points = append(h.points, p)
	if len(h.points) >= mostPoints {
		kept := h.points[:0]
		for i, p := range h.points {
			if i%2 == 0 || p.after {
				kept = append(kept, p)
			}
		}
		clear(h.points[len(kept):])
		h.points, h.skip = kept, h.skip*2
	}
}

// compare notes what has changed since the sample before.
func (h *history) compare(s *sample) {
	fleet := make(map[string]scan.Process, len(s.Balance.Processes))
	for _, p := range s.Balance.Processes {
		fleet[p.Name] = p
	}
	if h.fleet != nil {
		for _, name := range slices.Sorted(maps.Keys(fleet)) {
			p := fleet[name]
			before, known := h.fleet[name]
			switch {
			case !known:
				h.note(s.At, name, "appeared")
			case p.Dead && !before.Dead:
				h.note(s.At, name, fmt.Sprintf("died, holding %s", plural(before.Held, "stream")))
			case p.State != before.State:
				h.note(s.At, name, fmt.Sprintf("was %s, is %s", stateText(before.State), stateText(p.State)))
			case p.Weight != before.Weight:
				h.note(s.At, name, fmt.Sprintf("had weight %s, has %s", number(before.Weight), number(p.Weight)))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(h.fleet)) {
			if _, still := fleet[name]; !still {
				h.note(s.At, name, fmt.Sprintf("went; it last held %s", plural(h.fleet[name].Held, "stream")))
			}
		}
		if h.frozen.IsZero() != s.Balance.FrozenUntil.IsZero() {
			h.note(s.At, "", map[bool]string{true: "streams may move again", false: "frozen: no stream is moved"}[s.Balance.FrozenUntil.IsZero()])
		}
	}
	h.fleet, h.frozen = fleet, s.Balance.FrozenUntil
}

func (h *history) note(at time.Time, name, what string) {
	h.moves = append(h.moves, move{At: at, Name: name, What: what})
	if len(h.moves) > mostMoves {
		h.moves = slices.Delete(h.moves, 0, len(h.moves)-mostMoves)
	}
}

// journal returns the moves, newest first.
func (h *history) journal() []move {
	moves := slices.Clone(h.moves)
	slices.Reverse(moves)
	return moves
}

// drawn are the points of the chart: those that are remembered, and the latest.
func (h *history) drawn() []point {
	n := len(h.points)
	if n > 0 && h.latest.at.After(h.points[n-1].at) {
		return append(h.points[:n:n], h.latest)
	}
	return h.points
}

// leaders returns the processes that have lines of their own, by name: those that held most.
func (h *history) leaders() []string {
	most := make(map[string]int)
	for _, p := range h.drawn() {
		for name, held := range p.held {
			most[name] = max(most[name], held)
		}
	}
	names := slices.Collect(maps.Keys(most))
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(most[b], most[a]), strings.Compare(a, b)) })
	names = names[:min(len(names), mostLines)]
	slices.Sort(names)
	return names
}
