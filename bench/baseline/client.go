package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

const (
	field     = "lbs-input"
	readBatch = 1000
	readBlock = time.Second
)

// Options say what a client reads and how it locks.
type Options struct {
	Service  string
	Consumer string
	TTL      time.Duration // of a lock, which is extended every half TTL; above 0
	Added    func(stream string)
	Disowned func(stream string) // the lock was lost
}

// Client owns what it reads, until its Run ends.
type Client struct {
	redis    redis.UniversalClient
	locks    *redsync.Redsync
	o        Options
	held     atomic.Int64
	disowned atomic.Int64
	extended atomic.Int64
	owners   sync.WaitGroup
}

// New makes a client. The caller closes the connections.
func New(connections redis.UniversalClient, o Options) (*Client, error) {
	if o.TTL <= 0 {
		return nil, fmt.Errorf("baseline: TTL: %v is not above 0", o.TTL)
	}
	return &Client{redis: connections, locks: redsync.New(goredis.NewPool(connections)), o: o}, nil
}

// Held is the number of streams that the client owns, as far as it knows.
func (c *Client) Held() int { return int(c.held.Load()) }

// Disowned is the number of locks that were lost.
func (c *Client) Disowned() int64 { return c.disowned.Load() }

// Extended is the number of extensions so far.
func (c *Client) Extended() int64 { return c.extended.Load() }

// Run reads and owns streams until ctx ends, and then unlocks all of them. Their entries stay pending in the group. It returns nil when it
// ended because ctx did.
func (c *Client) Run(ctx context.Context) error {
	defer c.owners.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	input, group := c.o.Service+"-input", c.o.Service+"-group"
	if err := c.redis.XGroupCreateMkStream(ctx, input, group, "0").Err(); err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return fmt.Errorf("baseline: creating the group: %w", err)
	}
	for ctx.Err() == nil {
		read, err := c.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: group, Consumer: c.o.Consumer, Streams: []string{input, ">"}, Count: readBatch, Block: readBlock,
		}).Result()
		if errors.Is(err, redis.Nil) || ctx.Err() != nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("baseline: reading: %w", err)
		}
		for _, stream := range read {
			for _, message := range stream.Messages {
				if err := c.take(ctx, message); err != nil && ctx.Err() == nil {
					return err
				}
			}
		}
	}
	return nil
}

// take locks one announced stream and starts the goroutine that owns it.
func (c *Client) take(ctx context.Context, message redis.XMessage) error {
	var announced struct{ DataStreamName string }
	text, _ := message.Values[field].(string)
	if err := json.Unmarshal([]byte(text), &announced); err != nil {
		return fmt.Errorf("baseline: entry %s: %w", message.ID, err)
	}
	lock := c.locks.NewMutex(announced.DataStreamName+":"+message.ID, redsync.WithExpiry(c.o.TTL))
	if err := lock.LockContext(ctx); err != nil {
		return fmt.Errorf("baseline: locking %s: %w", announced.DataStreamName, err)
	}
	c.held.Add(1)
	c.owners.Go(func() { c.own(ctx, announced.DataStreamName, lock) })
	c.o.Added(announced.DataStreamName)
	return nil
}

// own extends one lock until it is lost or ctx ends.
func (c *Client) own(ctx context.Context, stream string, lock *redsync.Mutex) {
	defer c.held.Add(-1)
	tick := time.NewTicker(c.o.TTL / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			// A lock that cannot be released expires by itself.
			_, _ = lock.UnlockContext(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		}
		kept, err := lock.ExtendContext(ctx)
		switch {
		case kept:
			c.extended.Add(1)
		case ctx.Err() != nil:
		case err == nil, time.Now().After(lock.Until()):
			c.disowned.Add(1)
			c.o.Disowned(stream)
			return
		}
	}
}
