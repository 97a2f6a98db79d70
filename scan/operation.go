package scan

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"
	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// ErrTakenOver means that another call has begun to delete or repartition the service since this one began. The service is
// theirs, and this call deletes nothing more. What it was just copying may be there beside the originals, even in partitions
// that no consumer reads, when the other call gave the service another number of partitions, or deleted it. Once the other call
// has finished, Survey shows such copies, and running the same operation as the other one, with its number, moves or deletes
// them.
var ErrTakenOver = errors.New("scan: another operation has taken over; once it has finished, check by a survey whether copies are left " +
	"beyond the number of partitions, and run the same operation again to move those")

// ErrStillWritten means that announcements keep coming in while a service is deleted or repartitioned. Stop the producers that
// announce to it with the old number of partitions, and run the same operation again.
var ErrStillWritten = errors.New("scan: producers still announce to the service")

var errUnmarked = errors.New("another operation keeps marking it; run the same operation again")

// Progress is how far DeleteService or Repartition has got.
type Progress struct {
	Partition int // being worked on; api.NoPartition: all
	Of        int // partitions to work on
	Deleted   int // keys, so far
	Moved     int // announcements and dead letters moved to another partition, so far
}

// maxPasses is how often what was written in the meantime is dealt with before ErrStillWritten.
const maxPasses = 3

// operation is a change of a stopped service as a whole. It is on record, so that no consumer works with the service until it
// has ended, and running it again continues where it stopped.
type operation struct {
	*Inspector
	all      *cluster.Layout // of all partitions that there could be
	id       string
	before   string       // number of partitions on record; empty: none
	from     int          // partitions that may not be empty
	resumed  bool         // it was begun by an earlier call
	tokens   uint64       // the greatest that was minted
	claimed  map[int]bool // partitions with its mark
	progress func(Progress)
	now      Progress
}

// begin puts an operation on record, once nobody works with the service. It writes the record first and checks for sessions
// afterwards: a consumer that opens a session reads the record after that, so one of the two sees the other.
func (i *Inspector) begin(ctx context.Context, state lease.State, to string, s *Survey, progress func(Progress)) (*operation, error) {
	if err := i.checkStopped(ctx, s); err != nil {
		return nil, err
	}
	all, err := cluster.NewLayout(i.service, cluster.MaxPartitions)
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	op := &operation{Inspector: i, all: all, id: rand.Text(), claimed: make(map[int]bool), progress: progress}
	parts, err := i.call(ctx, lease.Call{
		Script: scriptStop,
		Keys:   []string{all.Meta(), all.Keys(0).Sessions},
		Args:   []string{string(state), state.Format(), lease.State("").Format(), op.id, to, strconv.Itoa(s.end()), flag(state == lease.Deleting)},
	}, 1)
	if err != nil {
		return nil, explained("recording the change of service "+i.service, err)
	}
	if err := op.parse(parts); err != nil {
		return nil, err
	}
	again, err := i.census(ctx)
	if err != nil {
		return nil, err
	}
	if err := op.recheck(ctx, again); err != nil {
		return nil, err
	}
	op.tokens = max(s.tokens, again.tokens) // a consumer that came and went in between may have minted greater ones
	number, _ := strconv.Atoi(to)
	return op, op.claim(ctx, upTo(max(op.from, number))...)
}

// recheck checks a second time whether somebody works with the service. If so, it takes the record back, unless some of the
// operation was done before.
func (o *operation) recheck(ctx context.Context, again *Survey) error {
	who, err := o.present(ctx, again)
	if err != nil || !who.any() {
		return err
	}
	if o.resumed {
		return who.error(true)
	}
	err = o.end(ctx, o.before, nil)
	switch {
	case err == nil:
		return who.error(false)
	case errors.Is(err, ErrTakenOver):
		return err
	}
	return errors.Join(who.error(true), err)
}

func (o *operation) parse(parts []rueidis.RedisMessage) error {
	verdict, err := parts[0].ToString()
	if err != nil {
		return err
	}
	switch {
	case verdict == "living":
		who := presence{who: textOf(parts, 1) + " sessions of service " + o.service + " are alive"}
		return who.error(textOf(parts, 2) == "1")
	case verdict == "format":
		return fmt.Errorf("%w: service %s has %q in %s, this version knows %d", api.ErrFormat, o.service, textOf(parts, 1), o.all.Meta(), lease.FormatVersion)
	case verdict == "unknown":
		return fmt.Errorf("%w: service %s has no %s", ErrUnknownService, o.service, o.all.Meta())
	case verdict != "ok" || len(parts) != 4:
		return errMalformed
	}
	o.before, o.resumed = textOf(parts, 1), textOf(parts, 3) == "1"
	o.from, err = strconv.Atoi(textOf(parts, 2))
	o.from = min(o.from, o.all.Partitions())
	return err
}

// checkCurrent returns an error when the operation on record is no longer this one.
func (o *operation) checkCurrent(ctx context.Context) error {
	_, id, err := o.agreement(ctx)
	if err == nil && id != o.id {
		_ = o.release(ctx) // the marks expire by themselves
		err = ErrTakenOver
	}
	return err
}

// markKept is the TTL of a mark. One that expires during the operation is set again.
const markKept = time.Hour

// mark returns the key that names the operation that may delete something in a partition.
func (o *operation) mark(p int) string { return o.all.Keys(p).Recover(operationMark) }

