package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// readers is how many goroutines read data streams. The client pipelines their requests.
	readers = 16
	// lookEvery is how often the journal notes what is owned.
	lookEvery = 50 * time.Millisecond
)

// owner is what users write: a handler that works on streams as long as it owns them. It also keeps a journal.
type owner struct {
	client  rueidis.Client
	journal *journal.Journal

	work   chan api.Lease
	stop   chan struct{}
	group  sync.WaitGroup
	closed sync.Once

	read, entriesRead, disowned, handed atomic.Int64

	mu      sync.Mutex
	failure error // the first error of a reader, or why a stream was disowned
}

func newOwner(client rueidis.Client, j *journal.Journal, streams int) *owner {
	o := &owner{client: client, journal: j, work: make(chan api.Lease, streams), stop: make(chan struct{})}
	for range readers {
		o.group.Go(func() {
			for l := range o.work {
				o.readOne(l)
			}
		})
	}
	o.group.Go(o.look)
	return o
}

// look has the journal note what is owned, until stop.
func (o *owner) look() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			o.journal.Look()
		case <-o.stop:
			return
		}
	}
}

// handler returns a handler that returns at once: readers do the work.
func (o *owner) handler() api.Handler {
	return api.Funcs{
		Added: func(_ context.Context, n api.Notification) error {
			o.journal.Add(n.Lease)
			o.work <- n.Lease
			return nil
		},
		Disowned: func(_ context.Context, n api.Notification) error {
			o.disowned.Add(1)
			o.fail(fmt.Errorf("stream %s was lost: %w", n.Stream, n.Err))
			return nil
		},
		Releasing: func(_ context.Context, n api.Notification) error {
			if n.Lease.Remaining() > 0 {
				o.handed.Add(1)
			}
			return nil
		},
	}
}

// readOne reads a data stream while it is owned, since the context ends with the lease.
func (o *owner) readOne(l api.Lease) {
	ctx := l.Context()
	got, err := o.client.Do(ctx, o.client.B().Xrange().Key(l.Stream()).Start("-").End("+").Build()).AsXRange()
	switch {
	case ctx.Err() != nil:
		return // interrupted or disowned, and the handler is notified of the latter
	case err != nil:
		o.fail(fmt.Errorf("reading stream %s: %w", l.Stream(), err))
	case len(got) != entries:
		o.fail(fmt.Errorf("stream %s has %d entries, want %d", l.Stream(), len(got), entries))
	}
	o.entriesRead.Add(int64(len(got)))
	o.read.Add(1)
}

func (o *owner) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failure == nil {
		o.failure = err
	}
}

func (o *owner) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failure
}

// close ends what the owner started. It is called after the engine has ended, when no more work is added.
func (o *owner) close() {
	o.closed.Do(func() {
		close(o.work)
		close(o.stop)
	})
	o.group.Wait()
}
