package suite

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/engine"
)

// WorkerOptions say what a worker owns.
type WorkerOptions struct {
	Addr       string
	Service    string
	LeaseTTL   time.Duration // 0: the default
	SessionTTL time.Duration // 0: the default
}

// snapshot is what a worker says of itself.
type snapshot struct {
	Held       int
	Disowned   int64
	Renewed    float64
	Goroutines int // since before the engine was made
	Peak       int // likewise, the most seen until streams were held
	CPU        time.Duration
	Heap       int64 // since the engine ran idle; only in answer to "heap"
	Lateness   measure.Histogram
	Consumer   string
	Error      string
}

// patience is how long a worker waits for streams.
const patience = 2 * time.Minute

// Worker is a process that owns streams and does nothing else, so that what it costs is what the library costs. It obeys
// lines on in, and answers each with a line of JSON on out:
//
//	await N   when N streams are held
//	look      at once
//	heap      after collecting garbage
//
// It ends with in.
func Worker(ctx context.Context, o WorkerOptions, in io.Reader, out io.Writer) error {
	w := &worker{before: runtime.NumGoroutine(), registry: prometheus.NewRegistry()}
	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{o.Addr}, ForceSingleClient: true}, o.Service,
		engine.WithLeaseTTL(o.LeaseTTL), engine.WithSessionTTL(o.SessionTTL), engine.WithRegisterer(w.registry),
		engine.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	if err != nil {
		return err
	}
	w.engine = e
	if err := w.start(ctx); err != nil {
		return err
	}
	encode := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := encode.Encode(w.obey(ctx, lines.Text())); err != nil {
			return err
		}
	}
	if err := e.Shutdown(ctx); err != nil {
		return err
	}
	return <-w.ended
}

type worker struct {
	engine   *engine.Engine
	registry *prometheus.Registry
	before   int   // goroutines
	idle     int64 // heap of an engine that holds nothing
	peak     int
	disowned atomic.Int64
	ended    chan error
}

func (w *worker) start(ctx context.Context) error {
	w.ended = make(chan error, 1)
	w.before++ // the goroutine below waits for Run, as a main function would
	go func() {
		w.ended <- w.engine.Run(ctx, api.Funcs{
			Disowned: func(context.Context, api.Notification) error {
				w.disowned.Add(1)
				return nil
			},
		})
	}()
	for w.engine.Ready(ctx) != nil {
		select {
		case err := <-w.ended:
			return fmt.Errorf("the engine ended: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
	w.idle = int64(measure.Heap())
	return nil
}

func (w *worker) obey(ctx context.Context, line string) snapshot {
	command, argument, _ := strings.Cut(line, " ")
	if command == "await" {
		n, _ := strconv.Atoi(argument)
		if err := w.await(ctx, n); err != nil {
			return snapshot{Error: err.Error()}
		}
	}
	s, err := w.look()
	if err != nil {
		return snapshot{Error: err.Error()}
	}
	if command == "heap" {
		s.Heap = int64(measure.Heap()) - w.idle
	}
	return s
}

// await polls: a handler that counts would be one more thing to measure.
func (w *worker) await(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		w.peak = max(w.peak, runtime.NumGoroutine()-w.before)
		if w.engine.Stats().Held >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d streams are held after %v", w.engine.Stats().Held, n, patience)
		case <-tick.C:
		}
	}
}

func (w *worker) look() (s snapshot, err error) {
	if s.CPU, err = measure.CPU(); err != nil {
		return s, err
	}
	s.Held = w.engine.Stats().Held
	s.Disowned = w.disowned.Load()
	s.Renewed = measure.Counter(w.registry, "streamlease_renewals_total", "result", "kept")
	s.Goroutines = runtime.NumGoroutine() - w.before
	s.Peak = max(w.peak, s.Goroutines)
	s.Consumer = w.engine.ID()
	s.Lateness, err = measure.ReadHistogram(w.registry, "streamlease_renewal_lateness_seconds")
	return s, err
}
