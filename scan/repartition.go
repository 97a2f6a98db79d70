package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Repartition gives a stopped service another number of partitions, from 1 to 1,024, more or fewer. Each announcement, whether
// undelivered, pending for a consumer that is gone, or delayed, each dead letter, checkpoint and schedule moves to the new partition of its
// stream, with its fields and counts unchanged. Repartition returns how many were moved. With the number that the service already has, it
// moves what was announced with another one to where it belongs. progress, which may be nil, is called now and then.
//
// The service must be stopped: while a session is alive, or a legacy consumer, of the library that this one replaces, holds the
// lock of an entry (api.ErrForeignConsumers), the error matches ErrServiceRunning and nothing is changed. (A legacy consumer
// that has nothing pending at that moment cannot be seen.) From the first step to the last, no consumer can start to work with
// the service (api.ErrServiceStopped). After any other error, calling Repartition again continues with what is left, and calling
// it with the old number undoes the change; it also keeps what is left of a deletion. ErrServiceJoined is one of those errors:
// consumers are alive although some was changed; stop them first. Afterwards start the fleet and its publishers with the new
// number.
//
// Of two calls at once the last one continues, and the other one deletes nothing more (ErrTakenOver). What the other one was just
// copying may be there twice, even in partitions beyond the last one's number: Survey shows it.
//
// Each item is copied first and then deleted, since the two partitions may be on different masters: an interruption in between
// leaves it there twice, but never loses it. (A failover at that time may lose a copy, as it may lose any announcement: make sure
// that no server is about to go.) Order within a stream is kept, except for what was pending or delayed. What cannot be parsed
// stays where it is, or moves to partition 0 where its partition is gone. No new partition mints a token below one that any old
// one has minted. How the consumers shared the streams is forgotten, since they begin again; what operators wish is kept.
//
// Errors match ErrServiceRunning, ErrServiceJoined, ErrUnknownService, ErrStillWritten, ErrTakenOver, api.ErrFormat (also for keys
// that this version does not know), api.ErrInvalidConfig, or are those of the client.
func (i *Inspector) Repartition(ctx context.Context, partitions int, progress func(Progress)) (moved int, err error) {
	to, err := cluster.NewLayout(i.service, partitions)
	if err != nil {
		return 0, err
	}
	s, err := i.Survey(ctx)
	if err != nil {
		return 0, err
	}
	if len(s.Unknown) > 0 {
		return 0, fmt.Errorf("%w: service %s has keys that this version does not know, such as %s: use the version that made them",
			api.ErrFormat, i.service, strings.Join(s.Unknown, ", "))
	}
	op, err := i.begin(ctx, lease.Repartitioning, strconv.Itoa(partitions), s, progress)
	if err != nil {
		return 0, err
	}
	op.now.Of = op.from
	if err := op.raise(ctx, to, op.tokens); err != nil {
		return 0, err
	}
	for range maxPasses {
		if err = op.rearrange(ctx, to); err == nil || !errors.Is(err, ErrStillWritten) {
			break
		}
	}
	if err == nil {
		err = op.end(ctx, strconv.Itoa(partitions), nil)
	}
	if err == nil {
		i.known.Store(to)
		op.report(api.NoPartition)
	}
	return op.now.Moved, err
}

// raise makes every new partition mint greater tokens than any old one has.
func (o *operation) raise(ctx context.Context, to *cluster.Layout, floor uint64) error {
	if floor == 0 {
		return nil
	}
	calls := make([]lease.Call, to.Partitions())
	for p := range calls {
		calls[p] = lease.Call{Script: scriptRaise, Keys: []string{to.Keys(p).Token}, Args: []string{strconv.FormatUint(floor, 10)}}
	}
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	for p, result := range o.run.DoMulti(ctx, calls) {
		if err := result.Error(); err != nil {
			return explained(fmt.Sprintf("raising the token of partition %d", p), err)
		}
	}
	return nil
}

// forgetFleet deletes how the consumers, which are all gone, shared the streams of the partitions that stay.
func (o *operation) forgetFleet(ctx context.Context, s *Survey, to *cluster.Layout) error {
	for _, c := range s.Contents {
		if c.Partition >= to.Partitions() {
			break
		}
		names := slices.DeleteFunc(balanceKeys(to.Keys(c.Partition)), func(name string) bool {
			return !slices.ContainsFunc(c.Keys, func(k Key) bool { return k.Name == name })
		})
		if err := o.unlink(ctx, c.Partition, names, false); err != nil {
			return err
		}
	}
	return nil
}

// rearrange moves everything to its partition, and deletes the partitions that no longer exist.
func (o *operation) rearrange(ctx context.Context, to *cluster.Layout) error {
	for p := range o.from {
		for _, kind := range collections {
			if err := o.rehome(ctx, kind, p, to); err != nil {
				return err
			}
		}
		o.report(p)
	}
	s, err := o.census(ctx)
	if err != nil {
		return err
	}
	if end := s.dataEnd(); end > max(o.from, to.Partitions()) {
		o.from = end // a producer still announces with another number
		return ErrStillWritten
	}
	for n := len(s.Contents) - 1; n >= 0 && s.Contents[n].Partition >= to.Partitions(); n-- {
		if err := o.unlinkCore(ctx, s.Contents[n].Partition, true); err != nil {
			return err
		}
	}
	if err := o.forgetFleet(ctx, s, to); err != nil {
		return err
	}
	_, err = o.unlinkScanned(ctx, to.Partitions(), leaseKey, markKey)
	return err
}
