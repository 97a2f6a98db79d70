package pod

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/wheel"
)

// WorkerOptions say what a worker owns and what it does with that.
type WorkerOptions struct {
	URL        string // of the Redis
	Service    string
	Prefix     string        // of streams in the journal; empty: target.Prefix
	Partitions int           // 0: the default
	LeaseTTL   time.Duration // 0: the default
	SessionTTL time.Duration // 0: the default
	Journal    string        // path of the file in which it notes what it owns; empty: none
	Pages      int           // of the journal: how many ownerships it has room for
	Log        string        // path of the file for its standard error; empty: our own standard error
	MaxBatch   int           // leases a script; 0: the default
	Tick       time.Duration // of the wheel; 0: the default
	Workers    int           // handlers at a time; 0: the default
	Churn      bool          // its handlers call Done at once
	Timed      bool          // its handlers measure how long an announcement took to reach them, and keep the stream
	Work       time.Duration // how long it works on a stream on average before it ends the ownership; 0: it keeps all. Needs a journal
	Seed       uint64        // of its random choices
	Consumer   string        // ID of the consumer; empty: the default
	Balance    Balance       // what of the balance of streams is on; empty: the default
	Often      bool          // it notes what it owns so often that the journals show two owners even for a moment, and streams may crash any number of times. Needs a journal
	Binary     string        // path of another build of this program that is started; empty: this one. See StartWorker
}

// Snapshot is the state of a worker, as it answers.
type Snapshot struct {
	Held       int
	Disowned   int64
	Renewed    float64
	Goroutines int // how many more than before the engine was made
	Peak       int // likewise, the most that was seen while streams were taken
	CPU        time.Duration
	RSS        int64
	Heap       int64 // bytes, how many more than when the engine ran idle; only in answer to "heap"
	Lateness   measure.Histogram
	Consumer   string
	Scripts    map[string]int64 // run so far, by name
	Churn      Churn
	Drained    time.Duration // how long the shutdown took; only in answer to "drain", which has nothing else
	Ended      []string      // streams that are done; only in answer to "end", which has nothing else
	Leftovers  float64       // reads of what had waited for too long, beyond the share of the process
	Error      string
}

// Patience is how long anybody waits for streams, or for a process to do what it was asked.
const Patience = 2 * time.Minute

// Worker is a process that owns streams and does nothing else, so that what it costs is what the library costs. It executes
// commands, lines on in, and answers each with a line of JSON on out, a Snapshot:
//
//	await N   answers when N streams are held
//	done N    answers when N streams are done
//	look      answers at once
//	heap      answers after a garbage collection
//	held      answers at once how many streams are held, and nothing else
//	end N     calls Done for N streams at random, and answers when that has ended; needs a journal
//	drain     shuts the engine down, and answers when that has ended
//	profile FILE  begins a profile of its processor time; without FILE, ends it; answers with nothing
//
// It ends when in does, or when it is sent a SIGTERM. When it cannot start, it answers so without being asked, and ends.
func Worker(ctx context.Context, o WorkerOptions, in io.Reader, out io.Writer) error {
	lines, terminated := linesOf(in), make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	defer signal.Stop(terminated)
	w := &worker{before: runtime.NumGoroutine(), registry: prometheus.NewRegistry()}
	encode := json.NewEncoder(out)
	if o.Journal != "" {
		j, err := journal.Open(o.Journal, "", cmp.Or(o.Prefix, target.Prefix), o.Pages)
		if err != nil {
			return encode.Encode(Snapshot{Error: err.Error()})
		}
		defer j.Close()
		defer w.keepJournal(j, o.Work > 0 || o.Often)()
		if o.Work > 0 {
			w.jobs = newJobs(o.Work, o.Seed, j)
		}
	}
	if o.Churn || o.Timed {
		w.churner = newChurner(w.registry)
		w.churner.onlyTime = o.Timed
	}
	if err := w.start(ctx, o); err != nil {
		return encode.Encode(Snapshot{Error: err.Error()})
	}
	for over := false; !over; {
		select {
		case line, more := <-lines:
			if over = !more; more {
				if err := encode.Encode(w.execute(ctx, line)); err != nil {
					return err
				}
			}
		case <-terminated:
			over = true
		}
	}
	err := w.engine.Shutdown(ctx)
	if err == nil {
		err = <-w.ended
	}
	return errors.Join(err, w.profile.Turn(""))
}

