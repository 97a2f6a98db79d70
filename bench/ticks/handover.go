package ticks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/journal"
)

// End is how a process ends.
type End string

// Ends of processes.
const (
	Replaced End = "replaced" // drained, while another one starts, as in a deploy
	Killed   End = "killed"
)

var ends = []End{Replaced, Killed}

// Handover is what became of ticks when one of two processes ended.
type Handover struct {
	End       End
	Schedules int
	Every     time.Duration
	Took      time.Duration // the drain
	Owned     time.Duration // from the end of the process until all were owned
	fired.Findings
}

func (h Handover) name() string {
	return fmt.Sprintf("%s, %s every %v", h.End, report.Grouped(h.Schedules), h.Every)
}

// catchUp is over how long ticks are spread at most that a new owner has missed.
const catchUp = 10 * time.Second

func (b *bench) handovers(ctx context.Context) error {
	for _, every := range b.o.MovedEvery {
		for _, end := range ends {
			h := Handover{End: end, Schedules: b.o.Moved, Every: every}
			if err := b.handover(ctx, &h); err != nil {
				return fmt.Errorf("%s: %w", h.name(), err)
			}
			b.result.Handovers = append(b.result.Handovers, h)
			b.steps.Done()
		}
	}
	return nil
}

// handover has two processes fire ticks, and ends one.
func (b *bench) handover(ctx context.Context, h *Handover) (err error) {
	s, err := stage(ctx, b.o.URL, ticker.Options{Model: ticker.Owned, Schedules: h.Schedules, SessionTTL: b.o.SessionTTL}, b.report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.journaled(); err != nil {
		return err
	}
	for range 2 {
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	if err := s.put(ctx, h.Every); err != nil {
		return err
	}
	if err := s.owned(ctx); err != nil {
		return err
	}
	// What was due before schedules had their owners comes meanwhile.
	if err := measure.Pause(ctx, min(h.Every, catchUp)+time.Second); err != nil {
		return err
	}
	session := cmp.Or(b.o.SessionTTL, engine.DefaultSessionTTL)
	if s.target.Cluster {
		session = cmp.Or(b.o.SessionTTL, engine.DefaultClusterSessionTTL)
	}
	begin := journal.Monotonic()
	if err := measure.Pause(ctx, min(b.o.For, h.Every)); err != nil {
		return err
	}
	t := fired.Trouble{Name: string(h.End), Process: s.processes[0].name, From: journal.Monotonic(), Quiet: h.End == Replaced}
	if h.Took, err = s.end(ctx, h.End); err != nil {
		return err
	}
	t.Until = journal.Monotonic()
	if err := s.owned(ctx); err != nil {
		return err
	}
	h.Owned = journal.Monotonic() - t.Until
	// Each schedule has a tick of its own meanwhile, after those that were missed.
	if err := measure.Pause(ctx, min(h.Every, catchUp)+h.Every+time.Second); err != nil {
		return err
	}
	h.Findings, err = s.audit(session, begin, t)
	return err
}

// end ends the first process.
func (s *scene) end(ctx context.Context, end End) (took time.Duration, err error) {
	p := s.processes[0]
	p.gone = true
	if end == Killed {
		return 0, p.Kill()
	}
	if err := s.start(ctx); err != nil {
		return 0, err
	}
	a, err := p.Ask("drain")
	return a.Took, errors.Join(err, p.Stop())
}
