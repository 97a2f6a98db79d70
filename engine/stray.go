package engine

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// stray is what an errand knows of an entry that somebody may have acknowledged, deleted or trimmed.
type stray struct {
	entry  *lease.Entry // what is remembered of one that was never held; or
	was    *lease.Lease // that was held, and nobody waits for
	found  bool         // so it is: what is left of it goes where it should
	memory bool         // where nothing is left, it is announced again from memory
}

// memory is what this process remembers of the announcement, if it is to be announced from that.
func (x *errand) memory() lease.Memory {
	switch {
	case !x.stray.memory:
	case x.lease != nil:
		return x.lease.Memory()
	case x.stray.was != nil:
		return x.stray.was.Memory()
	case x.stray.entry != nil:
		return x.stray.entry.Memory()
	}
	return lease.Memory{}
}

// remembered is what is kept of an entry that was never held: what it can be announced from, and nothing else of it.
func remembered(x *lease.Entry) *lease.Entry {
	m := x.Memory()
	if m.Stream == "" {
		return nil
	}
	return &lease.Entry{Stream: m.Stream, Info: m.Info, Retries: m.Retries, Crashes: m.Crashes}
}

func (x *errand) memoryWeight() int {
	m := x.memory()
	return len(m.Info) + len(m.Stream) + lease.FieldWeight
}

// restoreLease announces the entry of a lease again that has ended, since its body is gone.
func (d *ender) restoreLease(l *lease.Lease) {
	d.push(l.Partition(), errand{consumer: l.Session().Consumer(), stray: stray{was: l, found: true, memory: true},
		Disposition: lease.Disposition{Key: l.Key(), Entry: l.Entry(), Token: lease.AnyToken, Dest: lease.ToInput,
			Retries: lease.KeepCount, Crashes: lease.KeepCount}})
}

// restoreEntry hands an entry out again that was never held and is not pending any more, or has no body. Where the body is
// gone, it is announced from memory, if that is said to be right.
func (d *ender) restoreEntry(consumer string, x *lease.Entry, memory bool) {
	dest, at := notBefore(x, lease.ToInput, 0)
	e := errand{consumer: consumer, stray: stray{entry: remembered(x), found: true, memory: memory},
		Disposition: lease.Disposition{Key: x.Key, Entry: x.ID, Token: lease.AnyToken, Dest: dest, At: at,
			Retries: lease.KeepCount, Crashes: lease.KeepCount}}
	if e.Key == "" || !d.lives(x.Partition, consumer) {
		return
	}
	d.push(x.Partition, e)
}

// lives reports whether a consumer's session lives: nobody but this process has moved what was pending for it, then, unless
// by hand.
func (d *ender) lives(partition int, consumer string) bool {
	s, _ := d.e.partitions[partition].view()
	return s != nil && s.Consumer() == consumer && s.Remaining() > 0
}

// goesAstray reports whether an errand is to be asked again, as one whose entry somebody has acknowledged, deleted or trimmed:
// it has no body, or is not pending, which can be no success of its own, nor the doing of others.
func (d *ender) goesAstray(partition int, x *errand, v lease.Verdict) bool {
	if x.finish || x.stray.found {
		return false
	}
	switch {
	case v == lease.Gone:
		// Acknowledged by this very call.
		x.stray.memory = true
		d.e.metrics.gone(1)
	case v != lease.NotPending || x.tried || !d.lives(partition, x.consumer):
		return false
	case x.lease != nil:
		if x.lease.Believed() == 0 {
			return false
		}
		x.stray.memory = true
	}
	x.stray.found, x.tried = true, false
	d.e.compareSoon(d.e.partitions[partition])
	return true
}

// restoring is Store.Restore for a batch.
func restoring(s store, batch []errand) func(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error) {
	return func(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error) {
		all := make([]lease.Restorable, len(items))
		for i := range items {
			all[i] = lease.Restorable{Disposition: items[i], Memory: batch[i].memory()}
		}
		return s.Restore(ctx, p, consumer, all)
	}
}

// strayOutcome judges what Redis said of an entry that went astray.
func (d *ender) strayOutcome(partition int, x errand, v lease.Verdict) (err error) {
	result := tamperedAnnounced
	switch v {
	case lease.Moved, lease.FromMemory, lease.Referred:
		d.e.log.Warn("announcements that this process had were acknowledged, deleted or trimmed; they are announced again", 1,
			"partition", partition, "entry", x.Entry)
	case lease.Full:
		d.e.metrics.deadLettersFull()
	case lease.Gone:
		if x.tried || !x.stray.memory {
			// Moved by an earlier attempt; or nothing was sure to be missing.
			return nil
		}
		result, err = tamperedLost, api.ErrAnnouncementLost
		d.e.log.Error("an announcement was deleted and cannot be announced again: publish it", "partition", partition, "entry", x.Entry)
	default: // pending for another consumer
		result, err = tamperedElsewhere, api.ErrLeaseLost
		if x.lease == nil {
			return err // and so it may be by right
		}
	}
	d.e.metrics.tampered(result, 1)
	if x.Dest == lease.ToDeadLetters && (v == lease.Moved || v == lease.FromMemory) || v == lease.Referred {
		d.e.metrics.deadLetter(x.Reason)
	}
	if err != nil && x.lease != nil && x.lease.Ending().Kind == lease.EndHandBack && d.e.life.drain.Err() != nil {
		d.notHandedBack.Add(1)
	}
	return err
}

// errNotHandedBack says how many hand-backs of a drain moved nothing, nil for none.
func (d *ender) errNotHandedBack() error {
	n := d.notHandedBack.Load()
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d streams: their announcements are pending for another consumer by hand, or were deleted", api.ErrNotHandedBack, n)
}
