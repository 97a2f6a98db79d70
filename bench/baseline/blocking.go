package baseline

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// blockingBatch is how many messages one XREAD returns at most, as with this library.
	blockingBatch = 100
	// dials is how many connections are made at a time: a server's queue of those that it has not accepted is short.
	dials = 128
	// retryAfter is how long a reader waits after an error.
	retryAfter = 100 * time.Millisecond
)

// Blocking reads streams in the usual way: a goroutine and a connection for each, in XREAD BLOCK 0.
type Blocking struct {
	redis   redis.UniversalClient
	take    func(stream string, batch []redis.XMessage)
	readers sync.WaitGroup
	failed  atomic.Int64
}

// NewBlocking makes a reader that calls take for each batch of messages, one at a time for a stream. Its connections are made by Connect, or
// by the reads. The caller closes redis, which must have a pool for as many connections as there are streams, and whose end ends the reads.
func NewBlocking(connections redis.UniversalClient, take func(stream string, batch []redis.XMessage)) *Blocking {
	return &Blocking{redis: connections, take: take}
}

// Failed is how many reads failed.
func (b *Blocking) Failed() int64 { return b.failed.Load() }

// Connect makes n connections, so that they are not made while it reads.
func (b *Blocking) Connect(ctx context.Context, n int) error {
	client, ok := b.redis.(*redis.Client)
	if !ok {
		return nil // a cluster client has a pool for each node
	}
	conns := make([]*redis.Conn, n)
	var all errgroup.Group
	all.SetLimit(dials)
	for i := range conns {
		conns[i] = client.Conn()
		all.Go(func() error { return conns[i].Ping(ctx).Err() })
	}
	err := all.Wait()
	for _, c := range conns {
		err = errors.Join(err, c.Close()) // returns the connection to the pool
	}
	return err
}

// Start begins to read these streams from their beginning. The goroutines end when ctx has ended and their read returns.
func (b *Blocking) Start(ctx context.Context, streams []string) {
	for _, s := range streams {
		b.readers.Go(func() { b.read(ctx, s) })
	}
}

// Wait waits until no goroutine reads any more.
func (b *Blocking) Wait() { b.readers.Wait() }

func (b *Blocking) read(ctx context.Context, stream string) {
	last := "0-0"
	for ctx.Err() == nil {
		read, err := b.redis.XRead(ctx, &redis.XReadArgs{Streams: []string{stream, last}, Count: blockingBatch, Block: 0}).Result()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.failed.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(retryAfter):
			}
			continue
		}
		batch := read[0].Messages
		b.take(stream, batch)
		last = batch[len(batch)-1].ID
	}
}
