package soak

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// guestStays is how long a process that comes and goes stays and is away on average, in session TTLs.
	guestStays = 5
	// evenShare is how far a share may be from the fair one, besides a stream.
	evenShare = 0.10
	// evenFor is how long shares have to be even.
	evenFor = 10 * time.Second
	// lookCalm is how often processes are asked what they hold.
	lookCalm = 500 * time.Millisecond
	// ownedWithin is how long all streams may take to be owned after a storm: another build may delay those whose owners died.
	ownedWithin = 10 * time.Minute
)

// gathering is the processes of one round.
type gathering struct {
	ctx     context.Context
	options FleetOptions
	rnd     *rand.Rand
	places  []*place
	guest   *place // a process that comes and goes during the storm
}

// gather makes the places of a round, as many as chance says.
func (m *fleet) gather(ctx context.Context, number int) (g *gathering, err error) {
	o := m.options
	g = &gathering{ctx: ctx, options: o, rnd: newRand(o.Seed, number, 0)}
	n := 2 + g.rnd.IntN(o.Processes-1)
	for i := range n + 1 {
		p, err := newPlace(ctx, fmt.Sprintf("round-%d-process-%d", number, i+1), m.dir, m.target, pod.WorkerOptions{
			Service: m.producer.Service, Partitions: o.Partitions, Prefix: m.producer.Prefix, Pages: roundPages,
			LeaseTTL: o.LeaseTTL, SessionTTL: o.SessionTTL, Balance: o.Balance, Often: true,
		}, newRand(o.Seed, number, i+1), nil)
		if err != nil {
			return nil, errors.Join(err, g.close())
		}
		p.other = o.Old
		g.places = append(g.places, p)
	}
	g.guest = g.places[n]
	return g, nil
}

func (g *gathering) all(do func(*place) error) error {
	var group errgroup.Group
	for _, p := range g.places {
		if p.pod != nil && !p.pod.Ended {
			group.Go(func() error { return do(p) })
		}
	}
	return group.Wait()
}

// storm starts the processes, and has troubles strike them for a time of d, in which one more comes and goes. When it ends, all processes are of
// this build, and the guest is gone.
func (g *gathering) storm(ctx context.Context, d time.Duration) error {
	var start errgroup.Group
	for _, p := range g.places {
		if p != g.guest {
			start.Go(p.Start)
		}
	}
	if err := start.Wait(); err != nil {
		return err
	}
	storm, end := context.WithTimeout(ctx, d)
	defer end()
	group, storm := errgroup.WithContext(storm)
	for _, p := range g.places {
		if p != g.guest {
			group.Go(func() error { return p.disturb(storm) })
		}
	}
	group.Go(func() error { return g.comeAndGo(storm) })
	if err := group.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return g.upgrade()
}

// comeAndGo has the guest come, stay for a while, and go or die.
func (g *gathering) comeAndGo(ctx context.Context) error {
	stays := func() time.Duration {
		return time.Duration(guestStays * g.rnd.ExpFloat64() * float64(g.options.SessionTTL))
	}
	for measure.Pause(ctx, stays()) == nil {
		if err := g.guest.Start(); err != nil {
			return err
		}
		_ = measure.Pause(ctx, stays()) // it goes early where the storm ends
		end, name := g.guest.end, "came and went"
		if g.rnd.IntN(2) == 0 {
			end, name = g.guest.Kill, "came and was killed"
		}
		g.guest.struck[name]++
		if err := end(); err != nil {
			return err
		}
	}
	return nil
}

// upgrade replaces the processes of another build, one after the other.
func (g *gathering) upgrade() error {
	for _, p := range g.places {
		p.other = ""
		if p == g.guest || !p.isOther {
			continue
		}
		if err := p.end(); err != nil {
			return err
		}
		if err := p.Start(); err != nil {
			return err
		}
	}
	return nil
}

// calm waits until all streams are owned and shares are even, if processes see to that, and reports on both.
func (g *gathering) calm(ctx context.Context) (r FleetRound, err error) {
	began := time.Now()
	r.Processes = len(g.places) - 1
	var evenSince time.Time
	stay := evenFor
	if !g.options.balances() {
		stay = 0
	}
	for r.Owned == 0 && time.Since(began) < ownedWithin || r.Owned > 0 && time.Since(began) < g.options.Calm+evenFor {
		if r.Held, err = g.held(); err != nil {
			return r, err
		}
		sum := 0
		for _, n := range r.Held {
			sum += n
		}
		if r.Owned == 0 && sum >= g.options.Streams {
			r.Owned = time.Since(began)
		}
		switch now := time.Now(); {
		case r.Owned == 0 || g.options.balances() && !evenly(r.Held, g.options.Streams):
			evenSince = time.Time{}
		case evenSince.IsZero():
			evenSince = now
		case now.Sub(evenSince) >= stay:
			r.Even, r.Balanced = true, evenSince.Sub(began)
		}
		if r.Even {
			break
		}
		if err := measure.Pause(ctx, lookCalm); err != nil {
			return r, err
		}
	}
	r.Lost = g.options.Streams - g.owned()
	return r, nil
}

// held is how many streams each process holds.
func (g *gathering) held() (held []int, err error) {
	for _, p := range g.places {
		if p == g.guest {
			continue
		}
		answer, err := p.pod.Ask("held")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.pod.Journal.Party(), err)
		}
		held = append(held, answer.Held)
	}
	return held, nil
}

// evenly reports whether all shares are within a tenth of the fair one and a stream: from there on, an engine counts its own as too much.
func evenly(held []int, streams int) bool {
	fair := float64(streams) / float64(len(held))
	for _, n := range held {
		if math.Abs(float64(n)-fair) > evenShare*fair+1 {
			return false
		}
	}
	return true
}

// owned is how many streams had an owner within the last seconds, by the journals: one on its way to another owner is not lost.
func (g *gathering) owned() int {
	const recently = 5 * time.Second
	since, streams := journal.Monotonic()-recently, make(map[int]bool)
	for _, j := range g.journals() {
		for _, e := range j.Read() {
			if e.Until >= since {
				streams[e.Number] = true
			}
		}
	}
	return len(streams)
}

func (g *gathering) journals() (all []*journal.Journal) {
	for _, p := range g.places {
		all = append(all, p.journals()...)
	}
	return all
}

func (g *gathering) close() (err error) {
	for _, p := range g.places {
		err = errors.Join(err, p.close())
	}
	return err
}
