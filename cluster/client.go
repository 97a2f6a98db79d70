package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/cluster/dialer"
)

// Client is a client that can be replaced while it is in use. A client of a single server or of Sentinel keeps talking to a
// server that was demoted for as long as the connection lasts, which may be indefinitely. A new client resolves names, or
// asks the sentinels, and so finds the current server.
type Client struct {
	opt     rueidis.ClientOption
	current atomic.Pointer[linked]
	ending  sync.WaitGroup // clients that were replaced and wait for their last answers

	// connecting is held while a new client connects, so that one is made at a time. Who waits for it is waiting for the network: a
	// mutex would have the time of a test in virtual time stand still meanwhile.
	connecting semaphore
	closed     bool // guarded by connecting
}

var _ rueidis.Client = (*Client)(nil)

// semaphore lets one in at a time; it has room for one.
type semaphore chan struct{}

func (s semaphore) enter() { s <- struct{}{} }
func (s semaphore) leave() { <-s }

// NewClient connects. Errors are those of Connect.
func NewClient(opt rueidis.ClientOption) (*Client, error) {
	c := Prepare(opt)
	if err := c.Connect(); err != nil {
		return nil, err
	}
	return c, nil
}

// Redial replaces the client by a new one. Calls in progress on the old client still get their answers. When Redial fails,
// the old client stays. Errors are those of rueidis.NewClient, and rueidis.ErrClosing after Close.
func (c *Client) Redial() error {
	c.connecting.enter()
	defer c.connecting.leave()
	if c.closed {
		return rueidis.ErrClosing
	}
	client, err := newLinked(c.opt)
	if err != nil {
		return err
	}
	old := c.current.Load()
	if client.Mode() != old.Mode() {
		// Commands built for one mode cannot be sent by a client of another.
		client.Close()
		return fmt.Errorf("cluster: the mode of the servers changed to %v, was %v", client.Mode(), old.Mode())
	}
	c.current.Store(client)
	c.ending.Go(old.Close)
	return nil
}

// Close closes the client and waits for calls in progress.
func (c *Client) Close() {
	c.connecting.enter()
	c.closed = true
	c.connecting.leave()
	if c.Connected() {
		c.get().Close()
	}
	c.ending.Wait()
}

func (c *Client) get() rueidis.Client { return c.current.Load() }

// B and the methods that follow are those of the current client.
func (c *Client) B() rueidis.Builder { return c.get().B() }

// resends is how often a command is sent again because its connection was left before it could be sent, and resend the delays: the
// library forgets a connection in a goroutine of its own, and returns the same error until then.
const resends = 10

var resend = backoff.Exponential{First: 200 * time.Microsecond, Max: 50 * time.Millisecond}

// unsent reports whether a command was not sent because its connection was left. The library recycles no command that failed so.
func unsent(r rueidis.RedisResult) bool { return errors.Is(r.NonRedisError(), dialer.ErrLeft) }

// Do sends a command. It may return rueidis.ErrClosing while the client is being replaced; the next call succeeds.
func (c *Client) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	r := c.get().Do(ctx, cmd)
	for n := 1; n <= resends && unsent(r) && backoff.Sleep(ctx, resend.Delay(n, 0)); n++ {
		r = c.get().Do(ctx, cmd)
	}
	return r
}

// DoMulti sends commands.
func (c *Client) DoMulti(ctx context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	results := c.get().DoMulti(ctx, multi...)
	for n := 1; n <= resends; n++ {
		var again []rueidis.Completed
		var at []int
		for i := range results {
			if unsent(results[i]) {
				again, at = append(again, multi[i]), append(at, i)
			}
		}
		if len(again) == 0 || !backoff.Sleep(ctx, resend.Delay(n, 0)) {
			break
		}
		for i, r := range c.get().DoMulti(ctx, again...) {
			results[at[i]] = r
		}
	}
	return results
}

// DoCache sends a command whose answer may come from a cache.
func (c *Client) DoCache(ctx context.Context, cmd rueidis.Cacheable, ttl time.Duration) rueidis.RedisResult {
	return c.get().DoCache(ctx, cmd, ttl)
}

// DoMultiCache sends commands whose answers may come from a cache.
func (c *Client) DoMultiCache(ctx context.Context, multi ...rueidis.CacheableTTL) []rueidis.RedisResult {
	return c.get().DoMultiCache(ctx, multi...)
}

// DoStream sends a command whose answer is streamed.
func (c *Client) DoStream(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResultStream {
	return c.get().DoStream(ctx, cmd)
}

// DoMultiStream sends commands whose answers are streamed.
func (c *Client) DoMultiStream(ctx context.Context, multi ...rueidis.Completed) rueidis.MultiRedisResultStream {
	return c.get().DoMultiStream(ctx, multi...)
}

// Receive passes on published messages until the client is replaced; then it returns rueidis.ErrClosing.
func (c *Client) Receive(ctx context.Context, subscribe rueidis.Completed, fn func(msg rueidis.PubSubMessage)) error {
	return c.get().Receive(ctx, subscribe, fn)
}

// Dedicated calls fn with a dedicated connection.
func (c *Client) Dedicated(fn func(rueidis.DedicatedClient) error) error {
	return c.get().Dedicated(fn)
}

// Dedicate returns a dedicated connection, and a function that gives it back.
func (c *Client) Dedicate() (client rueidis.DedicatedClient, cancel func()) {
	return c.get().Dedicate()
}

// Nodes returns a client for each node.
func (c *Client) Nodes() map[string]rueidis.Client {
	if !c.Connected() {
		return nil
	}
	return c.get().Nodes()
}

// Mode returns the kind of server; a single one before it is known.
func (c *Client) Mode() rueidis.ClientMode {
	if !c.Connected() {
		return rueidis.ClientModeStandalone
	}
	return c.get().Mode()
}

// refresher is a script whose answer makes a cluster client ask for the topology. The client has no method for that, but
// does so when an answer says that a slot cannot be served. It does not when calls time out, as they do while a master hangs.
// Its first word is the error's code, to clients and to the server's own statistics.
const refresher = "return redis.error_reply('CLUSTERDOWN sent to make a client ask which master serves which slot')"

// refreshes is how many calls are made at a time so that one of them is answered: each goes to a random node, which may be
// the one that hangs.
const refreshes = 3

// Refresh makes a cluster client ask again, within a second, which master serves which slot: a client whose calls time out
// does not do so by itself. It costs three calls that fail. The client may get the state from before a failover, so a
// caller that waits for one calls Refresh again until calls are answered. When no node answers, the error is the
// client's; calls without an answer end with ctx.
func Refresh(ctx context.Context, client rueidis.Client) (err error) {
	answers := make(chan error, refreshes)
	for range refreshes {
		go func() { answers <- client.Do(ctx, client.B().Eval().Script(refresher).Numkeys(0).Build()).Error() }()
	}
	for range refreshes {
		select {
		case err = <-answers:
		case <-ctx.Done(): // a call that waits for another call's connection ignores its ctx
			return ctx.Err()
		}
		var said *rueidis.RedisError
		if errors.As(err, &said) {
			return nil
		}
	}
	return err
}
