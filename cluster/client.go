package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Client is a client that can be made anew while others use it. A client of a single server or of Sentinel goes on talking
// to a server that was demoted for as long as their connection lasts, which may be for ever: one that is made anew resolves
// names, or asks the sentinels, and finds the server that there is now.
type Client struct {
	opt     rueidis.ClientOption
	current atomic.Pointer[rueidis.Client]
	ending  sync.WaitGroup // clients that were replaced and wait for their last answers

	mu struct { // held while a new client connects, so that one is made at a time
		sync.Mutex
		closed bool
	}
}

var _ rueidis.Client = (*Client)(nil)

// NewClient connects. Errors are those of rueidis.NewClient.
func NewClient(opt rueidis.ClientOption) (*Client, error) {
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, err
	}
	c := &Client{opt: opt}
	c.current.Store(&client)
	return c, nil
}

// Redial makes the client anew and lets go of the old one, whose calls under way still get their answers. It leaves things
// as they are when it fails. Errors are those of rueidis.NewClient, and rueidis.ErrClosing after Close.
func (c *Client) Redial() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return rueidis.ErrClosing
	}
	client, err := rueidis.NewClient(c.opt)
	if err != nil {
		return err
	}
	old := *c.current.Load()
	if client.Mode() != old.Mode() {
		// Commands that were built for one kind cannot be sent by the other.
		client.Close()
		return fmt.Errorf("cluster: the servers are now of mode %v, they were of mode %v", client.Mode(), old.Mode())
	}
	c.current.Store(&client)
	c.ending.Go(old.Close)
	return nil
}

// Close closes the client, and waits for what is under way.
func (c *Client) Close() {
	c.mu.Lock()
	c.mu.closed = true
	c.mu.Unlock()
	c.get().Close()
	c.ending.Wait()
}

func (c *Client) get() rueidis.Client { return *c.current.Load() }

// B and the methods that follow are those of the client that there is now.
func (c *Client) B() rueidis.Builder { return c.get().B() }

// Do sends a command. It may meet the end of a client that is being replaced: rueidis.ErrClosing, and the next one is well.
func (c *Client) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	return c.get().Do(ctx, cmd)
}

// DoMulti sends commands.
func (c *Client) DoMulti(ctx context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	return c.get().DoMulti(ctx, multi...)
}

// DoCache sends a command whose answer may come from a cache.
func (c *Client) DoCache(ctx context.Context, cmd rueidis.Cacheable, ttl time.Duration) rueidis.RedisResult {
	return c.get().DoCache(ctx, cmd, ttl)
}

// DoMultiCache sends commands whose answers may come from a cache.
func (c *Client) DoMultiCache(ctx context.Context, multi ...rueidis.CacheableTTL) []rueidis.RedisResult {
	return c.get().DoMultiCache(ctx, multi...)
}

// DoStream sends a command whose answer is read in pieces.
func (c *Client) DoStream(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResultStream {
	return c.get().DoStream(ctx, cmd)
}

// DoMultiStream sends commands whose answers are read in pieces.
func (c *Client) DoMultiStream(ctx context.Context, multi ...rueidis.Completed) rueidis.MultiRedisResultStream {
	return c.get().DoMultiStream(ctx, multi...)
}

// Receive passes on what is published, until the client is made anew: then it returns rueidis.ErrClosing.
func (c *Client) Receive(ctx context.Context, subscribe rueidis.Completed, fn func(msg rueidis.PubSubMessage)) error {
	return c.get().Receive(ctx, subscribe, fn)
}

// Dedicated calls fn with a connection of its own.
func (c *Client) Dedicated(fn func(rueidis.DedicatedClient) error) error {
	return c.get().Dedicated(fn)
}

// Dedicate is a connection of its own, and how to give it back.
func (c *Client) Dedicate() (client rueidis.DedicatedClient, cancel func()) {
	return c.get().Dedicate()
}

// Nodes are clients of each node.
func (c *Client) Nodes() map[string]rueidis.Client { return c.get().Nodes() }

// Mode is the kind of server.
func (c *Client) Mode() rueidis.ClientMode { return c.get().Mode() }

// refresher is an answer that has a cluster client ask for the topology: it does so when an answer says that a slot cannot
// be served, and has no method for it. It does not when calls run into their deadlines, as they do with a master that
// hangs.
const refresher = "return redis.error_reply('CLUSTERDOWN said to a client, to have it ask who has which slot')"

// refreshes is how many calls are made at a time to have one of them answered: each goes to a node drawn at random, which
// may be the one that hangs.
const refreshes = 3

// Refresh has a cluster client ask anew who has which slot, within a second, as it is not told otherwise: a client whose
// calls run into their deadlines does not do so by itself. It costs three calls that fail. What the client is told may be
// what was so before a failover, so who waits for one calls this again until calls are answered. The error is that of the
// client when no node answers; calls without an answer end with ctx.
func Refresh(ctx context.Context, client rueidis.Client) (err error) {
	answers := make(chan error, refreshes)
	for range refreshes {
		go func() { answers <- client.Do(ctx, client.B().Eval().Script(refresher).Numkeys(0).Build()).Error() }()
	}
	for range refreshes {
		select {
		case err = <-answers:
		case <-ctx.Done(): // one who waits for another's connection does not look at ctx
			return ctx.Err()
		}
		var said *rueidis.RedisError
		if errors.As(err, &said) {
			return nil
		}
	}
	return err
}
