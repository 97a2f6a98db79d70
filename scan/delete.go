package scan

import (
	"context"
	"errors"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// DeleteService deletes everything that a service has in Redis, in every partition that there could be, and returns how many
// keys that were. Announcements, whether undelivered, pending or delayed, dead letters and schedules are lost. Survey shows beforehand
// what there is. progress, which may be nil, is called now and then.
//
// The service must be stopped: while a session is alive, or a legacy consumer, of the library that this one replaces, holds the
// lock of an entry (api.ErrForeignConsumers), the error matches ErrServiceRunning and nothing is changed. (A legacy consumer
// that has nothing pending at that moment cannot be seen.) From the first step to the last, no consumer can start to work with
// the service (api.ErrServiceStopped). After any other error, calling DeleteService again continues with what is left.
// ErrServiceJoined is one of those: consumers are alive although some was deleted; stop them first. When another call takes over,
// to delete the service or to keep what is left, this one deletes nothing more (ErrTakenOver). Keys are unlinked in pages, so
// the server is not blocked.
//
// Errors match ErrServiceRunning, ErrServiceJoined, ErrStillWritten, ErrTakenOver, api.ErrFormat, or are those of the client. A
// service of the same name may be created again at once: tokens keep rising, since they are minted from the server's clock.
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
	for range maxPasses {
		if err = op.empty(ctx); err == nil || !errors.Is(err, ErrStillWritten) {
			break
		}
	}
	i.known.Store(nil)
	return op.now.Deleted, err
}

// empty deletes everything, the record last.
func (o *operation) empty(ctx context.Context) error {
	// What others look at first goes last: sessions after everything that they protect, the record after all else.
	if _, err := o.unlinkScanned(ctx, 0, leaseKey, markKey, unknownKey); err != nil {
		return err
	}
	if err := o.unlink(ctx, 0, []string{o.all.Wishes()}, false); err != nil {
		return err
	}
	s, err := o.census(ctx)
	if err != nil {
		return err
	}
	for n := len(s.Contents) - 1; n >= 0; n-- {
		p := s.Contents[n].Partition
		if err := o.unlinkCore(ctx, p, false); err != nil {
			return err
		}
		o.report(p)
	}
	if err := o.end(ctx, "", append(coreKeys(o.all.Keys(0)), o.all.Wishes())); err != nil {
		return err
	}
	o.now.Deleted++
	o.report(api.NoPartition)
	return nil
}
