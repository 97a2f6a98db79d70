package soak

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/bench/pod"
)

const (
	// calmSessions is how many session TTLs a calm may take on top of pod.Patience: work that fails is retried after a delay.
	calmSessions = 30
	// strandedSessions is for how many session TTLs a stranded entry is left alone, so that a pod that ought to find it can.
	strandedSessions = 5
)

// calm waits until everything is done and only the running pods are left, shuts them down cleanly, and returns what is left on the server.
// It reports what is left until then to progress.
func (r *round) calm(ctx context.Context, progress func(Left)) (l Left, err error) {
	l, settled, err := r.settle(ctx, progress)
	if err != nil {
		return l, err
	}
	if settled && r.clock.off() {
		// Delayed announcements wait for the clock, too. It jumps forward by a lot, so nobody may own anything then.
		if err := r.all((*place).end); err != nil {
			return l, err
		}
		if err := r.clock.reset(); err != nil {
			return l, err
		}
		if err := r.all((*place).Start); err != nil {
			return l, err
		}
		if l, _, err = r.settle(ctx, progress); err != nil {
			return l, err
		}
	}
	if err := r.all((*place).end); err != nil {
		return l, err
	}
	if r.clock.off() {
		err = r.clock.reset()
	}
	if err != nil {
		return l, err
	}
	return r.left(ctx)
}

// settle waits until nothing moves any more: everything is done, or is stranded for good. Delayed announcements and leases may remain
// while the clock is off. Stranded entries that are excused are requeued. settled is false when the time was up.
func (r *round) settle(ctx context.Context, progress func(Left)) (l Left, settled bool, err error) {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	var since time.Time // since when only stranded entries are left
	for end := time.Now().Add(pod.Patience + calmSessions*r.options.SessionTTL); time.Now().Before(end); {
		err := r.outages.retry(ctx, func() (err error) {
			l, err = r.store.look(ctx)
			return err
		})
		if err != nil {
			return l, false, err
		}
		l.DeadLetters = 0 // they are examined at the end
		if r.clock.off() {
			l.Later, l.Leases = 0, 0 // a lease from before a step back may have minutes to live without an owner
		}
		rest := l
		rest.Input = 0
		switch {
		case rest != Left{Consumers: len(r.places) * max(r.options.Partitions, 1)}:
			since = time.Time{}
		case l.Input == 0:
			return l, true, nil
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > strandedSessions*r.options.SessionTTL:
			moved, only, err := r.requeueExcused(ctx)
			if err != nil {
				return l, false, err
			}
			if !moved && only {
				return l, true, nil
			}
			since = time.Time{}
		}
		progress(l)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return l, false, ctx.Err()
		}
	}
	return l, false, nil
}

// requeueExcused requeues the stranded entries that are excused, and reports whether there were any, and whether there were only such
// entries besides those that dead letters refer to.
func (r *round) requeueExcused(ctx context.Context) (moved, only bool, err error) {
	all, err := r.unexplained(ctx)
	if err != nil {
		return false, false, err
	}
	only = true
	owned := ownershipsOf(r.journals())
	for _, l := range all {
		if !r.excused(l, owned) {
			only = false
			continue
		}
		if err := r.store.requeue(ctx, l); err != nil {
			return moved, only, err
		}
		moved = true
		r.requeued++
	}
	return moved, only, nil
}

// unexplained returns the stranded entries that no dead letter refers to.
func (r *round) unexplained(ctx context.Context) (all []strandedEntry, err error) {
	letters, err := r.store.letters(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for _, l := range letters {
		if l.reference != "" {
			known[r.store.layout.Keys(l.partition).Input+" "+l.reference] = true
		}
	}
	stranded, err := r.store.stranded(ctx)
	for _, l := range stranded {
		if !known[l.input+" "+l.id] {
			all = append(all, l)
		}
	}
	return all, err
}

// left returns what is left when no pod runs any more. It examines the dead letters and deletes them.
func (r *round) left(ctx context.Context) (l Left, err error) {
	stranded, err := r.unexplained(ctx)
	if err != nil {
		return l, err
	}
	if r.letters, err = r.store.letters(ctx); err != nil {
		return l, err
	}
	if err := r.store.drop(ctx, r.letters); err != nil {
		return l, err
	}
	if l, err = r.store.look(ctx); err != nil {
		return l, err
	}
	l.Stranded = len(stranded)
	for _, x := range r.letters {
		if x.which != (announcement{}) && !r.poisoner.announced[x.which] {
			l.DeadLetters++
		}
	}
	return l, nil
}
