package scan

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// LagSource is how the lag of a partition is known.
type LagSource string

const (
	LagCounted LagSource = "counted" // entry by entry: exact
	LagTold    LagSource = "told"    // the server's own number, which agrees with the length less what is pending
	LagUnknown LagSource = "unknown" // too many, or too heavy, to count, and the server does not know or contradicts itself
)

// Backlog is how much there is to do in a partition, at one moment.
type Backlog struct {
	Partition int
	At        time.Time // by the server's clock

	// Length is how many announcements the input stream has: delivered ones that are not done yet, and those that wait.
	Length int

	// Lag is how many of them no consumer has been given yet; -1 when that is unknown. Announcements that were queued
	// again count. LagBy is how it is known.
	Lag   int
	LagBy LagSource

	// Pending is how many were given to consumers and are not done: held, parked or just read.
	Pending int

	// Stranded is how many announcements are neither pending nor undelivered, so that nobody is ever given them: somebody
	// acknowledged them, or removed a consumer with all that was pending for it. A process that holds the stream of one brings
	// it back; the rest is listed by Stranded of an Inspector and brought back by its Reannounce. WithoutBody is how many are
	// pending though they were deleted or trimmed: nobody can be given those. Both are what the length, Pending and Lag leave
	// open, so where there are announcements of both kinds, only the difference shows. Entries that a dead letter refers to
	// (DeadLetter.Reference) count as stranded here; the list leaves them out. -1 when Lag is.
	Stranded    int
	WithoutBody int

	// Consumers is how many the group has, dead ones included that were not removed yet.
	Consumers int

	// OldestPending and OldestWaiting are how long ago the first announcement was made that is pending, or not delivered
	// yet; 0 when there is none. Queueing an announcement again makes it young.
	OldestPending time.Duration
	OldestWaiting time.Duration

	// Later is how many announcements were put off, Due how many of them may be handed out by now.
	Later int
	Due   int

	// DeadLetters is how many announcements were given up.
	DeadLetters int
}

// Backlog tells how much there is to do in each partition, in their order. What cannot be asked is missing, and the
// error says why. To count the lag costs the server up to twice CountLimit entries a partition, in one step.
func (i *Inspector) Backlog(ctx context.Context) ([]Backlog, error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	calls := make([]lease.Call, layout.Partitions())
	for p := range calls {
		calls[p] = backlogCall(layout, p, i.set.CountLimit)
	}
	var all []Backlog
	var failed failures
	for p, result := range i.run.DoMulti(ctx, calls) {
		b, err := parseBacklog(p, result)
		if err != nil {
			failed.add(explained(fmt.Sprintf("backlog of partition %d", p), err))
			continue
		}
		all = append(all, b)
	}
	return all, failed.err()
}

// Backlog tells how much there is to do in a partition. limit is how many entries to count at most.
func (s *Store) Backlog(ctx context.Context, p, limit int) (Backlog, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return parseBacklog(p, s.run.Do(ctx, backlogCall(s.layout, p, limit)))
}

func backlogCall(layout *cluster.Layout, p, limit int) lease.Call {
	k := layout.Keys(p)
	return lease.Call{
		Script: scriptBacklog,
		Keys:   []string{k.Input, k.Later, k.DeadLetters},
		Args:   []string{layout.Group(), strconv.Itoa(max(limit, 0))},
	}
}

func parseBacklog(p int, result rueidis.RedisResult) (b Backlog, err error) {
	parts, err := result.ToArray()
	if err != nil {
		return b, err
	}
	if len(parts) != 11 {
		return b, errMalformed
	}
	b.Partition = p
	numbers := map[int]*int{1: &b.Length, 2: &b.Lag, 4: &b.Pending, 5: &b.Consumers, 8: &b.Later, 9: &b.Due, 10: &b.DeadLetters}
	for n, to := range numbers {
		value, err := parts[n].AsInt64()
		if err != nil {
			return b, err
		}
		*to = int(value)
	}
	now, err := parts[0].AsInt64()
	if err != nil {
		return b, err
	}
	b.At = time.UnixMilli(now)
	b.Stranded, b.WithoutBody = -1, -1
	if b.Lag >= 0 {
		odd := b.Length - b.Pending - b.Lag
		b.Stranded, b.WithoutBody = max(odd, 0), max(-odd, 0)
	}
	var text [11]string
	for _, n := range []int{3, 6, 7} {
		if text[n], err = parts[n].ToString(); err != nil {
			return b, err
		}
	}
	b.LagBy = LagSource(text[3])
	b.OldestPending, b.OldestWaiting = ageOf(text[6], b.At), ageOf(text[7], b.At)
	return b, nil
}

// ageOf is how long before now an entry was added, by its ID; 0 when there is none, or its ID was made by hand and
// says something else.
func ageOf(id string, now time.Time) time.Duration {
	text, _, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms <= 0 {
		return 0
	}
	return max(now.Sub(time.UnixMilli(ms)), 0)
}
