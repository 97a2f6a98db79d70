package scan

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Repartition gives a stopped service another number of partitions, from 1 to 1,024, up or down: each announcement, whether
// waiting, pending for a consumer that is gone, or put off, and each dead letter goes to the partition that its stream
// belongs to by then, with its fields and counts as they are. It answers how many were moved. With the number that the
// service has it brings home what was announced with another one. progress, which may be nil, is called now and then.
//
// The service must be stopped: while a session is alive, or a consumer of the library that this one follows holds the lock
// of an entry (api.ErrForeignConsumers), the error matches ErrServiceRunning and nothing is changed. (One of those that has
// nothing pending at that moment cannot be seen.) From the first step until the last nobody can start to work with it
// (api.ErrServiceStopped). After any other error, doing the same again goes on with what is left, and doing it with the old
// number undoes it; that keeps what is left of a deletion, too. ErrServiceJoined is one of those: consumers are alive although
// some was changed; stop them first. Afterwards start the fleet and its publishers with the new number.
//
// Of two who do it at once the last one goes on, and the other one deletes nothing more (ErrTakenOver). What that was just
// copying may be there twice, and in partitions that the last one's number does not have: Survey tells.
//
// Each item is copied first and then deleted, since the two are on different masters: where that is interrupted in
// between it is there twice, never not at all. (A failover meanwhile may forget a copy, as it may forget any announcement: see
// that no server is about to go.) Order within a stream is kept, but for what was pending or put off. What
// cannot be read stays where it is, or goes to partition 0 where that is gone. No new partition mints a token below
// one that any old one has minted.
//
// Errors match ErrServiceRunning, ErrServiceJoined, ErrUnknownService, ErrStillWritten, ErrTakenOver, api.ErrFormat (of keys that this
// version does not know, too), api.ErrInvalidConfig, or are those of the client.
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
		return 0, fmt.Errorf("%w: service %s has keys that this version does not know, as %s: use the version that made them",
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
	for range passes {
		if err = op.rearrange(ctx, to); err == nil || !errors.Is(err, ErrStillWritten) {
			break
		}
	}
	if err == nil {
		err = op.end(ctx, strconv.Itoa(partitions), nil)
	}
	if err == nil {
		i.known.Store(to)
		op.tell(api.NoPartition)
	}
	return op.now.Moved, err
}

// raise has every new partition mint greater tokens than any old one has.
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

// rearrange brings everything home, and deletes the partitions that there are no more.
func (o *operation) rearrange(ctx context.Context, to *cluster.Layout) error {
	for p := range o.from {
		for _, kind := range stocks {
			if err := o.bringHome(ctx, kind, p, to); err != nil {
				return err
			}
		}
		o.tell(p)
	}
	s, err := o.census(ctx)
	if err != nil {
		return err
	}
	if end := s.stocked(); end > max(o.from, to.Partitions()) {
		o.from = end // somebody announces with another number still
		return ErrStillWritten
	}
	for n := len(s.Contents) - 1; n >= 0 && s.Contents[n].Partition >= to.Partitions(); n-- {
		if err := o.vacate(ctx, s.Contents[n].Partition, true); err != nil {
			return err
		}
	}
	_, err = o.sweep(ctx, to.Partitions(), leaseKey, markKey)
	return err
}
