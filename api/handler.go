package api

import "context"

// Handler receives the notifications of an engine. Handle is called from
// several goroutines at once, but only from one at a time for each stream.
// [Expired] is the exception: a hint about another process's stream waits for
// nothing and delays nothing, so it may be handled while another notification
// of its stream is.
//
// Handle should return at once: after an [Added] that returns nil, the lease is
// kept and renewed until it ends, and the work goes on wherever the program
// wants it. A Handle that blocks keeps a worker of a bounded pool busy.
//
// ctx carries the values of the context that the engine was run with.
//
//	notification                             ctx ends
//	Added, Releasing, Superseded, Signaled   with the lease: it is [Lease.Context]
//	Disowned, Expired                        when a drain waits for handlers no longer
//	Terminated                               before the drain timeout does
//
// So work that is started with the ctx of Added stops when the stream is lost,
// and, since Done, Release and Fail end the lease, when it is given up; what is
// to go on after that needs a context of its own (context.WithoutCancel). A
// handler of Disowned gets one that has not ended, to clean up with. When a
// drain has waited long enough for handlers, every lease that is still held is
// handed back, which ends the ctx of those that still run, with a cause that
// matches [ErrDraining] and [ErrDrainTimeout].
//
// An error or a panic in Added fails the lease as [Lease.Fail] does;
// [Permanent] and [Snooze] change what that means. Errors from other kinds are
// logged and counted, and change nothing. A lease that the handler ended itself
// stays as it was ended, whatever the handler returns.
type Handler interface {
	// Handle handles one notification. An error fails the lease where the kind
	// is Added, and is logged and counted otherwise.
	Handle(ctx context.Context, n Notification) error
}

// HandlerFunc is a function that is a [Handler].
type HandlerFunc func(ctx context.Context, n Notification) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, n Notification) error {
	return f(ctx, n)
}

// Funcs is a [Handler] made of one function for each kind of notification. For
// a kind that has no function, or that Funcs does not know, Handle returns nil.
// The zero value ignores everything; without Added, streams are still taken
// and kept, for a program that finds them by asking the engine.
//
// In Added, Releasing, Superseded and Signaled, ctx ends with the lease, so
// work started with it ends in time; in the others it does not (see [Handler]).
type Funcs struct {
	// Each is called for notifications of the kind that it is named after; nil
	// ignores them.
	Added      func(ctx context.Context, n Notification) error
	Disowned   func(ctx context.Context, n Notification) error
	Expired    func(ctx context.Context, n Notification) error
	Terminated func(ctx context.Context, n Notification) error
	Releasing  func(ctx context.Context, n Notification) error
	Superseded func(ctx context.Context, n Notification) error
	Signaled   func(ctx context.Context, n Notification) error
}

// Handle calls the function for the kind of n, if there is one.
func (f Funcs) Handle(ctx context.Context, n Notification) error {
	call := f.of(n.Kind)
	if call == nil {
		return nil
	}
	return call(ctx, n)
}

func (f Funcs) of(k Kind) func(context.Context, Notification) error {
	switch k {
	case Added:
		return f.Added
	case Disowned:
		return f.Disowned
	case Expired:
		return f.Expired
	case Terminated:
		return f.Terminated
	case Releasing:
		return f.Releasing
	case Superseded:
		return f.Superseded
	case Signaled:
		return f.Signaled
	}
	return nil
}
