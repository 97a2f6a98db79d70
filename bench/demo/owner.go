package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
)

// readers is how many goroutines read data streams; the client puts what they ask for together into pipelines.
const readers = 16

// owner is what a user writes: it is told of streams and works on them as long as it owns them.
type owner struct {
	client  rueidis.Client
	streams int
	entries int // expected in each data stream

	work   chan api.Lease
	group  sync.WaitGroup
	closed sync.Once
	all    chan struct{} // closed when each stream has been read once

	added, read, entriesRead, disowned, handed atomic.Int64

	mu      sync.Mutex
	failure error // the first of a reader, or why a stream was disowned
}

func newOwner(client rueidis.Client, streams, entries int) *owner {
	o := &owner{client: client, streams: streams, entries: entries, work: make(chan api.Lease, streams), all: make(chan struct{})}
	for range readers {
		o.group.Go(func() {
			for l := range o.work {
				o.readOne(l)
			}
		})
	}
	return o
}

// handler returns at once: the work goes on elsewhere.
func (o *owner) handler() api.Handler {
	return api.Funcs{
		Added: func(_ context.Context, n api.Notification) error {
			if o.added.Add(1) > int64(o.streams) {
				o.fail(fmt.Errorf("stream %s was handed out twice", n.Stream))
				return nil
			}
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

// readOne reads a data stream while it is owned: its context ends with the lease.
func (o *owner) readOne(l api.Lease) {
	ctx := l.Context()
	entries, err := o.client.Do(ctx, o.client.B().Xrange().Key(l.Stream()).Start("-").End("+").Build()).AsXRange()
	switch {
	case ctx.Err() != nil:
		return // interrupted, or disowned, of which there is a notification
	case err != nil:
		o.fail(fmt.Errorf("reading stream %s: %w", l.Stream(), err))
	case len(entries) != o.entries:
		o.fail(fmt.Errorf("stream %s has %d entries, want %d", l.Stream(), len(entries), o.entries))
	}
	o.entriesRead.Add(int64(len(entries)))
	if o.read.Add(1) == int64(o.streams) {
		close(o.all)
	}
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

// close ends the readers. It is called when all streams have been read, or the engine has ended: nothing is added to
// the work then.
func (o *owner) close() {
	o.closed.Do(func() { close(o.work) })
	o.group.Wait()
}
