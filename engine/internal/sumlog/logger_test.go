package sumlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/virtual"
)

// logLines is a Logger that keeps what it wrote since the last call of lines.
type logLines struct {
	*Logger
	mu  sync.Mutex
	buf bytes.Buffer
}

func newLogLines(level slog.Level) *logLines {
	l := &logLines{}
	l.Logger = New(slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	return l
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.TrimSuffix(l.buf.String(), "\n")
	l.buf.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func TestLoggerSumsUp(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		log := newLogLines(slog.LevelInfo)
		log.Warn("reading fails", 1, "partition", 3)
		require.Equal(t, []string{`level=WARN msg="reading fails" partition=3`}, log.lines(), "the first immediately")

		for p := range 10_000 {
			log.Warn("reading fails", 1, "partition", p)
		}
		time.Sleep(9 * time.Second)
		log.Flush()
		require.Empty(t, log.lines())
		time.Sleep(time.Second)
		log.Flush()
		require.Equal(t, []string{`level=WARN msg="reading fails" partition=9999 count=10000 within=10s`}, log.lines())

		log.Warn("reading fails", 2, "partition", 4)
		require.Empty(t, log.lines(), "a sum counts as a line")
		time.Sleep(25 * time.Second)
		log.Warn("reading fails", 3, "partition", 5)
		require.Equal(t, []string{`level=WARN msg="reading fails" partition=4 count=2 within=25s`}, log.lines(),
			"without a flush the sum is written when the message occurs again, which is held back")
		time.Sleep(10 * time.Second)
		log.Flush()
		require.Equal(t, []string{`level=WARN msg="reading fails" partition=5 count=3 within=10s`}, log.lines())

		time.Sleep(10 * time.Second)
		log.Flush()
		log.Flush()
		require.Empty(t, log.lines())
		require.Empty(t, log.Logger.mu.topics, "a message that does not occur again is forgotten")
		log.Warn("reading fails", 7, "partition", 6)
		require.Equal(t, []string{`level=WARN msg="reading fails" partition=6 count=7`}, log.lines(), "and counts as new")
	})
}

func TestLoggerWritesImmediatelyAfterASilentPeriod(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		log := newLogLines(slog.LevelInfo)
		log.Warn("a", 1)
		time.Sleep(logPeriod)
		log.Warn("a", 1)
		require.Len(t, log.lines(), 2)
		log.Warn("a", 1)
		require.Empty(t, log.lines())
	})
}

func TestLoggerKeepsMessagesApart(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		log := newLogLines(slog.LevelInfo)
		for range 3 {
			log.Warn("b", 1)
			log.Error("a", "stream", "x y")
			log.Warn("nothing", 0)
		}
		require.Equal(t, []string{`level=WARN msg=b`, `level=ERROR msg=a stream="x y"`}, log.lines())
		log.Close(t.Context())
		require.Equal(t, []string{`level=ERROR msg=a stream="x y" count=2 within=0s`, `level=WARN msg=b count=2 within=0s`}, log.lines())
		log.Close(t.Context())
		require.Empty(t, log.lines(), "safe twice")
	})
}

func TestLoggerEvents(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		log := newLogLines(slog.LevelInfo)
		log.Event(api.EventSessionLost, 2, errors.New("no beat"), "7 streams disowned")
		log.Event(api.EventDrainStarted, api.NoPartition, nil, "")
		require.Equal(t, []string{
			`level=WARN msg="session lost" partition=2 err="no beat" detail="7 streams disowned"`,
			`level=INFO msg="drain started"`,
		}, log.lines())

		for p := range 1024 {
			log.Event(api.EventSettlingEnded, p, nil, "")
		}
		lines := log.lines()
		require.Len(t, lines, eventBurst, "a few partitions are logged one by one")
		require.Equal(t, `level=INFO msg="settling ended" partition=15`, lines[eventBurst-1])
		time.Sleep(logPeriod)
		log.Flush()
		require.Equal(t, []string{`level=INFO msg="settling ended" partition=1023 count=1008 within=10s`}, log.lines())
	})
}

func TestLoggerKeepsNothingBelowItsLevel(t *testing.T) {
	log := newLogLines(slog.LevelError)
	log.Warn("a", 1)
	log.Event(api.EventSessionLost, 0, nil, "")
	require.Empty(t, log.Logger.mu.topics)
	log.Close(t.Context())
	require.Empty(t, log.lines())
}

// What happens in every fleet that works is for those who look for a fault.
func TestLoggerHasALevelForDebugging(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		log := newLogLines(slog.LevelDebug)
		log.Event(api.EventSessionOpened, 3, nil, "host.X")
		log.Debug("a call failed", "script", "renew")
		require.Equal(t, []string{
			`level=DEBUG msg="session opened" partition=3 detail=host.X`,
			`level=DEBUG msg="a call failed" script=renew`,
		}, log.lines())
		for range 100 {
			log.Debug("a call failed", "script", "renew")
		}
		require.Len(t, log.lines(), eventBurst-1, "it is summed up, too")
	})
}

func TestLoggerNamesItsCaller(t *testing.T) {
	var out bytes.Buffer
	log := New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{AddSource: true})))
	log.Warn("a", 1)
	log.Error("b")
	log.Info("c")
	log.Event(api.EventDrainStarted, api.NoPartition, nil, "")
	require.Equal(t, 4, strings.Count(out.String(), "logger_test.go"), out.String())
}

// The arguments belong to the caller: an added count must not end up in their array.
func TestLoggerLeavesArgumentsAlone(t *testing.T) {
	log := newLogLines(slog.LevelInfo)
	args := append(make([]any, 0, 8), "partition", 1)
	log.Warn("a", 2, args...)
	log.Warn("a", 2, args...)
	log.Close(t.Context())
	require.Len(t, log.lines(), 2)
	require.Nil(t, args[:3][2])
}

// However many goroutines log the same message at once, one line is written and no count is lost.
func TestLoggerConcurrently(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		log := newLogLines(slog.LevelInfo)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					log.Warn("a", 1)
					log.Flush()
				}
			})
		}
		wg.Wait()
		require.Equal(t, []string{`level=WARN msg=a`}, log.lines())
		time.Sleep(logPeriod)
		log.Flush()
		require.Equal(t, []string{fmt.Sprintf(`level=WARN msg=a count=%d within=10s`, 799)}, log.lines())
	})
}

// keptOut keeps what is posted.
type keptOut struct {
	posted []slog.Record
	closed bool
}

func (o *keptOut) Post(r slog.Record)    { o.posted = append(o.posted, r) }
func (o *keptOut) Close(context.Context) { o.closed = true }

func TestLoggerWritesThroughItsOut(t *testing.T) {
	log, out := newLogLines(slog.LevelInfo), &keptOut{}
	log.Through(out)
	log.Warn("a", 1)
	log.Warn("a", 1)
	log.Close(t.Context())
	require.Len(t, out.posted, 2, "the line and the sum")
	require.True(t, out.closed)
	require.Empty(t, log.lines())
	log.Handle(out.posted[0])
	require.Equal(t, []string{`level=WARN msg=a`}, log.lines())
}

type panickingHandler struct{ slog.Handler }

func (panickingHandler) Enabled(context.Context, slog.Level) bool { panic("not enabled") }

func TestLoggerWritesWhereEnabledPanics(t *testing.T) {
	log := newLogLines(slog.LevelInfo)
	log.Logger = New(slog.New(panickingHandler{log.handler}))
	log.Warn("a", 1)
	require.Equal(t, []string{`level=WARN msg=a`}, log.lines())
}
