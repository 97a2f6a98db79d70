package balance

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// flapEvery is the time from one start to the next of a process that dies again and again, and flapUp how long it lives.
	flapEvery = 30 * time.Second
	flapUp    = 20 * time.Second
	// flapLives is how long streams live on average meanwhile, so that there are always new ones for it to take.
	flapLives = 5 * time.Minute
	flapper   = "flapper" // the ID of its consumer
)

// Flaps is what one process does to a fleet that dies again and again.
type Flaps struct {
	Processes     int // besides
	Crashes       int
	With, Without Flapped
}

// Flapped is what happened with the balance, or without it.
type Flapped struct {
	Held     []int // by the process when it died, each time
	Shed     int   // streams that others handed back and it took
	Lost     int
	Overlaps string
}

// crashed is how many streams had an owner that died.
func (f Flapped) crashed() (sum int) {
	for _, n := range f.Held {
		sum += n
	}
	return sum
}

// flap has the same happen to two fleets at once, with the balance and without, on two private servers.
func (b *bench) flap(ctx context.Context) (err error) {
	if b.o.URL != "" {
		b.result.Left = append(b.result.Left, "flap: fleets with the balance and without are on private servers, at once")
		return nil
	}
	f := &Flaps{Processes: b.o.Processes, Crashes: max(1, int(b.o.Rest/flapEvery))}
	var both errgroup.Group
	for balance, result := range map[pod.Balance]*Flapped{pod.BalanceOn: &f.With, pod.BalanceOff: &f.Without} {
		s, err := open(ctx, b.o, b.report, balance)
		if err != nil {
			return errors.Join(err, both.Wait())
		}
		both.Go(func() (err error) {
			defer func() { err = errors.Join(err, s.close()) }()
			if err := b.evenly(ctx, s); err != nil {
				return err
			}
			return s.flap(ctx, result, f.Crashes, min(1, float64(b.o.Rest)/float64(flapEvery)))
		})
	}
	if err := both.Wait(); err != nil {
		return err
	}
	b.result.Flap = f
	b.steps.Done()
	return nil
}

// flap starts and kills a process so often. All times are shorter by a factor, where there is less time than one needs.
func (s *scene) flap(ctx context.Context, r *Flapped, crashes int, factor float64) error {
	began := journal.Monotonic()
	rnd := rand.New(rand.NewPCG(2, uint64(s.streams)))
	step := time.Duration(factor * float64(turnEvery))
	share := float64(turnEvery) / float64(flapLives)
	for range crashes {
		if err := s.addAs(ctx, flapper); err != nil {
			return err
		}
		p := s.processes[len(s.processes)-1]
		for range flapUp / turnEvery {
			if _, err := s.turn(ctx, rnd, share, step); err != nil {
				return err
			}
		}
		answer, err := p.Ask("held")
		if err != nil {
			return err
		}
		r.Held = append(r.Held, answer.Held)
		if err := p.kill(); err != nil {
			return err
		}
		for range (flapEvery - flapUp) / turnEvery {
			if _, err := s.turn(ctx, rnd, share, step); err != nil {
				return err
			}
		}
	}
	if err := s.awaitOwned(ctx); err != nil {
		return err
	}
	h, err := s.read()
	if err != nil {
		return err
	}
	for _, m := range h.moves(began, h.end) {
		if _, died := h.killed[m.to]; died && m.given && m.from != m.to {
			r.Shed++
		}
	}
	r.Lost, r.Overlaps = s.streams-h.seen(h.end-lasts), h.overlaps()
	return nil
}
