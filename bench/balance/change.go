package balance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	balancing "github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// samples is about how many points a line of the plot has, and sampleEvery the time between two at least.
	samples     = 240
	sampleEvery = 250 * time.Millisecond
	// handicap is how long a stream may wait until it is taken by whoever reads, whatever the shares.
	handicap = 500 * time.Millisecond
)

// Change is what happened when the processes of a fleet changed.
type Change struct {
	Part      Part
	Streams   int
	Processes int           // when it began
	After     int           // when it ended
	Took      time.Duration // of the change itself: long only where processes are replaced one after the other
	Even      bool          // shares have become even, and stayed so
	Balanced  time.Duration // until then: of a change that takes long, from its end
	Owned     time.Duration // until all streams had an owner again
	First     Spread        // of the shares when the change itself was over
	Spread    Spread        // at the end
	Peak      float64       // the greatest share of the fair one at the end that anybody had; where processes are added, any of these
	Moves     Moves
	Cost      *MoveCost // nil: too few moves to say
	Leftovers float64   // reads of what had waited for too long
	Lost      int       // streams that nobody owns at the end
	Overlaps  string    // two owners or falling tokens, as the journals show; empty: neither
	Series    []Sample
}

// Spread is the least and the greatest share, of a fair one.
type Spread struct{ Least, Greatest float64 }

// Moves are changes of owners.
type Moves struct {
	All    int
	Mean   float64         // a stream
	Most   int             // of one stream
	Often  int             // streams that moved more than twice
	Back   int             // moves to the process that had given the stream
	Dead   int             // moves of what a dead process had owned
	Gap    measure.Latency // from the last moment of an owner that handed back to the notification of the next one
	Waited int             // such gaps that were as long as the handicap
	Orphan measure.Latency // from the death of an owner
}

// MoveCost is what a move costs the server, besides what the fleet costs when nothing moves. Off is the standard error.
type MoveCost struct {
	Commands float64       // that clients sent
	Ran      float64       // that the server ran, those that scripts call included
	CPU, Off time.Duration // processor time
}

// Sample is how many streams each process holds at a time; -1: it takes no part.
type Sample struct {
	At   time.Duration // since the change began
	Held []int
}

// change has the processes change, waits until shares are even, and reports on that.
func (b *bench) change(ctx context.Context, s *scene, part Part, act func() error) (c Change, err error) {
	c = Change{Part: part, Processes: len(s.living())}
	if err := b.profile(s, part); err != nil {
		return c, err
	}
	before, err := s.spent(ctx)
	if err != nil {
		return c, err
	}
	began := journal.Monotonic()
	if err := act(); err != nil {
		return c, err
	}
	acted := journal.Monotonic()
	meter := &meter{scene: s}
	if part == Drain || part == Kill { // else what processes cost that start would count
		meter.costs = []cost{before.cost}
	}
	c.Even, err = s.settle(ctx, b.o.Within, b.o.Stay, meter.read)
	if err == nil && !c.Even {
		// What a dead process owned may not have an owner yet. Streams that stay without one are counted, and are no error here.
		if err = s.awaitOwned(ctx); ctx.Err() == nil {
			err = nil
		}
	}
	if err != nil {
		return c, err
	}
	after, err := s.spent(ctx)
	if err != nil {
		return c, err
	}
	h, err := s.read()
	if err != nil {
		return c, err
	}
	c.Streams, c.After, c.Leftovers = s.streams, len(s.living()), after.leftoversSince(before)
	c.tell(h, began, acted)
	if part != Deploy { // where moves are over before the meter is read
		c.Cost = moveCost(meter.costs, h.moves(began, h.end))
	}
	b.result.Changes = append(b.result.Changes, c)
	b.steps.Done()
	return c, nil
}

// profile begins a profile of each living process, if profiles are asked for. It ends with the next one, or with the process if that is not killed.
func (b *bench) profile(s *scene, part Part) error {
	if b.o.Profiles == "" {
		return nil
	}
	if err := os.MkdirAll(b.o.Profiles, 0o755); err != nil {
		return fmt.Errorf("-profiles: %w", err)
	}
	for _, p := range s.living() {
		name := fmt.Sprintf("%s-%s.pprof", part, p.Journal.Party())
		if _, err := p.Ask("profile %s", filepath.Join(b.o.Profiles, name)); err != nil {
			return fmt.Errorf("-profiles: %w", err)
		}
	}
	return nil
}

