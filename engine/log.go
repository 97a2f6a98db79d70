package engine

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
)

const (
	// logPeriod is how often one message may be written: the first time at once, then summed up.
	logPeriod = 10 * time.Second
	// eventBurst is how many events of one kind are written at once, each with its partition, before they are summed up.
	eventBurst = 16
)

// quiet is a log for what may happen to thousands of streams at the same moment: a message is written when it first
// comes up, and from then on at most once in logPeriod, with how often it came up and the particulars of the last time.
// Messages are constants; what varies goes into the arguments, or every message would be a first one. Sums are written
// when the message comes up again or by flush, so somebody has to call that from time to time. All methods may be called
// from any goroutine. Nothing is locked while a line is written.
//
// The handler is the user's: it may panic, or block for as long as nobody reads what it writes to. So lines go through an
// outbox, whose goroutine calls it; only Enabled is called here.
type quiet struct {
	handler slog.Handler
	out     *outbox[slog.Record] // nil: the handler is called at once

	mu struct {
		sync.Mutex
		topics map[string]*topic
	}
}

// topic is a message that was written in the last period.
type topic struct {
	since time.Time // of the period: when the first line of it was written
	lines int       // written at once in the period
	held  int       // how many were not written; 0: none
	last  line      // of those not written
}

// line is what is written.
type line struct {
	level   slog.Level
	message string
	args    []any
	pc      uintptr
}

func newQuiet(l *slog.Logger) *quiet {
	q := &quiet{handler: l.Handler()}
	q.mu.topics = make(map[string]*topic)
	return q
}

// warn tells of something that concerns n streams, entries or attempts.
func (q *quiet) warn(message string, n int, args ...any) {
	q.tell(line{slog.LevelWarn, message, args, callerPC()}, n, 1)
}

// info tells of something that is rare by its nature.
func (q *quiet) info(message string, args ...any) {
	q.tell(line{slog.LevelInfo, message, args, callerPC()}, 1, eventBurst)
}

// error tells of something that calls for a change of the program.
func (q *quiet) error(message string, args ...any) {
	q.tell(line{slog.LevelError, message, args, callerPC()}, 1, 1)
}

// event tells what the user's hook is told.
func (q *quiet) event(kind api.EventKind, partition int, err error, detail string) {
	level := slog.LevelInfo
	switch kind {
	case api.EventCrashLoop:
		level = slog.LevelError
	case api.EventSessionLost, api.EventSettlingStarted, api.EventRedisUnreachable, api.EventMaintenanceStarted, api.EventReadsPaused,
		api.EventIntakeStopped:
		level = slog.LevelWarn
	case api.EventDisagreed:
		level = slog.LevelError
	}
	var args []any
	if partition != api.NoPartition {
		args = append(args, "partition", partition)
	}
	if err != nil {
		args = append(args, "err", err)
	}
	if detail != "" {
		args = append(args, "detail", detail)
	}
	q.tell(line{level, string(kind), args, callerPC()}, 1, eventBurst)
}

// callerPC is where the method that calls it was called.
func callerPC() uintptr {
	var pcs [1]uintptr
	runtime.Callers(3, pcs[:])
	return pcs[0]
}

// tell writes a line, or keeps it for the next sum if burst lines were written in this period.
func (q *quiet) tell(l line, n, burst int) {
	if n < 1 || !q.enabled(l.level) {
		return
	}
	now := time.Now()
	q.mu.Lock()
	t := q.mu.topics[l.message]
	if t == nil {
		t = &topic{since: now}
		q.mu.topics[l.message] = t
	}
	var sum *line
	if now.Sub(t.since) >= logPeriod {
		sum = t.sum(now)
	}
	if t.lines < burst {
		t.lines++
		q.mu.Unlock()
		q.write(sum)
		if n > 1 {
			l.args = append(slices.Clip(l.args), "count", n)
		}
		q.write(&l)
		return
	}
	t.held += n
	t.last = l
	q.mu.Unlock()
	q.write(sum)
}

// sum begins a new period, with a line on what the last one held, or nil. The log's mutex is held.
func (t *topic) sum(now time.Time) *line {
	held, l, took := t.held, t.last, now.Sub(t.since)
	*t = topic{since: now}
	if held == 0 {
		return nil
	}
	t.lines = 1
	l.args = append(slices.Clip(l.args), "count", held, "within", took.Round(time.Millisecond))
	return &l
}

// enabled asks the handler. One that panics has no say.
func (q *quiet) enabled(level slog.Level) bool {
	enabled := true
	_ = caught(func() error {
		enabled = q.handler.Enabled(context.Background(), level)
		return nil
	})
	return enabled
}

// flush writes the sums of periods that are over.
func (q *quiet) flush() { q.flushOlder(logPeriod) }

// close writes all that was held, and waits until the handler has it, or ctx ends. What is told after it is dropped where
// there is an outbox.
func (q *quiet) close(ctx context.Context) {
	q.flushOlder(0)
	if q.out != nil {
		q.out.close(ctx)
	}
}

func (q *quiet) flushOlder(age time.Duration) {
	now := time.Now()
	var sums []*line
	q.mu.Lock()
	for message, t := range q.mu.topics {
		if now.Sub(t.since) < age {
			continue
		}
		sum := t.sum(now)
		if sum == nil {
			delete(q.mu.topics, message)
			continue
		}
		sums = append(sums, sum)
	}
	q.mu.Unlock()
	slices.SortFunc(sums, func(a, b *line) int { return strings.Compare(a.message, b.message) })
	for _, sum := range sums {
		q.write(sum)
	}
}

// write hands a line on; nil is none.
func (q *quiet) write(l *line) {
	if l == nil {
		return
	}
	r := slog.NewRecord(time.Now(), l.level, l.message, l.pc)
	r.Add(l.args...)
	if q.out != nil {
		q.out.post(r)
		return
	}
	q.hand(r)
}

// hand gives a line to the handler. There is nobody to tell of a log that fails.
func (q *quiet) hand(r slog.Record) { _ = q.handler.Handle(context.Background(), r) }
