package cluster

import (
	"fmt"

	"github.com/redis/rueidis"
)

// Prepare returns a client that has not connected yet, for a program that may start before its server. Before Connect succeeds, only
// Connect, Connected, Mode, Nodes and Close may be called.
func Prepare(opt rueidis.ClientOption) *Client {
	return &Client{opt: opt, connecting: make(semaphore, 1)}
}

// Connected reports whether the client has connected once.
func (c *Client) Connected() bool { return c.current.Load() != nil }

// Connect makes one attempt to connect, unless one has succeeded. Errors are those of rueidis.NewClient, with what was found at the
// addresses (see Diagnose), and rueidis.ErrClosing after Close.
func (c *Client) Connect() error {
	c.connecting.enter()
	defer c.connecting.leave()
	switch {
	case c.closed:
		return rueidis.ErrClosing
	case c.Connected():
		return nil
	}
	client, err := newLinked(c.opt)
	if err != nil {
		return fmt.Errorf("connecting to Redis: %w", Diagnose(c.opt, err))
	}
	c.current.Store(client)
	return nil
}
