package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

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

// keep keeps the mark of a lease, unless that has ended: then it is forgotten already, or nobody would forget it.
func (v *leaver) keep(l *lease.Lease, mark string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l.Held() {
		v.mu.marks[l] = mark
	}
}

// forget returns the mark of a lease and keeps it no longer; "" if it has none. It is called again when the lease has ended, and not before:
// see keep.
func (v *leaver) forget(l *lease.Lease) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	mark := v.mu.marks[l]
	if mark != "" {
		delete(v.mu.marks, l)
	}
	return mark
}
