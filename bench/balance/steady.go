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
