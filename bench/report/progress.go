package report

import (
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// Steps is the progress of something long, where people look at it.
type Steps struct {
	writer  progress.Writer
	tracker *progress.Tracker
	over    chan struct{}
}

// Steps shows from now on how many of n steps are done. end takes it off the screen.
func (r *Report) Steps(what string, n int) *Steps {
	if r.Progress == nil {
		return nil
	}
	s := &Steps{writer: progress.NewWriter(), tracker: &progress.Tracker{Message: what, Total: int64(n)}, over: make(chan struct{})}
	s.writer.SetOutputWriter(r.Progress)
	s.writer.SetUpdateFrequency(250 * time.Millisecond)
	s.writer.SetTrackerLength(30)
	s.writer.SetTrackerPosition(progress.PositionRight)
	s.writer.Style().Visibility.ETA = true
	s.writer.Style().Options.TimeInProgressPrecision = time.Second
	s.writer.Style().Options.TimeDonePrecision = time.Second
	s.writer.AppendTracker(s.tracker)
	go func() {
		defer close(s.over)
		s.writer.Render()
	}()
	return s
}

func (s *Steps) Done() {
	if s != nil {
		s.tracker.Increment(1)
	}
}

// Reach says that n steps are done, and what is going on.
func (s *Steps) Reach(n int, what string) {
	if s != nil {
		s.tracker.SetValue(int64(n))
		s.tracker.UpdateMessage(what)
	}
}

// End may be called again.
func (s *Steps) End() {
	if s == nil {
		return
	}
	for s.writer.Stop(); ; s.writer.Stop() { // one that comes before the rendering is ignored
		select {
		case <-s.over:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
