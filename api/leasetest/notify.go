package leasetest

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/streamlease/streamlease/api"
)

// Notify calls the handler with a notification of the given kind about the
// lease, does to the lease what the engine would do, and returns what the
// handler returned; a panic is returned as *api.PanicError.
//
//   - Added: an error fails the lease, unless the handler ended it. The handler
//     is called for a lost lease too, since a lease can be lost while its
//     notification waits for a worker.
//   - Releasing: as in a drain, the reason is api.ErrDraining; Release sends one
//     for another reason. The lease is handed back afterwards, unless the
//     handler ended it.
//   - Superseded: the lease is superseded first, as Supersede does.
//   - Signaled: without a payload; Signal sends one.
//   - Disowned: the lease is first ended as lost, unless it already was. Notify
//     panics if it ended in another way, since no Disowned follows then.
//   - Expired: only the name of the stream is passed on.
//   - Terminated: nothing of the lease is passed on; it may be nil.
//
// The handler's context has the values of ctx and of the lease's context. For
// the kinds that are about a held lease it ends with the lease, as in an engine
// (see api.Handler), and until the handler returns with ctx, too; for Disowned,
// Expired and Terminated it is ctx.
func Notify(ctx context.Context, h api.Handler, kind api.Kind, l *Lease) error {
	return notify(ctx, h, api.Notification{Kind: kind}, l)
}

// Signal calls the handler with a signal to the owner of the lease's stream,
// with this payload, and returns what the handler returned; a panic is returned
// as *api.PanicError. The lease stays as it is. An engine sends none for a lease
// that has ended before; one that ends meanwhile may get it.
func Signal(ctx context.Context, h api.Handler, l *Lease, payload []byte) error {
	return notify(ctx, h, api.Notification{Kind: api.Signaled, Payload: payload}, l)
}

// Release calls the handler with a Releasing for the given reason, which is
// api.ErrDraining or api.ErrRebalanced, hands the lease back for it afterwards,
// unless the handler ended it, and returns what the handler returned; a panic is
// returned as *api.PanicError.
func Release(ctx context.Context, h api.Handler, l *Lease, why error) error {
	return notify(ctx, h, api.Notification{Kind: api.Releasing, Err: why}, l)
}

func notify(ctx context.Context, h api.Handler, n api.Notification, l *Lease) error {
	kind := n.Kind
	switch kind {
	case api.Terminated:
	case api.Expired:
		n.Stream = l.Stream()
	default:
		n.Stream, n.Token, n.Lease = l.Stream(), l.Token(), l
	}
	switch kind {
	case api.Releasing:
		if n.Err == nil {
			n.Err = api.ErrDraining
		}
	case api.Superseded:
		l.Supersede()
	case api.Disowned:
		l.Lose(nil)
		o := l.Outcome()
		if o.State != Lost {
			panic(fmt.Sprintf("leasetest: no Disowned follows a lease that ended as %v", o.State))
		}
		n.Err = o.Cause
	}
	if n.Lease != nil && kind != api.Disowned {
		var returned func()
		ctx, returned = l.handling(ctx)
		defer returned()
	}
	err := call(ctx, h, n)
	switch {
	case kind == api.Releasing:
		l.HandBackFor(n.Err)
	case kind == api.Added && err != nil:
		l.end(Outcome{State: Failed, Cause: err}, api.ErrFailed)
	}
	return err
}

func call(ctx context.Context, h api.Handler, n api.Notification) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &api.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return h.Handle(ctx, n)
}
