package scan

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// LagSource tells how the lag of a partition was found.
type LagSource string

const (
	LagCounted LagSource = "counted" // exact: entry by entry, or there is nothing to count
	LagTold    LagSource = "told"    // exact: reported by the server, and consistent with the length minus what is pending

	// LagEstimated means that there are too many entries to count, or too heavy ones, and the server does not know or contradicts
	// itself: because somebody deleted announcements that were not delivered yet, acknowledged others by hand, or made the group
	// again; because dead letters refer to entries; or because the server is older than Redis 7 and never knows. The estimate is
	// the length minus what is pending, or what the server reports if that is less. It is wrong by as many announcements as are
	// stranded, or pending without a body, at most.
	LagEstimated LagSource = "estimated"

	// LagUnknown is not returned any more: there is an estimate instead.
	LagUnknown LagSource = "unknown"
)

// Exact reports whether the lag was found exactly, and is no estimate.
func (s LagSource) Exact() bool { return s == LagCounted || s == LagTold }

// Backlog is how much work a partition has, at one moment.
type Backlog struct {
	Partition int
	At        time.Time // by the server's clock

	// Length is how many announcements the input stream has: delivered ones that are not done yet, and undelivered ones.
	Length int

	// Lag is how many of them were not delivered to any consumer yet, requeued ones included. LagBy tells how it was found, and
	// whether it is an estimate: LagBy.Exact().
	Lag   int
	LagBy LagSource

	// Pending is how many were delivered to consumers and are not done: held, parked or just read.
	Pending int

	// Stranded is how many announcements are neither pending nor undelivered, so that no consumer ever gets them: somebody
	// acknowledged them by hand, or removed a consumer with everything that was pending for it. A process that holds the stream
	// of one restores it; Inspector.Stranded lists the rest, and Inspector.Reannounce requeues them. WithoutBody is how many are
	// pending although they were deleted or trimmed, so that they cannot be delivered. Both follow from the difference between
	// Length, Pending and Lag, so where there are announcements of both kinds, only their difference shows. Entries that a dead
	// letter refers to (DeadLetter.Reference) count as stranded here; the list leaves them out. -1 when Lag is an estimate.
	Stranded    int
	WithoutBody int

	// Consumers is how many consumers the group has, including dead ones that were not removed yet.
	Consumers int

	// OldestPending and OldestWaiting are the ages of the oldest announcement that is pending, or not delivered yet; 0 when
	// there is none. Requeueing an announcement resets its age.
	OldestPending time.Duration
	OldestWaiting time.Duration

	// Later is how many announcements are delayed, and Due how many of those are due by now.
	Later int
	Due   int

	// DeadLetters is how many dead letters there are.
	DeadLetters int
}

// Backlog returns the backlog of each partition, in their order. A partition that cannot be read is missing, and the error says
// why. Where the server does not know the lag, it goes through up to twice CountLimit entries of a partition to count it, in one
// step; if that is not enough, the lag is an estimate.
func (i *Inspector) Backlog(ctx context.Context) ([]Backlog, error) {
	call := func(layout *cluster.Layout, p int) lease.Call { return backlogCall(layout, p, i.set.CountLimit) }
	return eachPartition(ctx, i, "backlog", call, func(p int, result rueidis.RedisResult) ([]Backlog, error) {
		b, err := parseBacklog(p, result)
		return []Backlog{b}, err
	})
}

// Backlog returns the backlog of a partition. limit is the greatest number of entries to count.
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
	var text [11]string
	for _, n := range []int{3, 6, 7} {
		if text[n], err = parts[n].ToString(); err != nil {
			return b, err
		}
	}
	b.LagBy = LagSource(text[3])
	b.Stranded, b.WithoutBody = -1, -1
	if b.LagBy.Exact() {
		odd := b.Length - b.Pending - b.Lag
		b.Stranded, b.WithoutBody = max(odd, 0), max(-odd, 0)
	}
	b.OldestPending, b.OldestWaiting = ageOf(text[6], b.At), ageOf(text[7], b.At)
	return b, nil
}

// ageOf returns how long before now an entry was added, by its ID; 0 when there is none, or when its ID was made by hand and
// says otherwise.
func ageOf(id string, now time.Time) time.Duration {
	text, _, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms <= 0 {
		return 0
	}
	return max(now.Sub(time.UnixMilli(ms)), 0)
}
