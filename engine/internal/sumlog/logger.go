package sumlog

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

// Logger is a log for what may happen to thousands of streams at the same moment: a message is written when it first
// comes up, and from then on at most once in logPeriod, with how often it came up and the particulars of the last time.
// Messages are constants; what varies goes into the arguments, or every message would be a first one. Sums are written
// when the message comes up again or by Flush, so somebody has to call that from time to time. All methods may be called
// from any goroutine. Nothing is locked while a line is written.
//
// The handler is the user's: it may panic, or block for as long as nobody reads what it writes to. So lines go through an
// outbox, whose goroutine calls it; only Enabled is called here.
type Logger struct {
	handler slog.Handler
	out     Out // nil: the handler is called at once

	mu struct {
		sync.Mutex
		topics map[string]*topic
	}
}

// Out is a way to the handler that nobody waits for.
type Out interface {
	// Post passes a record on, without waiting for the handler.
	Post(r slog.Record)
	// Close waits until the handler has what was posted, or ctx ends.
	Close(ctx context.Context)
}

// Through makes out the way to the handler; out calls Handle. It must be called before anything is written.
func (l *Logger) Through(out Out) { l.out = out }

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

// New returns a Logger that writes to the handler of logger.
func New(logger *slog.Logger) *Logger {
	l := &Logger{handler: logger.Handler()}
	l.mu.topics = make(map[string]*topic)
	return l
}

// Warn tells of something that concerns n streams, entries or attempts.
func (l *Logger) Warn(message string, n int, args ...any) {
	l.tell(line{slog.LevelWarn, message, args, callerPC()}, n, 1)
}

// Info tells of something that is rare by its nature.
func (l *Logger) Info(message string, args ...any) {
	l.tell(line{slog.LevelInfo, message, args, callerPC()}, 1, eventBurst)
}

// Error tells of something that calls for a change of the program.
func (l *Logger) Error(message string, args ...any) {
	l.tell(line{slog.LevelError, message, args, callerPC()}, 1, 1)
}

// Event tells what the user's hook is told.
func (l *Logger) Event(kind api.EventKind, partition int, err error, detail string) {
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
	l.tell(line{level, string(kind), args, callerPC()}, 1, eventBurst)
}

// callerPC is where the method that calls it was called.
func callerPC() uintptr {
	var pcs [1]uintptr
	runtime.Callers(3, pcs[:])
	return pcs[0]
}

// tell writes a line, or keeps it for the next sum if burst lines were written in this period.
func (l *Logger) tell(x line, n, burst int) {
	if n < 1 || !l.enabled(x.level) {
		return
	}
	now := time.Now()
	l.mu.Lock()
	t := l.mu.topics[x.message]
	if t == nil {
		t = &topic{since: now}
		l.mu.topics[x.message] = t
	}
	var sum *line
	if now.Sub(t.since) >= logPeriod {
		sum = t.sum(now)
	}
	if t.lines < burst {
		t.lines++
		l.mu.Unlock()
		l.write(sum)
		if n > 1 {
			x.args = append(slices.Clip(x.args), "count", n)
		}
		l.write(&x)
		return
	}
	t.held += n
	t.last = x
	l.mu.Unlock()
	l.write(sum)
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
func (l *Logger) enabled(level slog.Level) (enabled bool) {
	defer func() {
		if recover() != nil {
			enabled = true
		}
	}()
	return l.handler.Enabled(context.Background(), level)
}

// Flush writes the sums of periods that are over.
func (l *Logger) Flush() { l.flushOlder(logPeriod) }

// Close writes all that was held, and waits until the handler has it, or ctx ends. What is told after it is dropped where
// there is an outbox.
func (l *Logger) Close(ctx context.Context) {
	l.flushOlder(0)
	if l.out != nil {
		l.out.Close(ctx)
	}
}

func (l *Logger) flushOlder(age time.Duration) {
	now := time.Now()
	var sums []*line
	l.mu.Lock()
	for message, t := range l.mu.topics {
		if now.Sub(t.since) < age {
			continue
		}
		sum := t.sum(now)
		if sum == nil {
			delete(l.mu.topics, message)
			continue
		}
		sums = append(sums, sum)
	}
	l.mu.Unlock()
	slices.SortFunc(sums, func(a, b *line) int { return strings.Compare(a.message, b.message) })
	for _, sum := range sums {
		l.write(sum)
	}
}

// write hands a line on; nil is none.
func (l *Logger) write(x *line) {
	if x == nil {
		return
	}
	r := slog.NewRecord(time.Now(), x.level, x.message, x.pc)
	r.Add(x.args...)
	if l.out != nil {
		l.out.Post(r)
		return
	}
	l.Handle(r)
}

// Handle gives a line to the handler. There is nobody to tell of a log that fails.
func (l *Logger) Handle(r slog.Record) { _ = l.handler.Handle(context.Background(), r) }
