package report

import (
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// Steps is the progress of a long measurement on the terminal. On nil its methods do nothing.
type Steps struct {
	writer  progress.Writer
	tracker *progress.Tracker
	over    chan struct{}
}

// Steps shows from now on how many of n steps are done, until End. It returns nil where no progress is shown.
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

// Done adds one step that is done.
func (s *Steps) Done() {
	if s != nil {
		s.tracker.Increment(1)
	}
}

// Reach shows that n steps are done, and what is going on.
func (s *Steps) Reach(n int, what string) {
	if s != nil {
		s.tracker.SetValue(int64(n))
		s.tracker.UpdateMessage(what)
	}
}

// End takes the progress off the screen. It may be called more than once.
func (s *Steps) End() {
	if s == nil {
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
