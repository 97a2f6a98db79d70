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

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// ErrTakenOver says that somebody else deletes or repartitions the service since this call began to, or has done so. The
// service is theirs, and this call deletes nothing more. What it was just copying may be there beside the originals, also in
// partitions that nobody reads when the other one gave the service another number, or deleted it: once they have
// finished, Survey tells, and doing the same as they did, with their number, brings it home or deletes it.
var ErrTakenOver = errors.New("scan: somebody else goes on with it; once they have finished, see by a survey whether copies are left " +
	"beyond the number of partitions, and do the same as they did to bring those home")

// ErrStillWritten says that announcements keep coming in while a service is deleted or repartitioned. Stop whoever
// announces to it with the old number of partitions, and run the same again.
var ErrStillWritten = errors.New("scan: somebody still announces to the service")

var (
	errUnknownMaster = errors.New("the client does not know it; try again")
	errUnmarked      = errors.New("somebody else marks it as theirs, again and again; do the same again")
)

// Progress is how far DeleteService or Repartition has come.
type Progress struct {
	Partition int // that is being worked on; api.NoPartition: all
	Of        int // partitions to work on
	Deleted   int // keys, so far
	Moved     int // announcements and dead letters that went to another partition, so far
}

// passes is how often what is written meanwhile is cleared up before ErrStillWritten.
const passes = 3

// operation is a change of a stopped service as a whole, which is on record: nobody works with the service meanwhile, and
// whoever does the same again goes on where this one stopped.
type operation struct {
	*Inspector
	all      *cluster.Layout // of all partitions that there could be
	id       string
	before   string // number of partitions; empty: not on record
	from     int    // partitions that may have something
	resumed  bool
	tokens   uint64 // the greatest that was minted
	claimed  map[int]bool
	progress func(Progress)
	now      Progress
}

