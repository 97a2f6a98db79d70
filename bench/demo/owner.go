package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/journal"
)

// lookEvery is how often the journal notes what is owned.
const lookEvery = 50 * time.Millisecond

// owner is what users write: a handler of messages. It also keeps a journal, and notes where each stream is.
type owner struct {
	journal *journal.Journal

	stop   chan struct{}
	group  sync.WaitGroup
	closed sync.Once

	messages, disowned, handed atomic.Int64

	mu      sync.Mutex
	last    map[string]int // number of the last message of each stream, in this ownership
	failure error          // the first message that came out of turn, or why a stream was disowned
}

func newOwner(j *journal.Journal) *owner {
	o := &owner{journal: j, stop: make(chan struct{}), last: make(map[string]int)}
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

// config has the ownerships noted.
func (o *owner) config() feed.Config {
	return feed.Config{
		OnStart: func(_ context.Context, l api.Lease, _ string) error {
			o.journal.Add(l)
			return nil
		},
		OnStop: func(l api.Lease, why error) {
			switch {
			case errors.Is(why, api.ErrReleasing):
				if l.Remaining() > 0 {
					o.handed.Add(1)
				}
			case errors.Is(why, api.ErrLeaseLost):
				o.disowned.Add(1)
				o.fail(fmt.Errorf("stream %s was lost: %w", l.Stream(), why))
			}
		},
	}
}

// handle notes the numbers of messages. Within an ownership each is one more than the one before.
func (o *owner) handle(_ context.Context, b *feed.Batch) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	last, begun := o.last[b.Lease.Stream()]
	for _, m := range b.Messages {
		text, _ := m.Get("n")
		n, err := strconv.Atoi(text)
		if err != nil {
			return feed.At(m.ID, err)
		}
		if begun && n != last+1 && o.failure == nil {
			o.failure = fmt.Errorf("message %d of stream %s came after message %d", n, b.Lease.Stream(), last)
		}
		last, begun = n, true
	}
	o.last[b.Lease.Stream()] = last
	o.messages.Add(int64(len(b.Messages)))
	return nil
}

// reached returns how many streams have come to that message.
func (o *owner) reached(n int) (count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, last := range o.last {
		if last >= n {
			count++
		}
	}
	return count
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

// close ends what the owner started. It is called after the feed has ended.
func (o *owner) close() {
	o.closed.Do(func() { close(o.stop) })
	o.group.Wait()
}