// failed is the answer to a command that has none but its error.
func failed(err error) (s Snapshot) {
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// linesOf returns the lines of in, and closes the channel when in ends. The goroutine that reads them ends then, or with the process.
func linesOf(in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

type worker struct {
	engine   *engine.Engine
	registry *prometheus.Registry
	before   int   // goroutines
	idle     int64 // heap of an engine that holds nothing
	peak     int
	disowned atomic.Int64
	journal  *journal.Journal // nil: there is none
	churner  *churner         // nil: it does not time its streams
	jobs     *jobs            // nil: it does not work on streams
	profile  measure.Profile
	ended    chan error
}

func (w *worker) start(ctx context.Context, o WorkerOptions) (err error) {
	server, err := target.ChildOption()
	if err != nil {
		return err
	}
	w.engine, err = engine.Open(server, o.Service, append(o.Balance.options(), engine.WithPartitions(o.Partitions),
		engine.WithLeaseTTL(o.LeaseTTL), engine.WithSessionTTL(o.SessionTTL), engine.WithWorkers(o.Workers),
		engine.WithPipeline(lease.Pipeline{MaxBatch: o.MaxBatch}), engine.WithWheel(wheel.Config{Tick: o.Tick}), engine.WithRegisterer(w.registry),
		engine.WithRecovery(o.recovery()), engine.WithConsumerID(o.Consumer),
		engine.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))))...)
	if err != nil {
		return err
	}
	w.ended = make(chan error, 1)
	w.before++ // the goroutine below waits for Run, as a main function would
	go func() {
		handler := api.Funcs{Disowned: func(context.Context, api.Notification) error {
			w.disowned.Add(1)
			return nil
		}}
		if w.journal != nil {
			handler.Added, handler.Releasing = w.added, w.releasing
		}
		if w.churner != nil {
			handler.Added = w.churner.added
		}
		if w.jobs != nil {
			handler.Added = w.jobs.added
		}
		w.ended <- w.engine.Run(ctx, handler)
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

func (w *worker) execute(ctx context.Context, line string) Snapshot {
	command, argument, _ := strings.Cut(line, " ")
	switch command {
	case "drain":
		return w.drain(ctx)
	case "held":
		return Snapshot{Held: w.engine.Stats().Held}
	case "profile":
		return failed(w.profile.Turn(argument))
	case "end":
		n, _ := strconv.Atoi(argument)
		return w.end(n)
	}
	counts := map[string]func() int{
		"await": func() int { return w.engine.Stats().Held },
		"done":  func() int { return int(w.churner.done.Load()) },
	}
	if count, waits := counts[command]; waits {
		n, _ := strconv.Atoi(argument)
		if err := w.await(ctx, n, count); err != nil {
			return Snapshot{Error: err.Error()}
		}
	}
	s, err := w.look()
	if err != nil {
		return Snapshot{Error: err.Error()}
	}
	if command == "heap" {
		s.Heap = int64(measure.Heap()) - w.idle
	}
	return s
}

// drain shuts the engine down and measures how long that takes.
func (w *worker) drain(ctx context.Context) Snapshot {
	began := time.Now()
	if err := w.engine.Shutdown(ctx); err != nil {
		return Snapshot{Error: err.Error()}
	}
	return Snapshot{Drained: time.Since(began)}
}

// await polls: counting in the handler would be one more cost to measure.
func (w *worker) await(ctx context.Context, n int, count func() int) error {
	err := measure.Poll(ctx, Patience, func() (bool, error) {
		w.peak = max(w.peak, runtime.NumGoroutine()-w.before)
		return count() >= n, nil
	})
	if err != nil {
		return fmt.Errorf("%d of %d streams after %v", count(), n, Patience)
	}
	return nil
}

func (w *worker) look() (s Snapshot, err error) {
	if s.CPU, err = measure.CPU(); err != nil {
		return s, err
	}
	if s.RSS, err = measure.RSS(); err != nil {
		return s, err
	}
	s.Held = w.engine.Stats().Held
	s.Disowned = w.disowned.Load()
	s.Leftovers = measure.Sum(w.registry, "streamlease_leftover_reads_total")
	s.Renewed = measure.Counter(w.registry, "streamlease_renewals_total", "result", "kept")
	s.Goroutines = runtime.NumGoroutine() - w.before
	s.Peak = max(w.peak, s.Goroutines)
	s.Consumer = w.engine.ID()
	s.Scripts = make(map[string]int64)
	for _, script := range append(lease.Scripts(), scan.Scripts()...) {
		if n := measure.Observations(w.registry, "streamlease_script_duration_seconds", "script", script.Name()); n > 0 {
			s.Scripts[script.Name()] = int64(n)
		}
	}
	if w.churner != nil {
		if s.Churn, err = w.churner.read(); err != nil {
			return s, err
		}
	}
	s.Lateness, err = measure.ReadHistogram(w.registry, "streamlease_renewal_lateness_seconds")
	return s, err
}
