package reading

import (
	"math"
	"time"
)

// never is a time that does not come.
const never = math.MaxInt64

// sweep says when each of the streams is passed, so that each is once in a round, and evenly. It knows no clock.
//
// A fast round comes after a connection was lost: all streams are passed within a fraction of a second, since none may be armed.
// One that is asked for during a fast round follows it, so that streams at the end are not passed over for ever if connections are
// lost all the time.
type sweep struct {
	period int64 // of an ordinary round, at least; 0: there are none
	each   int64 // how much time an ordinary round has for each stream, at least

	cursor int    // streams before it have been passed in this round
	began  int64  // this round
	round  uint32 // its number
	fast   bool
	asked  bool  // for another fast round
	free   int64 // no fast round begins before that
}

const (
	// fastEach is how much time a fast round has for each stream: 100,000 take 0.4 s, about what reading them takes.
	fastEach = 4 * time.Microsecond
	// fastAtOnce are passed at once.
	fastAtOnce = 512
	// fastGap is the least time between the beginnings of two fast rounds.
	fastGap = time.Second
	// the time between two looks at an ordinary round is a part of it, within bounds
	tickParts = 64
	minTick   = 10 * time.Millisecond
	maxTick   = time.Second
	fastTick  = 5 * time.Millisecond
)

// hurry asks for a fast round.
func (w *sweep) hurry(now int64) {
	if w.fast || now < w.free {
		w.asked = true
		return
	}
	w.begin(now)
	w.fast, w.asked = true, false
	w.free = now + int64(fastGap)
}

// length is how long an ordinary round of n streams takes; 0: there are none.
func (w *sweep) length(n int) int64 {
	if w.period <= 0 {
		return 0
	}
	return max(w.period, int64(n)*w.each)
}

func (w *sweep) begin(now int64) {
	w.cursor, w.began, w.fast = 0, now, false
	w.round++
}

// due returns how many of n streams are to be passed now. The caller advances the cursor by that, and asks again until it is 0.
func (w *sweep) due(now int64, n int) int {
	length := w.length(n)
	if w.cursor >= n && (w.fast || length > 0 && now-w.began >= length) {
		w.begin(now)
	}
	if w.asked && !w.fast && now >= w.free {
		w.hurry(now)
	}
	period, ahead := length, 0
	if w.fast {
		period, ahead = max(int64(n)*int64(fastEach), 1), fastAtOnce
	}
	if period <= 0 || n == 0 {
		return 0
	}
	part := min(float64(now-w.began)/float64(period), 1)
	return min(max(int(part*float64(n))+ahead-w.cursor, 0), n-w.cursor)
}

// next returns when to ask due again.
func (w *sweep) next(now int64, n int) int64 {
	at := int64(never)
	switch {
	case n == 0 && !w.fast:
	case w.fast:
		at = now + int64(fastTick)
	case w.period > 0:
		at = now + min(max(w.length(n)/tickParts, int64(minTick)), int64(maxTick))
	}
	if w.asked {
		at = min(at, max(w.free, now))
	}
	return at
}
