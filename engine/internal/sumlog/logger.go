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
	// logPeriod is how often a message may be written: immediately the first time, then summed up.
	logPeriod = 10 * time.Second
	// eventBurst is how many events of one kind are written immediately, each with its partition, before they are summed up.
	eventBurst = 16
)

// Logger logs what may happen to thousands of streams at the same moment: a message is written when it first occurs, and
// after that at most once per logPeriod, with a count and the arguments of the last occurrence. Messages are constants;
// what varies belongs in the arguments, or every message would count as a new one. A sum is written when its message
// occurs again or by Flush, so Flush has to be called from time to time. All methods may be called from any goroutine. No
// lock is held while a line is written.
//
// The handler is the user's: it may panic, or block for as long as nobody reads what it writes to. So lines go through an
// Out, whose goroutine calls it; only Enabled is called directly.
type Logger struct {
	handler slog.Handler
	out     Out // nil: the handler is called directly

	mu struct {
		sync.Mutex
		topics map[string]*topic
	}
}

// Out delivers lines to the handler, in order, on a goroutine other than the caller's.
type Out interface {
	// Post passes a record on and does not wait for the handler.
	Post(r slog.Record)
	// Close waits until the handler has received what was posted, or ctx ends. Later records are dropped.
	Close(ctx context.Context)
}

// Through sends lines through out, which has to call Handle with each. It must be called before anything is logged.
func (l *Logger) Through(out Out) { l.out = out }

// topic is a message that was written in the current period.
type topic struct {
	since time.Time // start of the period: when its first line was written
	lines int       // written immediately in the period
	held  int       // occurrences that were not written; 0: none
	last  line      // the latest of those
}

// line is one log record before it is built.
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

// Warn logs something that concerns n streams, entries or attempts; n below 1 logs nothing.
func (l *Logger) Warn(message string, n int, args ...any) {
	l.tell(line{slog.LevelWarn, message, args, callerPC()}, n, 1)
}

// Info logs something that is rare by nature.
func (l *Logger) Info(message string, args ...any) {
	l.tell(line{slog.LevelInfo, message, args, callerPC()}, 1, eventBurst)
}

// Debug logs something that helps whoever looks for a fault, and that says nothing in a fleet that works.
func (l *Logger) Debug(message string, args ...any) {
	l.tell(line{slog.LevelDebug, message, args, callerPC()}, 1, eventBurst)
}

// Error logs something that needs a person to act.
func (l *Logger) Error(message string, args ...any) {
	l.tell(line{slog.LevelError, message, args, callerPC()}, 1, 1)
}

// Event logs an event that is also passed to the user's hook.
func (l *Logger) Event(kind api.EventKind, partition int, err error, detail string) {
	level := slog.LevelInfo
	switch kind {
	case api.EventCrashLoop:
		level = slog.LevelError
	case api.EventSessionLost, api.EventSettlingStarted, api.EventRedisUnreachable, api.EventRedisRefuses, api.EventMaintenanceStarted, api.EventReadsPaused,
		api.EventIntakeStopped:
		level = slog.LevelWarn
	case api.EventSessionOpened:
		level = slog.LevelDebug // a start has its line, and a loss has one
	case api.EventDisagreed:
		level = slog.LevelError
	case api.EventServerMoved:
		if err != nil {
			level = slog.LevelWarn
		}
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

// callerPC returns where the method that calls it was called from.
func callerPC() uintptr {
	var pcs [1]uintptr
	runtime.Callers(3, pcs[:])
	return pcs[0]
}

// tell writes a line, or adds it to the next sum if burst lines were already written in this period.
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

// sum starts a new period and returns a line that sums up what the last one held back, or nil. The logger's mutex is held.
func (t *topic) sum(now time.Time) *line {
	held, x, took := t.held, t.last, now.Sub(t.since)
	*t = topic{since: now}
	if held == 0 {
		return nil
	}
	t.lines = 1
	x.args = append(slices.Clip(x.args), "count", held, "within", took.Round(time.Millisecond))
	return &x
}

// enabled asks the handler. If that panics, the level counts as enabled.
func (l *Logger) enabled(level slog.Level) (enabled bool) {
	defer func() {
		if recover() != nil {
			enabled = true
		}
	}()
	return l.handler.Enabled(context.Background(), level)
}

// Flush writes the sums of periods that have ended.
func (l *Logger) Flush() { l.flushOlder(logPeriod) }

// Close writes all that was held back, and waits until the handler has received it or ctx ends. What is logged after that is
// dropped if there is an Out. Safe to call twice.
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

// write passes a line on; nil is no line.
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

// Handle passes a record to the handler. Its error is dropped: a failing log has nowhere to report to.
func (l *Logger) Handle(r slog.Record) { _ = l.handler.Handle(context.Background(), r) }
