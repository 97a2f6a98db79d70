package memory

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
)

// sortedSet is the value of a key of that type: in order of scores, those of one score in order of their members' bytes. miniredis
// would sort it for each command.
type sortedSet struct {
	scores map[string]float64
	order  []scored
}

type scored struct {
	score  float64
	member string
}

func (a scored) compare(b scored) int {
	return cmp.Or(cmp.Compare(a.score, b.score), strings.Compare(a.member, b.member))
}

func newSortedSet() *sortedSet { return &sortedSet{scores: make(map[string]float64)} }

func (z *sortedSet) clone() *sortedSet {
	return &sortedSet{maps.Clone(z.scores), slices.Clone(z.order)}
}

func (z *sortedSet) position(s scored) int {
	at, _ := slices.BinarySearchFunc(z.order, s, scored.compare)
	return at
}

func (z *sortedSet) set(member string, score float64) {
	old, is := z.scores[member]
	if is && old == score {
		return
	}
	if is {
		z.remove(member)
	}
	z.scores[member] = score
	z.order = slices.Insert(z.order, z.position(scored{score, member}), scored{score, member})
}

// remove reports whether the member was there.
func (z *sortedSet) remove(member string) bool {
	score, is := z.scores[member]
	if is {
		at := z.position(scored{score, member})
		z.order = slices.Delete(z.order, at, at+1)
		delete(z.scores, member)
	}
	return is
}

// limit is one end of a range, of scores or of members.
type limit struct {
	score  float64
	member string
	open   bool // what equals it is outside
	end    int  // of members: -1 before all, 1 after all
}

// parseScore reads a number as strtod does: infinity is one.
func parseScore(text string) (float64, bool) {
	score, ok := strtod(text)
	return score, ok && !math.IsNaN(score)
}

func parseScoreLimit(text string) (l limit, ok bool) {
	text, l.open = strings.CutPrefix(text, "(")
	l.score, ok = parseScore(text)
	return l, ok
}

func parseLexLimit(text string) (l limit, ok bool) {
	switch {
	case text == "-":
		return limit{end: -1}, true
	case text == "+":
		return limit{end: 1}, true
	case strings.HasPrefix(text, "("):
		return limit{member: text[1:], open: true}, true
	case strings.HasPrefix(text, "["):
		return limit{member: text[1:]}, true
	}
	return l, false
}

// below reports whether s is below the lower end of a range.
func (l limit) below(s scored, lex bool) bool {
	if !lex {
		return s.score < l.score || l.open && s.score == l.score
	}
	if l.end != 0 {
		return l.end > 0
	}
	return s.member < l.member || l.open && s.member == l.member
}

// above reports whether s is above the upper end of a range.
func (l limit) above(s scored, lex bool) bool {
	if !lex {
		return s.score > l.score || l.open && s.score == l.score
	}
	if l.end != 0 {
		return l.end < 0
	}
	return s.member > l.member || l.open && s.member == l.member
}

// between returns what is in a range, as positions: from the first to before the last.
func (z *sortedSet) between(low, high limit, lex bool) (first, last int) {
	search := func(is func(scored) bool) int {
		at, _ := slices.BinarySearchFunc(z.order, true, func(s scored, _ bool) int {
			if is(s) {
				return 1
			}
			return -1
		})
		return at
	}
	first = search(func(s scored) bool { return !low.below(s, lex) })
	last = search(func(s scored) bool { return high.above(s, lex) })
	return first, max(first, last)
}

// ranked returns the positions that indexes mean, which count from the end if they are negative.
func (z *sortedSet) ranked(start, stop int) (first, last int) {
	n := len(z.order)
	if start < 0 {
		start = max(0, n+start)
	}
	if stop < 0 {
		stop = n + stop
	}
	if start > stop || start >= n {
		return 0, 0
	}
	return start, min(stop, n-1) + 1
}
