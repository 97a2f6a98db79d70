package engine

import (
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/dispatch"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// ownership is where leases begin and end for the user: it takes them off the table and posts their notifications. Any goroutine may
// call it; if several end the same lease, one of them does it. All its fields are set before it is used.
type ownership struct {
	*env
	table      *lease.Table
	dispatcher *dispatch.Dispatcher
	completer  *completion.Completer
	way        delivery            // how notifications reach the user
	leaving    func(*lease.Lease)  // called before a lease is taken off the table
	ended      func(*lease.Lease)  // called when a lease is lost for good
	freed      func(stream string) // called when a stream is off the table
	lost       func(stream string) // called when this process has lost a stream, before freed
	signaled   *signaled
}

// disown ends leases that are lost, and has their entries requeued as soon as Redis answers.
func (o *ownership) disown(leases []*lease.Lease, cause metrics.Cause, why error) {
	n := 0
	for _, l := range leases {
		if o.disownOne(l, cause, why) {
			n++
			o.completer.RequeueLost(l)
		}
	}
	if n > 0 {
		o.log.Warn("streams disowned", n, "cause", why)
	}
}

// disownOne takes a lease off the table and notifies its owner, and reports whether it did. It did not if the lease had been taken
// off before, or if its owner had ended it and waits for the outcome.
func (o *ownership) disownOne(l *lease.Lease, cause metrics.Cause, why error) bool {
	o.leaving(l)
	if !o.table.Remove(l) {
		return false
	}
	o.lost(l.Stream())
	defer o.freed(l.Stream())
	if !l.Lose(why) {
		return false
	}
	o.ended(l)
	o.metrics.Inc(metrics.Disowned.With(cause))
	o.metrics.OwnershipEnded(lease.EndLost, time.Duration(o.clock.Now()-l.Since()))
	o.post(l, api.Notification{Kind: api.Disowned, Err: why})
	return true
}

// supersede notifies an owner, once, that its stream was announced again.
func (o *ownership) supersede(l *lease.Lease) {
	if l.Held() && l.Supersede() {
		o.post(l, api.Notification{Kind: api.Superseded})
	}
}

// signal passes a signal on to an owner, unless too many wait for its handler.
func (o *ownership) signal(l *lease.Lease, payload []byte) {
	if l.Remaining() == 0 {
		return
	}
	n := api.Notification{Kind: api.Signaled, Stream: l.Stream(), Token: l.Token(), Lease: l, Payload: payload}
	if o.way.prompt(n) {
		return
	}
	if !o.signaled.reserve(l) {
		o.metrics.Inc(metrics.SignalsDropped)
		return
	}
	if !o.dispatcher.Post(n) {
		o.signaled.release(l)
	}
}

// announce notifies the user of a new lease. It is passed to lease.Table.Add, which calls it with the table's mutex held
// (table.mu → Dispatcher.mu): nobody else can find the lease before Added is posted, so no other notification of it comes first.
func (o *ownership) announce(l *lease.Lease) {
	o.dispatcher.Post(api.Notification{Kind: api.Added, Stream: l.Stream(), Token: l.Token(), Lease: l})
}

// release notifies an owner, once, that its stream is to be released. why is api.ErrDraining or api.ErrRebalanced. The first reason
// counts: the owner acts on it already. release reports whether it is the first.
func (o *ownership) release(l *lease.Lease, why error) (first bool) {
	if !l.Held() || !l.TellReleasing() {
		return false
	}
	o.completer.Expect(l.Session().Partition())
	o.post(l, api.Notification{Kind: api.Releasing, Err: why})
	return true
}

// post sends an owner a notification, of any kind but Added.
func (o *ownership) post(l *lease.Lease, n api.Notification) {
	n.Stream, n.Token, n.Lease = l.Stream(), l.Token(), l
	if !o.way.prompt(n) {
		o.dispatcher.Post(n)
	}
}
