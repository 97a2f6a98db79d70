package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
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

// shutStore is what a leaver asks of Redis.
type shutStore interface {
	Shut(ctx context.Context, p int, consumer string, l *lease.Lease, open bool) (lease.Verdict, string, error)
}

// leaver shuts leases, and keeps the marks that they carry.
type leaver struct {
	*env
	store func() shutStore // asked late: before the start, it may be replaced

	mu struct {
		sync.Mutex
		marks map[*lease.Lease]string // of leases that are shut
	}
}

func newLeaver(e *env, store func() shutStore) *leaver {
	v := &leaver{env: e, store: store}
	v.mu.marks = make(map[*lease.Lease]string)
	return v
}

func (v *leaver) shut(ctx context.Context, of api.Lease) error {
	l, err := own(of)
	if err != nil {
		return err
	}
	verdict, mark, err := v.ask(ctx, l, false)
	switch {
	case err != nil:
		return err
	case verdict == lease.Missing:
		return api.ErrNotShut
	case verdict != lease.Kept:
		return api.ErrLeaseLost
	}
	v.keep(l, mark)
	return nil
}

func (v *leaver) reopen(ctx context.Context, of api.Lease) error {
	l, err := own(of)
	if err != nil {
		return err
	}
	v.forget(l)
	verdict, _, err := v.ask(ctx, l, true)
	if err != nil || verdict == lease.Kept || verdict == lease.Missing {
		return err
	}
	return api.ErrLeaseLost
}

func (v *leaver) done(ctx context.Context, of api.Lease) error {
	l, err := own(of)
	if err != nil {
		return err
	}
	return l.DoneIf(ctx, v.forget(l))
}

// own returns a lease as what it is.
func own(of api.Lease) (*lease.Lease, error) {
	l, ok := of.(*lease.Lease)
	if !ok {
		return nil, fmt.Errorf("%w: %T is no lease of an engine", api.ErrNotHeld, of)
	}
	return l, nil
}

// ask shuts a lease or opens it, as often as it takes. Once the lease is not held any more it gives up.
func (v *leaver) ask(ctx context.Context, l *lease.Lease, open bool) (lease.Verdict, string, error) {
	for attempt := 1; ; attempt++ {
		if l.Remaining() == 0 {
			if e := l.Ending(); e != nil {
				return 0, "", api.NotHeld(e.Cause)
			}
			return 0, "", api.ErrLeaseLost
		}
		verdict, mark, err := v.store().Shut(ctx, l.Partition(), l.Session().Consumer(), l, open)
		switch {
		case err == nil:
			return verdict, mark, nil
		case ctx.Err() != nil:
			return 0, "", context.Cause(ctx)
		case !lease.Retryable(err):
			return 0, "", lease.Explain(err)
		}
		if !backoff.Sleep(ctx, v.backoff(attempt)) {
			return 0, "", context.Cause(ctx)
		}
	}
}

// keep keeps the mark of a lease, unless that has ended.
func (v *leaver) keep(l *lease.Lease, mark string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l.Held() {
		v.mu.marks[l] = mark
	}
}

// forget returns the mark of a lease and keeps it no longer; "" if it has none.
func (v *leaver) forget(l *lease.Lease) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	mark := v.mu.marks[l]
	if mark != "" {
		delete(v.mu.marks, l)
	}
	return mark
}