// begin puts an operation on record, once nobody works with the service. The record comes first and the look for sessions
// after it: whoever opens a session looks at the record after that, so one of the two sees the other.
func (i *Inspector) begin(ctx context.Context, state lease.State, to string, s *Survey, progress func(Progress)) (*operation, error) {
	if err := i.vacant(ctx, s); err != nil {
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
	missing := "0"
	if state == lease.Deleting {
		missing = "1"
	}
	parts, err := i.call(ctx, lease.Call{
		Script: scriptStop,
		Keys:   []string{all.Meta(), all.Keys(0).Sessions},
		Args:   []string{string(state), state.Format(), lease.State("").Format(), op.id, to, strconv.Itoa(s.end()), missing},
	}, 1)
	if err != nil {
		return nil, explained("noting that service "+i.service+" is to be changed", err)
	}
	if err := op.parse(parts); err != nil {
		return nil, err
	}
	again, err := i.census(ctx)
	if err != nil {
		return nil, err
	}
	if err := op.enter(ctx, again); err != nil {
		return nil, err
	}
	op.tokens = max(s.tokens, again.tokens) // who came and went in between has minted greater ones
	number, _ := strconv.Atoi(to)
	return op, op.claim(ctx, upTo(max(op.from, number))...)
}

// enter is the second look for whoever works with the service. Where somebody does, the record is taken back, unless some
// was done before.
func (o *operation) enter(ctx context.Context, again *Survey) error {
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

func (o *operation) parse(parts []message) error {
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

// holds is an error when the operation is no longer this one.
func (o *operation) holds(ctx context.Context) error {
	_, id, err := o.agreement(ctx)
	if err == nil && id != o.id {
		_ = o.release(ctx) // they end by themselves
		err = ErrTakenOver
	}
	return err
}

// markKept is how long a partition is marked as an operation's. It may end meanwhile: then it is marked again.
const markKept = time.Hour

// mark is the key that says which operation may delete something in a partition.
func (o *operation) mark(p int) string { return o.all.Keys(p).Recover(operationMark) }

// claim marks partitions as this operation's. The record is in the slot of partition 0, so a script that deletes something
// elsewhere cannot look at it; it looks at the mark. Whoever overtakes another one marks all partitions before it moves
// anything, so from then on the other one deletes nothing more, not even by a call that is on its way. The record is asked
// after the mark was made: whoever marks too late, since it was overtaken, hears of that before it uses its mark.
func (o *operation) claim(ctx context.Context, partitions ...int) error {
	unclaimed := slices.DeleteFunc(slices.Clone(partitions), func(p int) bool { return o.claimed[p] })
	if len(unclaimed) == 0 {
		return nil
	}
	if err := o.setMarks(ctx, unclaimed, markKept); err != nil {
		return err
	}
	return o.holds(ctx)
}

// release takes the marks away, as far as they are this operation's.
func (o *operation) release(ctx context.Context) error {
	return o.setMarks(ctx, slices.Sorted(maps.Keys(o.claimed)), 0)
}

// setMarks marks partitions for so long, 0: no longer.
func (o *operation) setMarks(ctx context.Context, partitions []int, kept time.Duration) error {
	for page := range slices.Chunk(partitions, surveyed) {
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

func upTo(end int) []int {
	all := make([]int, end)
	for p := range all {
		all[p] = p
	}
	return all
}

// Answers of scripts that delete something, when they do not.
const (
	answerAlive    = -1
	answerOccupied = -2
	answerUnmarked = -3
)

// delete makes a call that deletes something in a partition, which its script does only while that is marked.
func (o *operation) delete(ctx context.Context, p int, doing string, c lease.Call) (n int64, err error) {
	for range passes {
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
		delete(o.claimed, p) // it has ended, or the last call of somebody who was overtaken came late
	}
	return 0, explained(fmt.Sprintf("marking partition %d", p), errUnmarked)
}

// end takes the operation off the record: the service has that many partitions, or is gone ("") together with the keys,
// none of which may be there. It reports ErrStillWritten where one is.
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

// tell reports progress.
func (o *operation) tell(partition int) {
	o.now.Partition = partition
	o.progress(o.now)
}

// unlink deletes keys of a partition, in calls of a page. With empty set nothing is deleted unless there is nothing to be
// lost with it.
func (o *operation) unlink(ctx context.Context, p int, names []string, empty bool) error {
	k, flag := o.all.Keys(p), "0"
	if empty {
		flag = "1"
	}
	for page := range slices.Chunk(names, o.set.Page) {
		if err := o.holds(ctx); err != nil {
			return err
		}
		n, err := o.delete(ctx, p, fmt.Sprintf("deleting keys of partition %d", p), lease.Call{
			Script: scriptUnlink,
			Keys:   append([]string{k.Sessions, o.mark(p), k.Input, k.Later, k.DeadLetters}, page...),
			Args:   []string{flag, o.id},
		})
		if err != nil {
			return err
		}
		o.now.Deleted += int(n)
	}
	return nil
}

// vacate deletes the keys that a partition always has, its sessions among them.
func (o *operation) vacate(ctx context.Context, p int, empty bool) error {
	k := o.all.Keys(p)
	return o.unlink(ctx, p, []string{k.Input, k.Later, k.DeadLetters, k.Token, k.Scan, k.Sessions}, empty)
}

// sweep deletes the keys of those kinds in partitions from first on that a look through all keys finds.
func (o *operation) sweep(ctx context.Context, first int, kinds ...keyKind) (found int, err error) {
	err = o.scanKeys(ctx, func(ctx context.Context, keys []ownKey) error {
		names := make(map[int][]string)
		for _, k := range keys {
			if k.partition < first || !slices.Contains(kinds, k.kind) {
				continue
			}
			if k.name == o.mark(k.partition) {
				// It goes last, with those of this operation. It may be left of another one.
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
			o.tell(p)
		}
		return nil
	})
	return found, err
}
