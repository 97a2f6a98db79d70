package completion

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/api"
)

// Has reports whether a completion is under way for an entry.
func (c *Completer) Has(partition int, id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.mu.entries[entryKey{partition, id}]
	return ok
}

// IDs returns the IDs of the entries of a partition that a completion is under way for.
func (c *Completer) IDs(partition int) (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.mu.entries {
		if key.partition == partition {
			ids = append(ids, key.id)
		}
	}
	return ids
}

// Len is the number of completions under way.
func (c *Completer) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.entries)
}

// Fresh is the number of completions under way that were never refused.
func (c *Completer) Fresh() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fresh := range c.mu.fresh {
		n += fresh
	}
	return n
}

// Wait calls ok each time something was settled, until it reports true; false when ctx ends first.
func (c *Completer) Wait(ctx context.Context, ok func() bool) bool { return c.settled.Wait(ctx, ok) }

// KeepUp waits, unless ctx ends first, until a partition has no more completions under way than it should: requeuing an entry
// takes the server longer than reading it, so a flood of announcements would otherwise pile up here. Completions that
// are refused do not count, or some bad entries would stop the reading for ever. Very many of them do: see Clogged.
func (c *Completer) KeepUp(ctx context.Context, partition int) {
	c.settled.Wait(ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.mu.fresh[partition] < c.cfg.Backlog
	})
}

// Clogged reports whether so many entries of a partition wait that Redis refuses to move, and that nobody owns, that nothing
// more is to be read: what is refused is retried, and more of it would pile up.
func (c *Completer) Clogged(partition int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.unowned[partition] >= c.cfg.Backlog
}

// HandedBack is the number of streams that Redis has taken back so far: released, failed, or handed back by a drain.
func (c *Completer) HandedBack() int64 { return c.handedBack.Load() }

// ErrNotHandedBack says how many streams could not be handed back in a drain since nothing was there to move; nil for none.
func (c *Completer) ErrNotHandedBack() error {
	n := c.notHandedBack.Load()
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d streams: their announcements are pending for another consumer by hand, or were deleted", api.ErrNotHandedBack, n)
}
