package reading

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

// errRan is returned by a second Run.
var errRan = errors.New("reading: a reader runs once")

// Reader reads streams. Its methods may be called at any time, by several goroutines.
type Reader struct {
	cfg    Config
	slots  bool // the servers are a cluster
	began  time.Time
	budget budget
	apart  atomic.Bool // no command may have several streams
	blind  atomic.Bool // there is no right to ask whether a stream exists
	counts [counters]atomic.Int64
	mean   atomic.Int64  // mean memory of a message of any stream; 0: none was read yet
	kick   chan struct{} // the clock has something earlier to do
	refuse chan error    // tracking was refused after it had worked

	mu      sync.Mutex
	roster  roster
	client  rueidis.Client // to read with; nil: not connected
	track   uint64         // number of the client that tracks; callbacks of others are ignored. 0: none does
	alarm   int64          // when the clock looks next
	running bool
	ran     bool
	starved bool // a lane waits for Release
	ctx     context.Context
	work    sync.WaitGroup // the goroutines of lanes, and the clock
}

// New makes a reader; nothing is read before Run. Errors are of the configuration.
func New(cfg Config) (*Reader, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	r := &Reader{
		cfg:    cfg,
		slots:  cfg.SlotMaster != nil && cfg.Client.Mode() == rueidis.ClientModeCluster,
		began:  time.Now(),
		budget: budget{max: cfg.MaxBytes},
		kick:   make(chan struct{}, 1),
		refuse: make(chan error, 1),
		alarm:  never,
	}
	r.roster = roster{
		streams: make(map[string]*stream),
		lanes:   make(map[string]*lane),
		slots:   make([]*lane, 1),
		master:  func(uint16) string { return "" },
		newLane: r.newLane,
		count:   r.count,
		random:  cfg.Random,
		woke:    wake,
	}
	r.apart.Store(cfg.Client.Mode() == rueidis.ClientModeCluster)
	if r.slots {
		r.roster.master = cfg.SlotMaster
		r.roster.slots = make([]*lane, cluster.Slots)
	}
	return r, nil
}

// wake has a goroutine of a lane look what there is to do, or all of them when the lane has ended.
func wake(l *lane) {
	if l.work.Signal(); l.ended {
		l.work.Broadcast()
		l.glare.Broadcast()
	}
}

// now is the time in ns since the reader was made.
func (r *Reader) now() int64 { return int64(time.Since(r.began)) }

func (r *Reader) count(c Counter, n int) {
	if n != 0 {
		r.counts[c].Add(int64(n))
		r.cfg.Metrics.Count(c, n)
	}
}

// Add has a stream read from now on. If there is another source of that stream, it is removed.
func (r *Reader) Add(s Source) *Handle {
	h := &Handle{r: r, stream: stream{source: s}}
	name := s.Stream()
	if r.slots {
		h.slot = cluster.Slot(name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roster.add(&h.stream, name)
	if r.alarm == never {
		r.hasten(r.now()) // the sweep has something to do
	}
	return h
}

// Release gives back memory of messages that a source had in Result.Bytes.
func (r *Reader) Release(bytes int) {
	if bytes <= 0 || !r.budget.add(-int64(bytes)) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feed()
}

// Topology is to be called when a server has changed, or slots have moved: streams of slots that have another master are read again.
func (r *Reader) Topology() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roster.regroup(r.now())
}

// hasten has the clock look at a time, if that is earlier than it would. Reader.mu is held.
func (r *Reader) hasten(at int64) {
	if at < r.alarm {
		r.alarm = at
		select {
		case r.kick <- struct{}{}:
		default:
		}
	}
}

// Run reads until ctx ends, and returns nil then. In Mode Tracking it returns an error matching ErrRefused when tracking is refused.
// When it has returned, no goroutine of the reader is left and no call to a source begins. A reader runs once.
func (r *Reader) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	if err := r.start(ctx); err != nil {
		cancel()
		return err
	}
	err := r.serve(ctx)
	cancel()
	r.stop()
	return err
}

func (r *Reader) start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ran {
		return errRan
	}
	r.ran, r.running, r.ctx = true, true, ctx
	r.work.Go(func() { r.clock(ctx) })
	for _, l := range r.roster.lanes {
		r.man(l)
	}
	return nil
}

// stop waits for the goroutines that read. Run's context has ended, so calls return.
func (r *Reader) stop() {
	r.mu.Lock()
	r.running, r.track = false, 0
	for _, l := range r.roster.lanes {
		l.work.Broadcast()
		l.glare.Broadcast()
	}
	r.mu.Unlock()
	r.work.Wait()
}

func (r *Reader) newLane(addr string) *lane {
	l := &lane{addr: addr, work: sync.NewCond(&r.mu), glare: sync.NewCond(&r.mu)}
	if r.running {
		r.man(l)
	}
	return l
}

// readersOfLane is how many pipelines of a master may be in flight: one is taken in while the next is on its way.
const readersOfLane = 2

// man starts the goroutines of a lane. Reader.mu is held.
func (r *Reader) man(l *lane) {
	for range readersOfLane {
		r.work.Go(func() { r.read(l) })
	}
	r.work.Go(func() { r.looks(l) })
}

// clock does what is due.
func (r *Reader) clock(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
		case <-timer.C:
		}
		timer.Reset(r.tick())
	}
}

// tick returns how long to wait until the next one.
func (r *Reader) tick() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.now()
	next := int64(never)
	if r.client != nil {
		next = r.roster.tick(t)
	}
	for _, l := range r.roster.lanes {
		if l.paused > t {
			next = min(next, l.paused)
		} else if l.paused > 0 {
			l.paused = 0
			l.work.Broadcast()
		}
	}
	r.alarm = next
	return time.Duration(min(next-t, int64(time.Hour)))
}

// LastID returns the greatest ID that a stream ever had, "" if it does not exist. It asks the master, with the client of Config.
func (r *Reader) LastID(ctx context.Context, stream string) (string, error) {
	info, err := r.Look(ctx, stream)
	return info.Last, err
}
