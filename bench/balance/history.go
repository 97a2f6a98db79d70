package balance

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/overlap"
)

// even is how far a share may be from the fair one to count as even, besides one stream.
const even = 0.10

// forever is later than anything.
const forever = time.Duration(math.MaxInt64)

// life is how long a process took part: from when it was ready until it was told to end, or killed.
type life struct{ from, until time.Duration }

func (l life) at(t time.Duration) bool { return l.from <= t && t < l.until }

// span is one ownership.
type span struct {
	process     int
	stream      int
	from, until time.Duration
	done        bool // its owner called Done: what follows is no move
	given       bool // its owner handed it back
}

// history is who owned what and when.
type history struct {
	lives  []life
	spans  []span                // by stream and time
	counts []count               // by process
	end    time.Duration         // when the journals were read
	all    []overlap.Record      // as the journals have them
	killed map[int]time.Duration // processes that were killed, and when
}

// count has the times at which ownerships of a process began and ended, each in order.
type count struct{ from, until []time.Duration }

// held is the number of streams that a process owned at a time.
func (c count) held(t time.Duration) int {
	began := sort.Search(len(c.from), func(i int) bool { return c.from[i] > t })
	ended := sort.Search(len(c.until), func(i int) bool { return c.until[i] >= t })
	return began - ended
}

// newHistory reads what processes noted up to a time. Ownerships that were extended shortly before last.
func newHistory(lives []life, journals [][]journal.Entry, killed map[int]time.Duration, end time.Duration) *history {
	h := &history{end: end, lives: lives, counts: make([]count, len(journals)), killed: killed}
	for i, entries := range journals {
		for _, e := range entries {
			h.all = append(h.all, e.Record)
			s := span{process: i, stream: e.Number, from: e.From, until: e.Until, done: e.State == journal.Finished || e.State == journal.Ending,
				given: e.State == journal.Given}
			if at, ok := killed[i]; ok && e.State == journal.Owned && at-e.Until < lasts {
				s.until = at
			} else if e.State == journal.Owned && end-e.Until < lasts {
				s.until = forever
			}
			h.spans = append(h.spans, s)
			c := &h.counts[i]
			c.from, c.until = append(c.from, s.from), append(c.until, s.until)
		}
	}
	for _, c := range h.counts {
		slices.Sort(c.from)
		slices.Sort(c.until)
	}
	slices.SortFunc(h.spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.from, b.from)) })
	return h
}

// lasts is how long ago an ownership may have been extended that lasts. Processes extend theirs every 50 ms, if a busy
// machine lets them.
const lasts = 5 * time.Second

// owned is how many streams have an owner at a time.
func (h *history) owned(t time.Duration) (n int) {
	for _, c := range h.counts {
		n += c.held(t)
	}
	return n
}

// seen is how many streams had an owner at some time after from. A stream on its way to another owner is no stream that is lost.
func (h *history) seen(from time.Duration) (n int) {
	last := -1
	for _, s := range h.spans {
		if s.until >= from && s.stream != last {
			n, last = n+1, s.stream
		}
	}
	return n
}

// ownedSince is how long after from all streams had an owner, to have one until the end; 0: they always had one.
func (h *history) ownedSince(from, until time.Duration, streams int) time.Duration {
	for t := until; t >= from; t -= resolution {
		if h.owned(t) < streams {
			return min(t+resolution, until) - from
		}
	}
	return 0
}

// heldBy is how many streams each process holds at a time; -1: it takes no part.
func (h *history) heldBy(t time.Duration) []int {
	held := make([]int, len(h.lives))
	for i, l := range h.lives {
		if held[i] = -1; l.at(t) {
			held[i] = h.counts[i].held(t)
		}
	}
	return held
}

// shares are what the processes own at a time that take part, of a fair share of so many streams. nil: none takes part.
func (h *history) shares(t time.Duration, streams int) (shares []float64) {
	var held []int
	for i, l := range h.lives {
		if l.at(t) {
			held = append(held, h.counts[i].held(t))
		}
	}
	return sharesOf(held, streams)
}

func sharesOf(held []int, streams int) (shares []float64) {
	fair := float64(streams) / float64(len(held))
	for _, n := range held {
		shares = append(shares, float64(n)/fair)
	}
	return shares
}

// isEven reports whether all shares are within 10 % of the fair one and a stream: from there on, an engine counts its own as too much.
func isEven(shares []float64, streams int) bool {
	within := even + float64(len(shares))/float64(streams) + 1e-9
	for _, s := range shares {
		if math.Abs(s-1) > within {
			return false
		}
	}
	return len(shares) > 0
}

// resolution is how exact the time until shares are even is.
const resolution = 50 * time.Millisecond

// evenSince is how long after from shares were even, to stay so until the time `until`; ok is false when they are not even then.
func (h *history) evenSince(from, until time.Duration, streams int) (took time.Duration, ok bool) {
	since := forever
	for t := until; t >= from && isEven(h.shares(t, streams), streams); t -= resolution {
		since = t
	}
	return max(0, since-from), since != forever
}

// peak is the most streams that any of these processes held at a time between two while it took part.
func (h *history) peak(from, until time.Duration, which func(process int) bool) (most int) {
	for i, l := range h.lives {
		if !which(i) {
			continue
		}
		for _, at := range append([]time.Duration{max(from, l.from)}, h.counts[i].from...) {
			if at >= from && at <= until && l.at(at) {
				most = max(most, h.counts[i].held(at))
			}
		}
	}
	return most
}

// move is a change of owner.
type move struct {
	stream   int
	from, to int           // processes
	at       time.Duration // when the new owner was notified
	gap      time.Duration
	given    bool // handed back; else taken from a dead or lost owner
}

// moves are the changes of owner that ended between two times.
func (h *history) moves(from, until time.Duration) (all []move) {
	for i := 1; i < len(h.spans); i++ {
		before, s := h.spans[i-1], h.spans[i]
		if before.stream != s.stream || before.done || s.from < from || s.from > until {
			continue
		}
		all = append(all, move{stream: s.stream, from: before.process, to: s.process, at: s.from, gap: s.from - before.until, given: before.given})
	}
	return all
}

// overlaps says which streams had two owners, or tokens that fall; empty: none.
func (h *history) overlaps() string {
	if err := overlap.Check(h.all); err != nil {
		return err.Error()
	}
	return ""
}
