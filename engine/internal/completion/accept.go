package completion

import (
	"cmp"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// Target is where an entry is requeued to. The zero value is the input stream, at once.
type Target struct {
	Dest   lease.Dest
	At     int64         // not before then, in ms of the server's clock
	Delay  time.Duration // from when the server moves it
	Reason string        // of a dead letter
}

// End accepts the end of a lease that its owner or the engine has ended. It implements lease.Completer.
func (c *Completer) End(l *lease.Lease) {
	ending := l.Ending()
	if ending.IfShut == "" {
		c.cfg.Metrics.OwnershipEnded(ending.Kind, time.Duration(c.cfg.Clock.Now()-l.Since()))
	}
	x := completion{
		consumer: l.Session().Consumer(),
		lease:    l,
		finish:   ending.Kind == lease.EndDone,
		Disposition: lease.Disposition{
			Key: l.Key(), Entry: l.Entry(), Token: l.Token().String(), Dest: lease.ToInput,
			Retries: lease.KeepCount, Crashes: lease.KeepCount, IfShut: ending.IfShut,
		},
	}
	l.EndCheckpoint(&x.Disposition)
	if ending.Kind == lease.EndFailed {
		policy{c.cfg.Policy, c.cfg.Random}.decide(&x.Disposition, l.Attempt(), ending.Why)
	}
	c.push(l.Partition(), x)
}

// RequeueLost requeues the entry of a lease that was lost; it counts no retry.
func (c *Completer) RequeueLost(l *lease.Lease) {
	c.push(l.Partition(), completion{consumer: l.Session().Consumer(), tampered: tampered{was: l}, Disposition: lease.Disposition{
		Key: l.Key(), Entry: l.Entry(), Token: lease.AnyToken, Dest: lease.ToInput,
		Retries: lease.KeepCount, Crashes: lease.KeepCount,
	}})
}

// RequeueUnread gives back the entry of a lease that was acquired and is not delivered, after a delay; it counts no retry.
func (c *Completer) RequeueUnread(l *lease.Lease, delay time.Duration) {
	c.push(l.Partition(), completion{consumer: l.Session().Consumer(), tampered: tampered{was: l}, Disposition: lease.Disposition{
		Key: l.Key(), Entry: l.Entry(), Token: lease.AnyToken, Dest: lease.ToLater, Delay: delay,
		Retries: lease.KeepCount, Crashes: lease.KeepCount,
	}})
}

// Requeue moves an entry that was never held. One that nobody can read becomes a dead letter, whatever its target.
func (c *Completer) Requeue(consumer string, x *lease.Entry, to Target) {
	to.Dest = cmp.Or(to.Dest, lease.ToInput)
	var malformed error
	if x.Stream == "" && to.Dest != lease.ToDeadLetters {
		_, malformed = lease.Parse(c.cfg.Layout, x)
	}
	r := lease.RequeueEntry(x, malformed, c.cfg.Layout.Keys(x.Partition).Lease(""))
	if r.Dest != lease.ToDeadLetters {
		r.Dest, r.At = notBefore(x, to.Dest, to.At)
		r.Delay, r.Reason = to.Delay, to.Reason
	}
	c.push(x.Partition, completion{consumer: consumer, tampered: tampered{entry: remembered(x)}, Disposition: r})
}

// notBefore delays an entry until the time that its producer set: a copy in the input stream would not carry it.
func notBefore(x *lease.Entry, dest lease.Dest, at int64) (lease.Dest, int64) {
	if x.NotBefore == 0 || dest == lease.ToDeadLetters {
		return dest, at
	}
	return lease.ToLater, max(at, x.NotBefore)
}

// Forwarded acknowledges an entry that was copied to its own partition.
func (c *Completer) Forwarded(consumer string, x *lease.Entry) {
	c.push(x.Partition, completion{consumer: consumer, finish: true,
		Disposition: lease.Disposition{Key: c.cfg.Layout.Keys(x.Partition).Lease(""), Entry: x.ID}})
}

func (c *Completer) push(partition int, x completion) {
	c.weigh(partition, &x)
	c.mu.Lock()
	c.mu.fresh[partition]++
	if c.mu.closed {
		c.mu.Unlock()
		c.settle(partition, x, api.ErrClosed)
		return
	}
	c.mu.queues[partition].put(x)
	c.mu.entries[entryKey{partition, x.Entry}] = struct{}{}
	c.mu.Unlock()
	c.queued.Broadcast()
	c.work.Add(partition)
}

// weigh counts what a completion holds of an entry that was read, until it is settled.
func (c *Completer) weigh(partition int, x *completion) {
	n := x.weight()
	c.hooks.Hold(partition, n-x.held)
	x.held = n
}
