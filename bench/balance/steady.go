package balance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// turnover is the share of the streams that end, and are announced again a while later.
	turnover = 0.03
	// turnEvery is the time from one such turn to the next, in the middle of which the streams are announced again; less where there is less.
	turnEvery = 5 * time.Second
)

// Calm is what happened in a fleet in which streams end and come again, and processes do not.
type Calm struct {
	Streams, Processes int
	For                time.Duration
	Ended              int    // streams
	Moves              int    // of streams that nobody ended
	First              Spread // of the shares when it began
	Spread             Spread // the extremes, when all streams were there
	Lost               int
	Overlaps           string
	Series             []Sample
}

// steady has streams end and come again.
func (b *bench) steady(ctx context.Context) (err error) {
	s, err := open(ctx, b.o, b.report, b.o.Balance)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := b.evenly(ctx, s); err != nil {
		return err
	}
	c := &Calm{Streams: s.streams, Processes: b.o.Processes, For: b.o.Rest}
	rnd := rand.New(rand.NewPCG(1, uint64(s.streams)))
	began := journal.Monotonic()
	var full []time.Duration // when all streams were there
	for end := time.Now().Add(b.o.Rest); time.Now().Before(end); {
		full = append(full, journal.Monotonic())
		ended, err := s.turn(ctx, rnd, turnover, min(turnEvery, b.o.Rest))
		if err != nil {
			return err
		}
		if err := s.awaitOwned(ctx); err != nil {
			return err
		}
		c.Ended += ended
	}
	h, err := s.read()
	if err != nil {
		return err
	}
	full = append(full, h.end)
	c.First = spreadOf(h.shares(began, s.streams))
	c.Spread = c.First
	for _, at := range full {
		now := spreadOf(h.shares(at, s.streams))
		c.Spread = Spread{min(c.Spread.Least, now.Least), max(c.Spread.Greatest, now.Greatest)}
	}
	c.Moves = len(h.moves(began, h.end))
	c.Lost, c.Overlaps = s.streams-h.seen(h.end-lasts), h.overlaps()
	for at := time.Duration(0); began+at <= h.end; at += max((h.end-began)/samples, sampleEvery) {
		c.Series = append(c.Series, Sample{at, h.heldBy(began + at)})
	}
	b.result.Steady = c
	b.steps.Done()
	return nil
}

// turn takes a time of d: it ends a share of the streams, announces them again, and returns how many.
func (s *scene) turn(ctx context.Context, rnd *rand.Rand, share float64, d time.Duration) (n int, err error) {
	began := time.Now()
	var ended []int
	for _, p := range s.living() {
		held, err := p.Ask("held")
		if err != nil {
			return 0, err
		}
		choose := 0 // each stream alike, whoever has it
		for range held.Held {
			if rnd.Float64() < share {
				choose++
			}
		}
		answer, err := p.Ask("end %d", choose)
		if err != nil {
			return 0, err
		}
		for _, stream := range answer.Ended {
			number, err := strconv.Atoi(strings.TrimPrefix(stream, s.producer.Prefix))
			if err != nil {
				return 0, fmt.Errorf("stream %q: %w", stream, err)
			}
			ended = append(ended, number)
		}
	}
	if err := measure.Pause(ctx, time.Until(began.Add(d/2))); err != nil {
		return 0, err
	}
	if err := s.producer.AnnounceEach(ctx, ended); err != nil {
		return 0, err
	}
	return len(ended), measure.Pause(ctx, time.Until(began.Add(d)))
}

const (
	// beatProcesses is how many processes beat on each of two servers, once a second.
	beatProcesses = 10
	// beatWindow is the time for which the cost of beats is read, on both servers at once. The median window counts: a busy machine
	// disturbs some of them.
	beatWindow = 5 * time.Second
	beatsFor   = 3 * time.Minute // at most
)

// BeatCosts is what a server spends on engines that hold nothing: their beats, and little else.
type BeatCosts struct {
	Processes int
	With      []BeatWindow
	Without   []BeatWindow // the same moments, on a server of its own
}

// BeatWindow is what happened in a window.
type BeatWindow struct {
	Scripts int64
	Ran     time.Duration // executing, a script
	CPU     time.Duration // processor time, a script, and what a server does by itself
}

// beats measures both at once, on private servers.
func (b *bench) beats(ctx context.Context) (err error) {
	if b.o.URL != "" {
		b.result.Left = append(b.result.Left, "beats: they are counted on private servers")
		return nil
	}
	var scenes []*scene
	defer func() {
		for _, s := range scenes {
			err = errors.Join(err, s.close())
		}
	}()
	for _, balance := range []pod.Balance{pod.BalanceOn, pod.BalanceOff} {
		s, err := open(ctx, b.o, b.report, balance)
		if err != nil {
			return err
		}
		scenes = append(scenes, s)
		if err := s.add(ctx, beatProcesses, time.Second/beatProcesses); err != nil {
			return err
		}
	}
	r := &BeatCosts{Processes: beatProcesses}
	for end := time.Now().Add(min(b.o.Rest, beatsFor)); time.Now().Before(end); {
		var before, after [2]measure.Usage
		for i, s := range scenes {
			if before[i], err = measure.ReadUsage(ctx, s.target.Client); err != nil {
				return err
			}
		}
		if err := measure.Pause(ctx, min(beatWindow, b.o.Rest)); err != nil {
			return err
		}
		for i, s := range scenes {
			if after[i], err = measure.ReadUsage(ctx, s.target.Client); err != nil {
				return err
			}
		}
		r.With = append(r.With, windowOf(after[0].Since(before[0])))
		r.Without = append(r.Without, windowOf(after[1].Since(before[1])))
	}
	b.result.Beats = r
	b.steps.Done()
	return nil
}

func windowOf(u measure.Usage) BeatWindow {
	n := u.Calls.Scripts()
	each := func(d time.Duration) time.Duration { return d / time.Duration(max(n, 1)) }
	return BeatWindow{Scripts: n, Ran: each(u.Ran["evalsha"] + u.Ran["eval"]), CPU: each(u.CPU)}
}

// more is by how much a figure of a window with the balance exceeds that without it: the median, and the middle half of the windows.
func (r *BeatCosts) more(of func(BeatWindow) time.Duration) (middle, low, high time.Duration) {
	var all []time.Duration
	for i := range r.With {
		all = append(all, of(r.With[i])-of(r.Without[i]))
	}
	return quartiles(all)
}
