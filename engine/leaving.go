package engine

import (
	"context"

	"github.com/streamlease/streamlease/api"
)

// Shut begins to leave a stream that has nothing to do at the moment, without Done at the wrong moment leaving a message that nobody
// hears of: see [OnlyIfUnowned], for which a lease that is shut counts as unowned. The owner goes on as such. To leave:
//
//  1. Shut.
//  2. Look at the data stream, on its master: is there anything that was not handled? If so, Reopen, and go on.
//  3. DoneIfShut. With api.ErrNotShut, begin again.
//
// lease/lua/shut.lua in the source shows why nothing is left behind, whatever fails. Nothing has to be undone: an owner that dies is
// recovered as always, and a lease that stays shut costs announcements that are not needed, and nothing else.
//
// What the server refuses or does not answer is retried until ctx ends; while the stream's slot migrates it is refused. Errors match
// api.ErrNotHeld if the lease has ended, api.ErrLeaseLost if the server says that it is another's, api.ErrNotShut if the server has
// forgotten the lease, which may be in the course of being restored; or they are that of ctx, or of a server that retrying does not
// help with. Calling it again is allowed: the last call counts.
func (e *Engine) Shut(ctx context.Context, l api.Lease) error { return e.leaver.shut(ctx, l) }

// Reopen takes back Shut. It is a courtesy to producers: without it they go on announcing a stream that has an owner. Errors are as
// with Shut, without ErrNotShut.
func (e *Engine) Reopen(ctx context.Context, l api.Lease) error { return e.leaver.reopen(ctx, l) }

// DoneIfShut is Done, but only if the lease is still shut as the last Shut left it; else it returns api.ErrNotShut, and the lease is
// held as before. Whoever calls it must have no work under way for the stream: until it returns it is not known whether the stream is
// still owned. Meanwhile Remaining of the lease is 0, and its context has not ended: that ends if DoneIfShut succeeds. If not,
// Remaining is as before.
//
// It returns nil on success, and again when it is called later. Other errors are those of Done, with the same meaning: in particular,
// with one that matches api.ErrLeaseLost the lease has ended, and no Disowned follows. If ctx ends first, the question goes on in the
// background: call DoneIfShut again to wait for the answer. Release, Fail and what the engine does to end the lease take effect if
// DoneIfShut does not.
func (e *Engine) DoneIfShut(ctx context.Context, l api.Lease) error { return e.leaver.done(ctx, l) }