// tell fills in what the journals show.
func (c *Change) tell(h *history, began, acted time.Duration) {
	until := h.end
	c.Took = acted - began
	from := began
	if c.Part == Deploy {
		from = acted
	}
	if took, even := h.evenSince(from, until, c.Streams); c.Even && even {
		c.Balanced = took
	} else {
		c.Even = false
	}
	c.Owned = h.ownedSince(began, until, c.Streams)
	c.First, c.Spread = spreadOf(h.shares(acted, c.Streams)), spreadOf(h.shares(until, c.Streams))
	most := h.peak(began, until, func(process int) bool {
		return c.Part != Scale || h.lives[process].from > began // who held all streams is none that receives
	})
	c.Peak = float64(most) * float64(c.After) / float64(c.Streams)
	c.Moves = movesOf(h.moves(began, until), c.Streams)
	c.Lost, c.Overlaps = c.Streams-h.seen(until-lasts), h.overlaps()
	step := max((until-began)/samples, sampleEvery)
	for at := time.Duration(0); began+at <= until; at += step {
		c.Series = append(c.Series, Sample{at, h.heldBy(began + at)})
	}
}

// changes measures what happens when processes are added, drained and killed, one after the other.
func (b *bench) changes(ctx context.Context) (err error) {
	s, err := open(ctx, b.o, b.report, b.o.Balance)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if b.has(Scale) {
		if err := s.add(ctx, 1, 0); err != nil {
			return err
		}
		if err := s.fill(ctx, b.o.Streams, 0); err != nil {
			return err
		}
		// As in a fleet that has run for a while: leases are renewed, and no stream was taken too short a time ago to be moved. Who has less
		// time than that sees nothing moved anyway.
		if err := measure.Pause(ctx, max(b.o.Stay, min(balancing.MinHold, b.o.Within))); err != nil {
			return err
		}
		if _, err := b.change(ctx, s, Scale, func() error { return s.add(ctx, b.o.Processes-1, 0) }); err != nil {
			return err
		}
	} else if err := b.evenly(ctx, s); err != nil {
		return err
	}
	if b.has(Drain) {
		if _, err := b.change(ctx, s, Drain, func() error { return s.living()[0].drain() }); err != nil {
			return err
		}
	}
	if b.has(Kill) && len(s.living()) > 1 {
		victim, err := s.fullest()
		if err != nil {
			return err
		}
		if _, err := b.change(ctx, s, Kill, victim.kill); err != nil {
			return err
		}
	}
	return nil
}

// fullest is the living process that holds most streams.
func (s *scene) fullest() (p *process, err error) {
	held, err := s.held()
	if err != nil {
		return nil, err
	}
	return s.living()[slices.Index(held, slices.Max(held))], nil
}

// fillOver is how long it takes to announce all streams to processes that are to share them evenly from the beginning, or Options.Stay if that
// is less.
const fillOver = 5 * time.Second

// evenly starts all processes, and announces the streams so slowly that shares can be even.
func (b *bench) evenly(ctx context.Context, s *scene) error {
	if err := s.add(ctx, b.o.Processes, 0); err != nil {
		return err
	}
	if err := s.fill(ctx, b.o.Streams, min(fillOver, b.o.Stay)); err != nil {
		return err
	}
	return measure.Pause(ctx, b.o.Stay)
}

// fill announces streams up to a number over a time, and waits until all are owned.
func (s *scene) fill(ctx context.Context, upTo int, over time.Duration) error {
	if err := s.announce(ctx, upTo, over); err != nil {
		return err
	}
	return s.awaitOwned(ctx)
}

// deploy replaces all processes, one after the other: a new one starts, then an old one ends.
func (b *bench) deploy(ctx context.Context) (err error) {
	s, err := open(ctx, b.o, b.report, b.o.Balance)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := b.evenly(ctx, s); err != nil {
		return err
	}
	_, err = b.change(ctx, s, Deploy, func() error {
		began := time.Now()
		for i := range b.o.Processes {
			if err := s.add(ctx, 1, 0); err != nil {
				return err
			}
			if err := s.processes[i].drain(); err != nil {
				return err
			}
			if i == b.o.Processes-1 {
				return s.awaitOwned(ctx)
			}
			if err := measure.Pause(ctx, max(0, time.Until(began.Add(time.Duration(i+1)*b.o.Step)))); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// startsWithin is the time in which all processes of a fleet start that is rolled out at once.
const startsWithin = 2 * time.Second

// cold has all processes start while all streams wait.
func (b *bench) cold(ctx context.Context) (err error) {
	s, err := open(ctx, b.o, b.report, b.o.Balance)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.announce(ctx, b.o.Streams, 0); err != nil {
		return err
	}
	_, err = b.change(ctx, s, Cold, func() error {
		if err := s.add(ctx, b.o.Processes, startsWithin/time.Duration(b.o.Processes)); err != nil {
			return err
		}
		return s.awaitOwned(ctx)
	})
	return err
}
