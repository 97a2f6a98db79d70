package feed

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/pool"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
)

// choreWorkers is how many streams are begun or ended at a time where that takes round trips.
const choreWorkers = 64

// core is a feed without engine and Redis: it makes the parts, which know each other no further than they need to, and passes on to
// them what happens to streams. See layer.go.
//
// Locks: that of a stream → those of what streams share, the registry, the signals; none of them is held while anything of the reader, the
// engine or the user is called, SetCheckpoint and Remaining of a lease aside, which take no lock that I/O holds.
type core struct {
	*shared
	reader  *lateReader
	streams *registry
	workers *pool.Pool[task]
	chores  *pool.Pool[choreTask]
	figures *figures

	starter *starter
	worker  *worker
	leaver  *leaver
	signals *signals
	ticker  *ticker
	trimmer *trimmer // nil: nothing is trimmed
}

// coreParts are what a core is made of.
type coreParts struct {
	backing.Parts                       // the Reader may be set later, but before the first stream is added
	registerer    prometheus.Registerer // nil: metrics are shown nowhere
	polling       func() bool           // whether streams are polled; nil: they are not
	trim          *trimTerms            // nil: nothing is trimmed
}

func newCore(h Handler, c Config, p coreParts) (*core, error) {
	c, h, err := checked(c, h)
	if err != nil {
		return nil, err
	}
	if p.polling == nil {
		p.polling = func() bool { return false }
	}
	clock := clock{time.Now()}
	s := &shared{cfg: &c, clock: clock, log: sumlog.New(p.Logger), counts: &counts{}, changes: &changes{clock: clock}}
	k := &core{shared: s, reader: &lateReader{p.Reader}, streams: newRegistry()}
	k.workers = pool.New(c.Workers, k.run)
	k.chores = pool.New(choreWorkers, k.do)
	k.figures = &figures{k.streams, &s.busy, k.workers, s.counts, p.polling}
	if s.metrics, err = metrics.NewFeed(p.registerer, p.Service, k.figures.gauges); err != nil {
		return nil, err
	}
	s.out = &applier{k.reader, p.Leaver, s.counts, k.streams, k.workers, k.chores}
	user := userCode{s.log, s.metrics}
	watch := &watch{c.MaxBytes, clock, s.log, s.counts, &s.busy}
	k.starter = &starter{c.Start, k.reader, s.log, s.metrics}
	k.worker = &worker{h, s.cfg, clock, s.metrics, user, k.starter, watch}
	k.leaver = &leaver{p.Leaver, k.reader, s.log, s.metrics}
	k.signals = newSignals(s.cfg, user, k.workers)
	k.ticker = &ticker{s.cfg, clock, s.log, k.streams, &s.later, watch}
	if p.trim != nil {
		k.trimmer = &trimmer{trimTerms: *p.trim, clock: clock, log: s.log, metrics: s.metrics}
		s.trims = k.trimmer
	}
	return k, nil
}

// run is what a worker does.
func (k *core) run(t task) {
	if t.signal {
		k.signals.deliver(t.stream)
		return
	}
	k.worker.run(t.stream)
}

// do does a chore.
func (k *core) do(t choreTask) {
	switch t.chore {
	case toResolve:
		k.starter.resolve(t.stream)
	case toLeave:
		k.leaver.leave(t.stream)
	case toMakeWay:
		k.leaver.makeWay(t.stream)
	}
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
