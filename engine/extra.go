package engine

import (
	"slices"
	"sync"

	"github.com/streamlease/streamlease/cluster"
)

// extraClients are the clients that NewClient made and that are not closed yet. The zero value is ready for use.
type extraClients struct {
	mu   sync.Mutex
	open []*cluster.Client
}

func (x *extraClients) add(c *cluster.Client) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.open = append(x.open, c)
}

func (x *extraClients) remove(c *cluster.Client) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.open = slices.DeleteFunc(x.open, func(o *cluster.Client) bool { return o == c })
}

// all returns a copy.
func (x *extraClients) all() []*cluster.Client {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.open)
}

// extraClient is what NewClient returns.
type extraClient struct {
	*cluster.Client
	closed func()
}

// Close closes the client. Further calls do nothing.
func (c *extraClient) Close() {
	c.closed()
	c.Client.Close()
}
