package scan

import "sync"

// cursors are how far the checkpoints of each partition were gone through.
type cursors struct {
	mu sync.Mutex
	at map[int]string
}

func (c *cursors) get(p int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.at[p]; ok {
		return at
	}
	return "0"
}

func (c *cursors) set(p int, at string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = make(map[int]string)
	}
	c.at[p] = at
}
