package completion

import (
	"context"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// RestoreLease announces the entry of a lease again that has ended, since its body is gone.
func (c *Completer) RestoreLease(l *lease.Lease) {
	c.push(l.Partition(), completion{consumer: l.Session().Consumer(), tampered: tampered{was: l, found: true, memory: true},
		Disposition: lease.Disposition{Key: l.Key(), Entry: l.Entry(), Token: lease.AnyToken, Dest: lease.ToInput,
			Retries: lease.KeepCount, Crashes: lease.KeepCount}})
}

// RestoreEntry requeues an entry that was never held and is not pending any more, or has no body. Where the body is
// gone, it is announced from memory, if memory is true.
func (c *Completer) RestoreEntry(consumer string, x *lease.Entry, memory bool) {
	dest, at := notBefore(x, lease.ToInput, 0)
	e := completion{consumer: consumer, tampered: tampered{entry: remembered(x), found: true, memory: memory},
		Disposition: lease.Disposition{Key: x.Key, Entry: x.ID, Token: lease.AnyToken, Dest: dest, At: at,
			Retries: lease.KeepCount, Crashes: lease.KeepCount}}
	if e.Key == "" || !c.sessions.Alive(x.Partition, consumer) {
		return
	}
	c.push(x.Partition, e)
}

// tamperedWith reports whether a completion is to be sent again, as one whose entry somebody has acknowledged, deleted or trimmed:
// it has no body, or is not pending, which can be no success of its own, nor the doing of others: while its session lives, nobody
// but this process moves what is pending for it, unless by hand.
func (c *Completer) tamperedWith(partition int, x *completion, v lease.Verdict) bool {
	if x.finish || x.tampered.found {
		return false
	}
	switch {
	case v == lease.Gone:
		// Acknowledged by this very call.
		x.tampered.memory = true
		c.cfg.Metrics.Inc(metrics.EntriesGone)
	case v != lease.NotPending || x.tried || !c.sessions.Alive(partition, x.consumer):
		return false
	case x.lease != nil:
		if x.lease.Believed() == 0 {
			return false
		}
		x.tampered.memory = true
	}
	x.tampered.found, x.tried = true, false
	c.hooks.Tampered(partition)
	return true
}

// restoring is Store.Restore for a batch.
func restoring(s Store, batch []completion) func(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error) {
	return func(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error) {
		all := make([]lease.Restorable, len(items))
		for i := range items {
			all[i] = lease.Restorable{Disposition: items[i], Memory: batch[i].memory()}
		}
		return s.Restore(ctx, p, consumer, all)
	}
}

// tamperedOutcome decides what Redis' answer means for an entry that somebody has tampered with.
func (c *Completer) tamperedOutcome(partition int, x completion, v lease.Verdict) (err error) {
	result := metrics.TamperedAnnounced
	switch v {
	case lease.Moved, lease.FromMemory, lease.Referred:
		c.cfg.Log.Warn("announcements that this process had were acknowledged, deleted or trimmed; they are announced again", 1,
			"partition", partition, "entry", x.Entry)
	case lease.Full:
		c.cfg.Metrics.Inc(metrics.DeadLettersFull)
	case lease.Gone:
		if x.tried || !x.tampered.memory {
			// Moved by an earlier attempt; or nothing was sure to be missing.
			return nil
		}
		result, err = metrics.TamperedLost, api.ErrAnnouncementLost
		c.cfg.Log.Error("an announcement was deleted and cannot be announced again: publish it", "partition", partition, "entry", x.Entry)
	default: // pending for another consumer
		result, err = metrics.TamperedElsewhere, api.ErrLeaseLost
		if x.lease == nil {
			return err // and so it may be by right
		}
	}
	c.cfg.Metrics.Inc(metrics.Tamperings.With(result))
	if x.Dest == lease.ToDeadLetters && (v == lease.Moved || v == lease.FromMemory) || v == lease.Referred {
		c.cfg.Metrics.DeadLetter(x.Reason)
	}
	if err != nil && x.lease != nil && x.lease.Ending().Kind == lease.EndHandBack && c.cfg.Draining() {
		c.notHandedBack.Add(1)
	}
	return err
}
