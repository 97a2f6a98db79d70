package console

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/streamlease/streamlease/scan"
)

const (
	// DefaultInterval is the time between two samples while somebody watches.
	DefaultInterval = 2 * time.Second
	// MinInterval and MaxInterval are the limits of WithInterval.
	MinInterval = 500 * time.Millisecond
	MaxInterval = time.Hour
)

// Option configures a Console. The zero value changes nothing.
type Option struct{ set func(*settings) }

type settings struct {
	inspector scan.InspectorConfig
	schedules Schedules
	positions func(checkpoint string) (id string, ok bool)
	authorize func(r *http.Request, a Action) (who string, err error)
	log       *slog.Logger
	interval  time.Duration
}

// WithInspector sets the limits of what pages read. Default: the zero value, so the defaults of scan.InspectorConfig. The sampler counts
// no entries, whatever CountLimit is.
func WithInspector(c scan.InspectorConfig) Option {
	return Option{func(s *settings) { s.inspector = c }}
}

// WithSchedules shows the schedules of the service. Package engine/schedule/scheduleview makes them of a schedule.Table. Default and nil:
// the page says how to have them.
func WithSchedules(schedules Schedules) Option {
	return Option{func(s *settings) { s.schedules = schedules }}
}

// WithPositions tells how far a checkpoint says that its stream was handled: id is shown beside it where ok is true. It may be called
// by several goroutines. Default and nil: checkpoints are shown as they are.
func WithPositions(position func(checkpoint string) (id string, ok bool)) Option {
	return Option{func(s *settings) { s.positions = position }}
}

// WithActions lets viewers change what the service does with its streams. authorize is called for each action before anything is
// changed or counted: it returns who asks, for the log and for the reason of a wish, or an error, whose text the viewer gets with the
// status 403. It may be called by several goroutines. Requests from other sites are refused before it is asked. Default and nil:
// nothing can be changed.
func WithActions(authorize func(r *http.Request, a Action) (who string, err error)) Option {
	return Option{func(s *settings) { s.authorize = authorize }}
}

// WithLogger sets where each action is logged, with who did it, at level Info. Default and nil: slog.Default().
func WithLogger(log *slog.Logger) Option { return Option{func(s *settings) { s.log = log }} }

// WithInterval sets the least time between two samples, from 500 ms to 1 h. Default and zero: 2 s. It is longer while a sample takes
// more than a hundredth of it. Values out of range make each page an error.
func WithInterval(interval time.Duration) Option {
	return Option{func(s *settings) { s.interval = interval }}
}
