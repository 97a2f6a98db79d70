package bar

import (
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// Bar is the progress of long work on a terminal. On nil its methods do nothing.
type Bar struct {
	writer  progress.Writer
	tracker *progress.Tracker
	over    chan struct{}
}

// New draws a bar of so many steps on out, until End; 0: their number is unknown. eta shows how long it will take.
func New(out io.Writer, what string, total int, eta bool) *Bar {
	b := &Bar{writer: progress.NewWriter(), tracker: &progress.Tracker{Message: what, Total: int64(total)}, over: make(chan struct{})}
	b.writer.SetOutputWriter(out)
	b.writer.SetUpdateFrequency(250 * time.Millisecond)
	b.writer.SetTrackerLength(30)
	b.writer.SetTrackerPosition(progress.PositionRight)
	b.writer.Style().Visibility.ETA = eta
	b.writer.Style().Options.TimeInProgressPrecision = time.Second
	b.writer.Style().Options.TimeDonePrecision = time.Second
	b.writer.AppendTracker(b.tracker)
	go func() {
		defer close(b.over)
		b.writer.Render()
	}()
	return b
}

// Done adds one step that is done.
func (b *Bar) Done() {
	if b != nil {
		b.tracker.Increment(1)
	}
}

// Reach shows that n steps are done, and what is going on.
func (b *Bar) Reach(n int, what string) {
	if b != nil {
		b.tracker.SetValue(int64(n))
		b.tracker.UpdateMessage(what)
	}
}

// Total sets the number of steps.
func (b *Bar) Total(n int) {
	if b != nil {
		b.tracker.UpdateTotal(int64(n))
	}
}

// End takes the bar off the screen. It may be called more than once.
func (b *Bar) End() {
	if b == nil {
		return
	}
	for b.writer.Stop(); ; b.writer.Stop() { // a stop before the rendering began is ignored
		select {
		case <-b.over:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
