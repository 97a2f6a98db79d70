package lease

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// promoteAgain is the delay before a member of later is retried that the server refused to move.
const promoteAgain = time.Minute

// ErrSetAside is an error of Promote: the server refused to move some members of later, which are retried a minute later. The
// others were moved.
var ErrSetAside = errors.New("entries that are due in later were refused, and are retried in a minute")

// LookAhead is how far ahead beats and promotions look for the next entry that will be due: further than to the next beat.
const LookAhead = 1280 * time.Millisecond

// Promotion is what became of entries that were due.
type Promotion struct {
	Moved int
	Due   int           // left that are due
	Next  time.Duration // as in Beat
	Late  time.Duration // how late the latest of those was that were moved
}

// Promote moves up to limit entries that are due from later to the input stream, fewer if they are heavy. With an error that
// matches ErrSetAside there may be more to move.
func (s *Store) Promote(ctx context.Context, p, limit int) (done Promotion, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	keys := []string{k.Input, k.Later}
	args := []string{strconv.Itoa(limit), strconv.Itoa(MaxCallWeight), ms(promoteAgain)}
	var refused error
	for {
		answer, err := s.rest.Do(ctx, Call{Script: scriptPromote, Keys: keys, Args: args}).ToArray()
		if err != nil || len(answer) != 7 {
			return done, orMalformed("promote", err)
		}
		var numbers [7]int64
		for _, i := range []int{0, 1, 2, 3, 5, 6} {
			if numbers[i], err = answer[i].AsInt64(); err != nil {
				return done, fmt.Errorf("promote: %w", err)
			}
		}
		done.Moved += int(numbers[0])
		done.Due, done.Next = int(numbers[1]), time.Duration(numbers[5])*time.Millisecond
		done.Late = max(done.Late, time.Duration(numbers[6])*time.Millisecond)
		if n := numbers[3]; n > 0 && refused == nil {
			why, _ := answer[4].ToString()
			refused = fmt.Errorf("%w: %d, the first: %w", ErrSetAside, n, refusedItem(why))
		}
		if numbers[2] == 0 || len(keys) == 3 {
			return done, refused
		}
		// Members that cannot be read go to the dead letters, where somebody will see them.
		keys = append(keys, k.DeadLetters)
	}
}
