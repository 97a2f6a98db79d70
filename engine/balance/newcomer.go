package balance

import (
	"math"
	"time"
)

// Newcomer decides for how long a process that has just started takes no more than [Opening] allows: for [FirstSecond], and then while
// others join, at most for [Starting]. Whoever is first in a fleet that starts knows only of those that were there at its last
// beat, and at the end of a second that may be half of them. The zero value is a process that starts with its first answer. It is
// not safe for concurrent use.
type Newcomer struct {
	started, over bool
	born, changed time.Duration
	changes       int64
}

// Answered takes in that Redis has answered, at this time, with this number of changes ([Look].Changes). The first answer is that of opening.
func (n *Newcomer) Answered(now time.Duration, changes int64) {
	if !n.started {
		n.started, n.born, n.changed, n.changes = true, now, now, changes
	}
	if n.changes != changes {
		n.changed, n.changes = now, changes
	}
	// Beats are not quite a second apart.
	const second = FirstSecond * 9 / 10
	n.over = n.over || now-n.born >= Starting || now-n.born >= second && now-n.changed >= second
}

// Room returns how many more streams the process may take, if there are total in all and it has taken so many since its start:
// math.MaxInt when it has been there for long enough. What its share allows is another limit.
func (n *Newcomer) Room(total, taken int) int {
	if n.over {
		return math.MaxInt
	}
	return max(0, Opening(total)-taken)
}
