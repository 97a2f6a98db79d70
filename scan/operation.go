package scan

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// ErrTakenOver says that somebody else goes on with the deletion or repartitioning that this call was at. Nothing is to
// be done; the service is theirs.
var ErrTakenOver = errors.New("scan: somebody else goes on with it")

// ErrStillWritten says that announcements keep coming in while a service is deleted or repartitioned. Stop whoever
// announces to it with the old number of partitions, and run the same again.
var ErrStillWritten = errors.New("scan: somebody still announces to the service")

var errUnknownMaster = errors.New("the client does not know it; try again")

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
	op := &operation{Inspector: i, all: all, id: rand.Text(), progress: progress}
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
	return op, nil
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
		err = ErrTakenOver
	}
	return err
}

// end takes the operation off the record: the service has that many partitions, or is gone ("") together with the keys,
// none of which may be there. It reports ErrStillWritten where one is.
func (o *operation) end(ctx context.Context, partitions string, keys []string) error {
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
		call, cancel := o.bounded(ctx)
		n, err := o.run.Do(call, lease.Call{
			Script: scriptUnlink,
			Keys:   append([]string{k.Sessions, k.Input, k.Later, k.DeadLetters}, page...),
			Args:   []string{flag},
		}).AsInt64()
		cancel()
		switch {
		case err != nil:
			return explained(fmt.Sprintf("deleting keys of partition %d", p), err)
		case n == -1:
			return o.joined(p)
		case n == -2:
			return ErrStillWritten
		}
		o.now.Deleted += int(n)
	}
	return nil
}

// joined is the error where somebody works with a partition all the same: a consumer of an earlier version.
func (o *operation) joined(p int) error {
	return presence{who: fmt.Sprintf("a consumer came to partition %d meanwhile", p)}.error(true)
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
			if k.partition >= first && slices.Contains(kinds, k.kind) {
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
