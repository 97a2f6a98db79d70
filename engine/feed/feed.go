package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
)

// Feed reads the streams that an engine owns. It is made by New and run once. All methods may be called at any time from any
// goroutine.
type Feed struct {
	core   *core
	engine *engine.Engine
	ran    atomic.Bool

	reader atomic.Pointer[reading.Reader]      // nil before the first stream
	wrap   func(backing.Reader) backing.Reader // what tests put around it; nil: nothing
}

// New returns a feed of the streams that e will own. It is the layer of that engine: Run of the feed runs the engine.
//
// Errors match api.ErrInvalidConfig: the handler is nil, a field of c is out of range, or the engine was given a client and cannot make
// the one that the feed reads with, which Mode Polling does not need.
func New(e *engine.Engine, h Handler, c Config) (*Feed, error) {
	if e == nil {
		return nil, invalid("the engine is nil; make one with engine.Open")
	}
	if c.Mode != Polling {
		if err := dials(e); err != nil {
			return nil, fmt.Errorf("%w; or use Mode Polling", err)
		}
	}
	f := &Feed{engine: e}
	p := coreParts{
		Parts:      backing.Parts{Leaver: e, Logger: e.Logger(), Service: e.Service()},
		registerer: e.Registerer(), polling: f.polling,
	}
	if c.Trim == TrimHandled {
		p.trim = &trimTerms{lag: e.SessionTTL, open: trimStore{e}.open}
	}
	k, err := newCore(h, c, p)
	if err != nil {
		return nil, err
	}
	f.core = k
	return f, nil
}

// dials returns an error if the engine cannot make clients. It connects to nothing.
func dials(e *engine.Engine) error {
	_, err := e.NewClient(func(o *rueidis.ClientOption) { o.InitAddress = nil })
	if errors.Is(err, api.ErrInvalidConfig) {
		return err
	}
	return nil
}

// Run owns streams and handles their messages until ctx ends or the engine is shut down, and then drains: nothing more is read,
// handlers end, and each stream is handed back with its position, in one step. What has been read and not begun is dropped, and read by
// the next owner. Run returns what engine.Engine.Run returns, or an error that matches ErrTrackingRefused.
func (f *Feed) Run(ctx context.Context) error {
	if !f.ran.CompareAndSwap(false, true) {
		return api.ErrStarted
	}
	values := context.WithoutCancel(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	background, end := context.WithCancel(values)
	var running sync.WaitGroup
	running.Go(func() { f.core.ticker.run(background) })
	if t := f.core.trimmer; t != nil {
		running.Go(func() { t.run(background) })
	}

	l := &reads{core: f.core, start: sync.OnceFunc(func() { f.read(background, &running, cancel) })}
	err := f.engine.RunLayer(ctx, l)
	end()
	running.Wait()
	f.core.stop() // a handler that hangs goes on by itself
	if why := context.Cause(ctx); errors.Is(why, ErrTrackingRefused) {
		return errors.Join(why, err)
	}
	return err
}

// ErrTrackingRefused is returned by Run in Mode Tracking: servers refuse CLIENT TRACKING, or speak no RESP3. Grant the command (see
// docs/acl.md), have the client speak RESP3, or use Mode Auto. Preflight finds it before a feed runs.
var ErrTrackingRefused = errors.New("feed: client tracking is refused")

// tracksNot is the error of Run where tracking is refused. missing are all rights that are missing, "" if none are known to.
func tracksNot(err error, missing string) error {
	if missing == "" {
		return fmt.Errorf("%w: %w", ErrTrackingRefused, err)
	}
	return fmt.Errorf("%w: %s (first seen: %w)", ErrTrackingRefused, missing, err)
}

// read starts the reader, once the engine is connected. Where it cannot read, the engine is stopped.
func (f *Feed) read(ctx context.Context, running *sync.WaitGroup, fail context.CancelCauseFunc) {
	c := f.core.cfg
	r, err := reading.New(reading.Config{
		NewClient:  f.engine.NewClient,
		Client:     f.engine.Client(),
		SlotMaster: f.engine.SlotMaster,
		Mode:       reading.Mode(c.Mode),
		Sweep:      c.Sweep,
		PollEvery:  c.PollEvery,
		MaxBytes:   c.MaxBytes,
		Logger:     f.engine.Logger(),
		Metrics:    events{f.core.metrics},
	})
	if err != nil { // a bug: all has been checked
		panic(err)
	}
	f.core.reader.Reader = reader{r}
	if f.wrap != nil {
		f.core.reader.Reader = f.wrap(reader{r})
	}
	f.reader.Store(r)
	missing := make(chan string, 1)
	running.Go(func() { missing <- nameMissingRights(ctx, f.engine, c, f.core.log) })
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			fail(tracksNot(err, <-missing))
		}
	})
}

// reads is the layer of the engine: the core, with a reader from the first stream on.
type reads struct {
	*core
	start func()
}

func (l *reads) Added(lease api.Lease) {
	l.start()
	l.core.Added(lease)
}

func (l *reads) Topology() {
	l.start()
	l.core.Topology()
}

// reader is a reading.Reader whose handles are those of package backing.
type reader struct{ *reading.Reader }

func (r reader) Add(s reading.Source) backing.Handle { return r.Reader.Add(s) }

// Lag returns the n streams that are furthest behind, by the age of their oldest message that was read and is not handled, the furthest
// first. It makes no round trip, and looks at busy streams only. A stream with more messages than were read shows that in More.
func (f *Feed) Lag(n int) []StreamLag { return furthest(&f.core.busy, n) }

// Stats returns figures of the feed. It makes no round trip.
func (f *Feed) Stats() Stats {
	s := f.core.figures.stats()
	lags(&f.core.busy, func(l StreamLag) { s.Longest = max(s.Longest, l.Age) })
	return s
}

func (f *Feed) polling() bool {
	r := f.reader.Load()
	return r != nil && r.Stats().Polling
}
