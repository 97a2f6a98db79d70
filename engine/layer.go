package engine

import "github.com/streamlease/streamlease/api"

// Layer is what RunLayer delivers to: the way for packages that do something with every stream that is owned, such as reading it.
// They need more than a handler gets: work that goes on after Added has returned keeps the stream from being owned here a second
// time, and what happens to a stream arrives at once.
//
// Added comes first for each lease. The other methods that have a lease are called as soon as something happens, not behind other notifications, but
// never before Added has returned, one at a time for each lease, nothing after Disowned, and no further call once Ended was called.
// What is written for each Kind in package api holds for them, too. For different leases Added may run on several goroutines at
// once; the others share one goroutine, Topology aside. So no method may block, Topology aside: renewal goes on if one does, but
// other streams hear of nothing. Methods may call any method of a lease or of the engine that does not wait.
//
// Middleware of the engine (WithMiddleware) is around Added. A panic is logged. One in Added counts as a call of Ended with it.
type Layer interface {
	// Added is called when work on l may begin. Engine.Ended must be called when all work for it is over.
	Added(l api.Lease)
	// Releasing is called when the stream is to be handed back, while the lease is valid: stop, and call Engine.Ended. why matches
	// api.ErrReleasing, and api.ErrDraining or api.ErrRebalanced. In a drain, what has not ended when the time for handlers is over is
	// handed back regardless (see WithDrainTimeout); otherwise the lease is renewed until Engine.Ended is called.
	Releasing(l api.Lease, why error)
	// Superseded is called when the stream was announced again; the newer announcement waits until this lease ends.
	Superseded(l api.Lease)
	// Signaled is called with what somebody sent to the owner of the stream. payload is shared and must not be changed.
	Signaled(l api.Lease, payload []byte)
	// Disowned is called when the lease was lost; its context has ended with why.
	Disowned(l api.Lease, why error)
	// SignalsMissed is called when signals of a partition may not have arrived: they were trimmed, another server answers, its clock was
	// set back, or there were more than can be read. Signaled may have been due for any stream of it that is owned, so look at all of them as
	// if it had been called: what made somebody send a signal is to be found where it is stored. That is not
	// urgent, and every process is in the same place: spread what it costs. A stream whose Added begins later needs no look. What happens
	// several times before it is called leads to one call. While signals are refused, for want of a right, it is not called, and nothing
	// arrives: a layer that relies on them looks from time to time regardless.
	SignalsMissed(partition int)
	// Topology is called when a server was replaced, or slots have moved: compare SlotMaster with what it was. It may block: what
	// changes meanwhile leads to one more call.
	Topology()
}
