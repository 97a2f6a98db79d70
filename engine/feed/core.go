package feed

import (
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/pool"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
)

// choreWorkers is how many streams are begun or ended at a time where that takes round trips.
const choreWorkers = 64

// core is a feed without engine and Redis: the streams that are owned, the workers that handle their messages, and what is counted.
//
// Locks: stream.mu → busy.mu, stream.mu → registry; none of them is held while anything of the reader, the engine or the user is
// called, SetCheckpoint and Remaining of a lease aside, which take no lock that I/O holds.
type core struct {
	cfg     Config
	handler Handler
	log     *sumlog.Logger
	metrics *metrics.Metrics
	epoch   time.Time

	reader backing.Reader                      // set before the first stream is added
	wrap   func(backing.Reader) backing.Reader // what tests put around it; nil: nothing
	leaver backing.Leaver
	// polling reports whether streams are polled; nil: they are not.
	polling func() bool

	workers *pool.Pool[task]
	chores  *pool.Pool[func()]
	signals signals
	later   later
	passes  passes
	busy    busyList
	trimmer *trimmer // nil: nothing is trimmed

	kept      atomic.Int64 // batches
	keptBytes atomic.Int64
	bytes     atomic.Int64 // held by messages
	retrying  atomic.Int64 // streams
	changed   atomic.Int64 // when a server last changed, in ns since epoch; 0: not since the start

	streams *registry
}

// task is what a worker does next for a stream.
type task struct {
	stream *stream
	signal bool // deliver signals, else see stream.work
}

func newCore(h Handler, c Config, r prometheus.Registerer, log *slog.Logger, service string) (*core, error) {
	if h == nil {
		return nil, invalid("the handler is nil")
	}
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	for i := len(c.Middleware) - 1; i >= 0; i-- {
		if h = c.Middleware[i](h); h == nil {
			return nil, invalid("Middleware %d of %d returned nil; return a handler", i+1, len(c.Middleware))
		}
	}
	k := &core{cfg: c, handler: h, log: sumlog.New(log), epoch: time.Now()}
	k.streams = newRegistry()
	k.signals.waiting = make(map[*stream][][]byte)
	k.workers = pool.New(c.Workers, k.run)
	k.chores = pool.New(choreWorkers, func(f func()) { f() })
	var err error
	if k.metrics, err = metrics.NewFeed(r, service, k.gauges); err != nil {
		return nil, err
	}
	return k, nil
}

// stop drops what has not begun. The channel is closed once nothing runs any more.
func (k *core) stop() <-chan struct{} {
	workers, chores := k.workers.Stop(), k.chores.Stop()
	k.metrics.Close()
	done := make(chan struct{})
	if closed(workers) && closed(chores) {
		close(done)
		return done
	}
	go func() {
		<-workers
		<-chores
		close(done)
	}()
	return done
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// now is the time since the epoch.
func (k *core) now() time.Duration { return time.Since(k.epoch) }

// delay returns the wait before a retry: RetryDelay, doubled with each failure after the first, up to MaxRetryDelay.
func (k *core) delay(failures int) time.Duration {
	d := k.cfg.RetryDelay
	for range failures - 1 {
		if d >= k.cfg.MaxRetryDelay/2 {
			d = k.cfg.MaxRetryDelay
			break
		}
		d *= 2
	}
	return d - time.Duration(rand.Float64()*float64(d)/5)
}

// release gives bytes back to the budget.
func (k *core) release(n int) {
	if n > 0 {
		k.bytes.Add(int64(-n))
		k.reader.Release(n)
	}
}
