package soak

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/bench/pod"
)

const (
	// calmSessions is how many session TTLs a calm may take besides: work that fails is done again after a while.
	calmSessions = 30
	// strandedSessions is for how many session TTLs what nobody need know of stays where it is, for somebody to find it.
	strandedSessions = 5
)

// calm waits until all is done and nobody is there but the pods that run, has those end in good order, and says what is
// left. tell hears what is left before that.
func (r *round) calm(ctx context.Context, tell func(Left)) (l Left, err error) {
	l, quiet, err := r.settle(ctx, tell)
	if err != nil {
		return l, err
	}
	if quiet && r.clock.off() {
		// What waits for its time waits for the clock as well. It goes forward by much, so nobody may own anything then.
		if err := r.all((*place).end); err != nil {
			return l, err
		}
		if err := r.clock.reset(); err != nil {
			return l, err
		}
		if err := r.all((*place).Start); err != nil {
			return l, err
		}
		if l, _, err = r.settle(ctx, tell); err != nil {
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

// settle waits until nothing moves any more: all is done, or stands still where nobody comes by it. Delayed announcements and leases
// may wait where the clock is wrong. Stranded entries that nobody need know of are brought back.
func (r *round) settle(ctx context.Context, tell func(Left)) (l Left, quiet bool, err error) {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	var since time.Time // when it first was quiet but for what is stranded
	for end := time.Now().Add(pod.Patience + calmSessions*r.options.SessionTTL); time.Now().Before(end); {
		err := r.outages.retry(ctx, func() (err error) {
			l, err = r.store.look(ctx)
			return err
		})
		if err != nil {
			return l, false, err
		}
		l.DeadLetters = 0 // they are looked at when all is over
		if r.clock.off() {
			l.Later, l.Leases = 0, 0 // a lease that was set before a step back may have minutes left, of nobody
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
		tell(l)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return l, false, ctx.Err()
		}
	}
	return l, false, nil
}

// bringBack brings back the stranded entries that nobody need know of, and reports whether there were some, and whether all others
// are what dead letters stand for.
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

// nobodys are the stranded entries but for those that dead letters stand for.
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

// left says what is left when no pod runs any more, looks at the dead letters and deletes them.
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