// claim marks partitions as this operation's. The record is in the slot of partition 0, so a script that deletes something
// elsewhere cannot read it; it reads the mark instead. An operation that takes over marks all partitions before it moves
// anything, so from then on the other one deletes nothing more, not even by a call in flight. The record is read after the mark
// was set: an operation that sets its mark too late, since it was taken over, learns that before it relies on the mark.
func (o *operation) claim(ctx context.Context, partitions ...int) error {
	unclaimed := slices.DeleteFunc(slices.Clone(partitions), func(p int) bool { return o.claimed[p] })
	if len(unclaimed) == 0 {
		return nil
	}
	if err := o.setMarks(ctx, unclaimed, markKept); err != nil {
		return err
	}
	return o.checkCurrent(ctx)
}

// release removes the marks that are this operation's.
func (o *operation) release(ctx context.Context) error {
	return o.setMarks(ctx, slices.Sorted(maps.Keys(o.claimed)), 0)
}

// setMarks sets the marks of partitions for a time; 0 removes them.
func (o *operation) setMarks(ctx context.Context, partitions []int, kept time.Duration) error {
	for page := range slices.Chunk(partitions, pipelineSize) {
		calls := make([]lease.Call, len(page))
		for n, p := range page {
			calls[n] = lease.Call{Script: scriptClaim, Keys: []string{o.mark(p)}, Args: []string{o.id, ms(kept)}}
		}
		call, cancel := o.bounded(ctx)
		results := o.run.DoMulti(call, calls)
		cancel()
		for n, result := range results {
			if err := result.Error(); err != nil {
				return explained(fmt.Sprintf("marking partition %d", page[n]), err)
			}
			if kept > 0 {
				o.claimed[page[n]] = true
			} else {
				delete(o.claimed, page[n])
			}
		}
	}
	return nil
}

// Answers of scripts that were to delete something and did not.
const (
	answerAlive    = -1
	answerOccupied = -2
	answerUnmarked = -3
)

// deleteMarked makes a call that deletes something in a partition. The script does so only while the partition has the mark.
func (o *operation) deleteMarked(ctx context.Context, p int, doing string, c lease.Call) (n int64, err error) {
	for range maxPasses {
		if err := o.claim(ctx, p); err != nil {
			return 0, err
		}
		call, cancel := o.bounded(ctx)
		n, err = o.run.Do(call, c).AsInt64()
		cancel()
		switch {
		case err != nil:
			return 0, explained(doing, err)
		case n == answerAlive:
			return 0, o.joined(p)
		case n == answerOccupied:
			return 0, ErrStillWritten
		case n != answerUnmarked:
			return n, nil
		}
		delete(o.claimed, p) // the mark has expired, or the last call of an operation that was taken over came late
	}
	return 0, explained(fmt.Sprintf("marking partition %d", p), errUnmarked)
}

// end takes the operation off the record. The service then has that number of partitions; or, with "", it is gone together with
// the keys, none of which may exist. end returns ErrStillWritten where one does.
func (o *operation) end(ctx context.Context, partitions string, keys []string) error {
	if err := o.release(ctx); err != nil {
		return err
	}
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	verdict, err := o.run.Do(ctx, lease.Call{
		Script: scriptStart,
		Keys:   append([]string{o.all.Meta()}, keys...),
		Args:   []string{o.id, lease.State("").Format(), partitions},
	}).ToString()
	switch {
	case err != nil:
		return explained("ending the change of service "+o.service, err)
	case verdict == "again":
		return ErrStillWritten
	case verdict == "other":
		return ErrTakenOver
	}
	return nil
}

// report calls progress.
func (o *operation) report(partition int) {
	o.now.Partition = partition
	o.progress(o.now)
}

// unlink deletes keys of a partition, page by page. With empty set it deletes nothing unless the partition has no announcement,
// no dead letter, and no schedule.
func (o *operation) unlink(ctx context.Context, p int, names []string, empty bool) error {
	k := o.all.Keys(p)
	for page := range slices.Chunk(names, o.set.Page) {
		if err := o.checkCurrent(ctx); err != nil {
			return err
		}
		n, err := o.deleteMarked(ctx, p, fmt.Sprintf("deleting keys of partition %d", p), lease.Call{
			Script: scriptUnlink,
			Keys:   append([]string{k.Sessions, o.mark(p), k.Input, k.Later, k.DeadLetters, k.Schedules}, page...),
			Args:   []string{flag(empty), o.id},
		})
		if err != nil {
			return err
		}
		o.now.Deleted += int(n)
	}
	return nil
}

// unlinkCore deletes the keys that every partition has, including its sessions.
func (o *operation) unlinkCore(ctx context.Context, p int, empty bool) error {
	return o.unlink(ctx, p, coreKeys(o.all.Keys(p)), empty)
}

// unlinkScanned goes through all keys and deletes those of the given kinds in partitions from first on. It returns how many it
// found.
func (o *operation) unlinkScanned(ctx context.Context, first int, kinds ...keyKind) (found int, err error) {
	err = o.scanKeys(ctx, func(ctx context.Context, keys []ownKey) error {
		names := make(map[int][]string)
		for _, k := range keys {
			if k.partition < first || !slices.Contains(kinds, k.kind) {
				continue
			}
			if k.name == o.mark(k.partition) {
				// It goes last, with the other marks of this operation. It may be left over from another one.
				if err := o.claim(ctx, k.partition); err != nil {
					return err
				}
			} else {
				names[k.partition] = append(names[k.partition], k.name)
				found++
			}
		}
		for p, page := range names {
			if err := o.unlink(ctx, p, page, false); err != nil {
				return err
			}
			o.report(p)
		}
		return nil
	})
	return found, err
}

// joined returns the error for a consumer that works with a partition despite the record: one of an earlier version.
func (o *operation) joined(p int) error {
	return presence{who: fmt.Sprintf("a consumer has joined partition %d in the meantime", p)}.error(true)
}
