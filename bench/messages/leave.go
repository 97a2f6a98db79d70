package messages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
)

// Leave is how long a process takes to hand back what it owns, as when a deployment replaces it.
type Leave struct {
	Streams int
	Rounds  []map[Model]Left
}

// Left is one time.
type Left struct {
	Took   time.Duration // from when the process was asked to end until all its streams were free
	Redis  time.Duration // processor time a stream
	Client time.Duration
}

// leavers are the models that own something. That of Feed stores where each stream is, too.
var leavers = []Model{Owned, Feed}

func (b *bench) leaves(ctx context.Context) error {
	for _, n := range b.o.Streams {
		l := Leave{Streams: n}
		for i := range b.o.Rounds {
			turns := slices.Clone(leavers)
			if i%2 == 1 {
				slices.Reverse(turns)
			}
			round := make(map[Model]Left)
			for _, m := range turns {
				left, err := b.leaveOnce(ctx, casting{url: b.o.URL, model: m, streams: n, each: 1})
				if err != nil {
					return fmt.Errorf("%s, handing back %s streams: %w", m, report.Grouped(n), err)
				}
				round[m] = left
				b.steps.Done()
			}
			l.Rounds = append(l.Rounds, round)
		}
		b.result.Leaves = append(b.result.Leaves, l)
	}
	return nil
}

// leaveOnce has a message of each stream handled, if the model reads any, right before all of them are handed back: the positions of
// most have not been stored by then.
func (b *bench) leaveOnce(ctx context.Context, c casting) (l Left, err error) {
	s, err := stage(ctx, c, b.report)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.read(ctx); err != nil {
		return l, err
	}
	if _, err := s.settled(ctx); err != nil {
		return l, err
	}
	if _, err := s.ask("hold %d", c.streams); err != nil {
		return l, err
	}
	if s.sent, err = s.load.Fill(1); err != nil {
		return l, err
	}
	r, err := s.settled(ctx)
	if err != nil {
		return l, err
	}
	if err := s.check(r); err != nil {
		return l, err
	}
	keys, err := s.keys(ctx)
	if err != nil {
		return l, err
	}
	before, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return l, err
	}
	last, err := s.ask("leave")
	if err != nil {
		return l, err
	}
	after, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return l, err
	}
	l = Left{Took: last.Left, Redis: after.Since(before).CPU / time.Duration(c.streams), Client: (last.CPU - r.CPU) / time.Duration(c.streams)}
	left, err := s.keys(ctx)
	if gone := keys - left; err == nil && gone < int64(c.streams)-bookKeys {
		err = fmt.Errorf("%d of %d leases are gone", gone, c.streams)
	}
	return l, err
}

// bookKeys is how many keys besides leases may have been made meanwhile: a few for each partition.
const bookKeys = 64

// keys returns how many keys there are: each lease is one.
func (s *scene) keys(ctx context.Context) (n int64, err error) {
	for _, node := range s.target.Client.Nodes() {
		some, err := node.Do(ctx, node.B().Dbsize().Build()).AsInt64()
		if err != nil {
			return 0, err
		}
		n += some
	}
	return n, nil
}

// of is the median of a figure of a model.
func (l Leave) of(m Model, figure func(Left) time.Duration) time.Duration {
	var all []time.Duration
	for _, round := range l.Rounds {
		all = append(all, figure(round[m]))
	}
	return measure.Median(all)
}

// ratio is the median over the rounds of what Feed took of what Owned did.
func (l Leave) ratio() float64 {
	var all []float64
	for _, round := range l.Rounds {
		all = append(all, float64(round[Feed].Took)/float64(round[Owned].Took))
	}
	return measure.Median(all)
}
