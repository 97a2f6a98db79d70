package scan

import (
	"context"
	"errors"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// DeleteService deletes all that a service has in Redis, in every partition that there could be, and answers how many
// keys that were: announcements, whether waiting, pending or put off, and dead letters are lost. Survey says beforehand
// what there is. progress, which may be nil, is called now and then.
//
// The service must be stopped: while a session is alive, or a consumer of the library that this one follows holds the lock
// of an entry (api.ErrForeignConsumers), the error matches ErrServiceRunning and nothing is changed. (One of those that has
// nothing pending at that moment cannot be seen.) From the first step until the last nobody can start to work with it
// (api.ErrServiceStopped); after any other error, doing the same again goes on with what is left. ErrServiceJoined is one of
// those: consumers are alive although some was deleted; stop them first. When somebody else takes over, to delete the
// service or to keep what is left, this call deletes nothing more (ErrTakenOver). Keys are unlinked in pages, so the
// server is not blocked.
//
// Errors match ErrServiceRunning, ErrServiceJoined, ErrStillWritten, ErrTakenOver, api.ErrFormat, or are those of the client. A service of the
// same name may be made again at once: tokens go on rising, since they are minted from the server's clock.
func (i *Inspector) DeleteService(ctx context.Context, progress func(Progress)) (deleted int, err error) {
	s, err := i.census(ctx)
	if err != nil {
		return 0, err
	}
	op, err := i.begin(ctx, lease.Deleting, "", s, progress)
	if err != nil {
		return 0, err
	}
	op.now.Of = s.end()
	for range passes {
		if err = op.empty(ctx); err == nil || !errors.Is(err, ErrStillWritten) {
			break
		}
	}
	i.known.Store(nil)
	return op.now.Deleted, err
}

// empty deletes everything, the record last.
func (o *operation) empty(ctx context.Context) error {
	// What others find by first goes last: sessions after all that they protect, the record after everything.
	if _, err := o.sweep(ctx, 0, leaseKey, markKey, unknownKey); err != nil {
		return err
	}
	s, err := o.census(ctx)
	if err != nil {
		return err
	}
	for n := len(s.Contents) - 1; n >= 0; n-- {
		p := s.Contents[n].Partition
		if err := o.vacate(ctx, p, false); err != nil {
			return err
		}
		o.tell(p)
	}
	k := o.all.Keys(0)
	if err := o.end(ctx, "", []string{k.Input, k.Later, k.DeadLetters, k.Token, k.Scan, k.Sessions}); err != nil {
		return err
	}
	o.now.Deleted++
	o.tell(api.NoPartition)
	return nil
}
