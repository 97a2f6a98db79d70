package main

import (
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// steps shows on stderr how far long work is: as a bar on a terminal, else as a line now and then.
type steps struct {
	errs io.Writer
	what string
	last time.Time // of the last line, or the beginning

	// On a terminal.
	writer  progress.Writer
	tracker *progress.Tracker
	over    chan struct{}
}

// steps shows the progress of work of so many steps, 0 if that is unknown, until end is called.
func (c *call) steps(what string, total int) *steps {
	s := &steps{errs: c.errs, what: what, last: time.Now()}
	if !c.screen(c.errs).terminal {
		return s
	}
	s.writer, s.tracker, s.over = progress.NewWriter(), &progress.Tracker{Message: what, Total: int64(total)}, make(chan struct{})
	s.writer.SetOutputWriter(c.errs)
	s.writer.SetUpdateFrequency(250 * time.Millisecond)
	s.writer.SetTrackerLength(30)
	s.writer.SetTrackerPosition(progress.PositionRight)
	s.writer.Style().Options.TimeInProgressPrecision = time.Second
	s.writer.Style().Options.TimeDonePrecision = time.Second
	s.writer.AppendTracker(s.tracker)
	go func() {
		defer close(s.over)
		s.writer.Render()
	}()
	return s
}

// at shows that so many of all steps are done, and what there is to say.
func (s *steps) at(done, total int, format string, args ...any) {
	text := visible(fmt.Sprintf(format, args...))
	if s.writer != nil {
		s.tracker.UpdateTotal(int64(total))
		s.tracker.SetValue(int64(done))
		s.tracker.UpdateMessage(s.what + ": " + text)
		return
	}
	if now := time.Now(); now.Sub(s.last) >= time.Second/2 {
		s.last = now
		fmt.Fprintf(s.errs, "%s: %d of %d: %s\n", s.what, done, total, text)
	}
}

// end takes the bar off. It may be called more than once.
func (s *steps) end() {
	if s.writer == nil {
		return
	}
	for s.writer.Stop(); ; s.writer.Stop() { // a stop before the rendering began is ignored
		select {
		case <-s.over:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
