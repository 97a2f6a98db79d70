package engine

import (
	"sync"
	"time"

	"github.com/streamlease/streamlease/scan"
)

// takeoverQuiet is how long after the last partition of a dead consumer the line about it is written. Beats report the dead of all
// partitions within a second.
const takeoverQuiet = 2 * time.Second

// takeovers collects what this process recovers of each dead consumer, for one line in the log however many partitions it was in.
type takeovers struct {
	*env
	mu struct {
		sync.Mutex
		open map[string]*takeover // by the name of the consumer
	}
}

// takeover is what was recovered of one consumer.
type takeover struct {
	began, last int64
	partitions  map[int]bool
	sum         scan.Recovered
}

func newTakeovers(e *env) *takeovers {
	t := &takeovers{env: e}
	t.mu.open = make(map[string]*takeover)
	return t
}

// add counts what was recovered of a consumer in a partition, since began.
func (t *takeovers) add(consumer string, partition int, began int64, done scan.Recovered) {
	if done.Entries+done.Gone == 0 {
		return
	}
	t.log.Debug("recovered a partition of a dead consumer", "consumer", consumer, "partition", partition, "entries", done.Entries)
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.mu.open[consumer]
	if x == nil {
		x = &takeover{began: began, partitions: make(map[int]bool)}
		t.mu.open[consumer] = x
	}
	x.began, x.last, x.partitions[partition] = min(x.began, began), t.clock.Now(), true
	x.sum.Entries += done.Entries
	x.sum.DeadLetters += done.DeadLetters
	x.sum.Gone += done.Gone
}

// flush writes a line for each consumer of which nothing was recovered for so long.
func (t *takeovers) flush(quiet time.Duration) {
	now := t.clock.Now()
	t.mu.Lock()
	ended := make(map[string]*takeover)
	for consumer, x := range t.mu.open {
		if now-x.last >= int64(quiet) {
			ended[consumer] = x
			delete(t.mu.open, consumer)
		}
	}
	t.mu.Unlock()
	for consumer, x := range ended {
		t.log.Info("took over from a dead consumer", "consumer", consumer, "partitions", len(x.partitions), "entries", x.sum.Entries,
			"dead_letters", x.sum.DeadLetters, "gone", x.sum.Gone, "took", time.Duration(x.last-x.began).Round(time.Millisecond))
	}
}
