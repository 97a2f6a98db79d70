package engine

import (
	"context"
	"errors"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/breaker"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// breakers keep work that can wait away from servers that do not answer. All partitions of a master share one breaker. Beats
// do not ask for permission, but report their answers, so the first beat that succeeds closes the breaker.
type breakers struct {
	*env
	lane func(partition int) int // which partitions share a master
	set  *breaker.Set            // by lane
}

// allow reports whether work that can wait may call the server of a partition now; report the outcome with asked.
func (b *breakers) allow(partition int) bool { return b.set.Allow(b.lane(partition), b.clock.Now()) }

// asked records how the server of a partition answered work that can wait. All that counts is whether it answered.
func (b *breakers) asked(partition int, err error) {
	lane := b.lane(partition)
	switch {
	case isAnswer(err):
		b.answered(partition)
	case errors.Is(err, context.Canceled):
		b.set.Unknown(lane)
	case b.set.Failed(lane, b.clock.Now()):
		b.metrics.Inc(metrics.ReadsPaused)
		b.tell(api.Event{Kind: api.EventReadsPaused, Partition: partition, Err: lease.Explain(err)})
	}
}

// answered records that the server of a partition answers.
func (b *breakers) answered(partition int) {
	if b.set.Worked(b.lane(partition)) {
		b.tell(api.Event{Kind: api.EventReadsResumed, Partition: partition})
	}
}

// open returns how many masters that have partitions are kept off.
func (b *breakers) open() (open int) {
	seen := make(map[int]bool)
	for partition := range b.cfg.partitions {
		lane := b.lane(partition)
		if !seen[lane] && b.set.IsOpen(lane) {
			open++
		}
		seen[lane] = true
	}
	return open
}

// absent are refusals by servers that are as good as down.
var absent = map[string]bool{"LOADING": true, "MASTERDOWN": true, "CLUSTERDOWN": true}

// isAnswer reports whether the outcome of a call shows that the server is up.
func isAnswer(err error) bool {
	code, refused := lease.Refusal(err)
	return err == nil || refused && !absent[code] || rueidis.IsRedisNil(err)
}
