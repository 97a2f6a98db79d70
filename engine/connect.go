package engine

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

// errStopped ends a start that was asked to stop.
var errStopped = errors.New("stopped while starting")

// connector connects the clients that the engine made. Open and New make one attempt; where that fails because the servers are away,
// the start makes more, as it retries its other calls.
type connector struct {
	*env
	clients []*cluster.Client
	why     atomic.Pointer[error] // why the last attempt failed; nil: it did not
}

// prepare makes a client and one attempt to connect it. It returns an error only if further attempts would not help.
func prepare(opt rueidis.ClientOption, attempt bool) (*cluster.Client, error) {
	c := cluster.Prepare(opt)
	if !attempt {
		return c, nil
	}
	if err := c.Connect(); err != nil && !lease.Retryable(err) {
		c.Close()
		return nil, explainConnecting(err)
	}
	return c, nil
}

// connected reports whether a client may be used: those that the user made always may.
func connected(client rueidis.Client) bool {
	own, ok := client.(*cluster.Client)
	return !ok || own.Connected()
}

// once makes one attempt for each client that is not connected.
func (c *connector) once() error {
	for _, client := range c.clients {
		if err := client.Connect(); err != nil {
			err = explainConnecting(err)
			c.why.Store(&err)
			return err
		}
	}
	c.why.Store(nil)
	return nil
}

// connect makes attempts until all clients are connected. It returns errStopped if ctx ends first, and an error if further attempts
// would not help. An attempt itself cannot be stopped; it ends with the client's dial timeout.
func (c *connector) connect(ctx context.Context) error {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		err := c.once()
		switch {
		case err == nil:
			return nil
		case !lease.Retryable(err):
			return err
		}
		c.log.Warn("starting: cannot connect to Redis", 1, "err", err)
		c.log.Flush()
		backoff.Sleep(ctx, c.backoff(attempt))
	}
	return errStopped
}

// failure returns why the clients are not connected, nil if they are or nobody has tried.
func (c *connector) failure() error {
	if why := c.why.Load(); why != nil {
		return *why
	}
	return nil
}

// explainConnecting is lease.Explain for connecting: nothing was sent that may have run.
func explainConnecting(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return lease.Explain(err)
}
