package pod

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	failedShare   = 0.1 // of the streams are failed after the work
	releasedShare = 0.1 // are handed back
	longestWork   = 5   // times the average work
	endPatience   = time.Minute
)

// jobs are the work of a worker that does not keep its streams. It works on all its streams at the same time, on each for a while, and
// then calls Done, fails it or hands it back.
type jobs struct {
	work    time.Duration // on average
	journal *journal.Journal

	mu struct {
		sync.Mutex
		rnd *rand.Rand
	}
}

func newJobs(work time.Duration, seed uint64, j *journal.Journal) *jobs {
	w := &jobs{work: work, journal: j}
	w.mu.rnd = rand.New(rand.NewPCG(seed, 0))
	return w
}

// recovery has streams redelivered soon and any number of times where they are worked on, or where processes die again and again, so that
// whatever is left over is left by a fault.
func (o WorkerOptions) recovery() (c scan.Config) {
	if o.Often {
		c.MaxCrashes, c.MaxCrashDelay = scan.NoLimit, max(o.SessionTTL, scan.DefaultCrashDelay)
	}
	if o.Work > 0 {
		c.MaxRetries, c.MaxCrashes = scan.NoLimit, scan.NoLimit
		c.Interval = max(o.SessionTTL/5, scan.MinInterval) // each engine reconciles its streams with its pending entries every ten intervals
		c.RetryDelay, c.CrashDelay = o.Work/20, o.Work/20
		c.MaxRetryDelay, c.MaxCrashDelay = o.Work/4, o.Work/4
	}
	return c
}

// draw chooses how a job ends, as a number below 1, and how long it takes: most take less than the average.
func (w *jobs) draw() (how float64, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.rnd.Float64(), time.Duration(min(w.mu.rnd.ExpFloat64(), longestWork) * float64(w.work))
}

// Task is the Info of an announcement that is one of several of its stream.
type Task struct {
	Work int    // number of the announcement, from 1
	Fill string `json:",omitempty"` // makes the announcement large
}

func (w *jobs) added(_ context.Context, n api.Notification) error {
	if !w.journal.Knows(n.Stream) {
		return api.Permanent(errors.New("the stream is not one of the producer's"))
	}
	info, err := api.DecodeInfo[Task](n.Lease)
	if err != nil {
		return err
	}
	if page := w.journal.AddWork(n.Lease, info.Work); page != nil {
		how, took := w.draw()
		time.AfterFunc(took, func() { end(n.Lease, page, how) })
	}
	return nil
}

// end ends a job if the stream is still owned. The journal says how before anybody else can own the stream.
func end(l api.Lease, page *journal.Page, how float64) {
	if !page.Extend(l) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	switch {
	case how < failedShare:
		page.Is(journal.Failed)
		_ = l.Fail(ctx, errors.New("at random")) // what became of it shows when it is owned again
	case how < failedShare+releasedShare:
		page.Is(journal.Given)
		_ = l.Release(ctx)
	default:
		finish(l, page)
	}
}

// outcome is the state after a call of Done. It stays Ending where the outcome is not known.
func outcome(err error) journal.State {
	switch {
	case err == nil:
		return journal.Finished
	case errors.Is(err, api.ErrOutcomeUnknown):
		return journal.Ending
	case errors.Is(err, api.ErrNotHeld), errors.Is(err, api.ErrLeaseLost):
		return journal.Owned // it is handed out again
	}
	return journal.Ending
}
