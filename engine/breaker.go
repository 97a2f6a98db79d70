package engine

import (
	"context"
	"errors"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// absent are refusals of servers that are as good as down.
var absent = map[string]bool{"LOADING": true, "MASTERDOWN": true, "CLUSTERDOWN": true}

// mayAsk says whether work that can wait may ask the server of a partition; see asked.
func (e *Engine) mayAsk(p *partition) bool { return e.breakers.Allow(e.lane(p.number), e.clock.Now()) }

// asked notes how the server of a partition answered work that can wait. Whether it answers at all is what counts.
func (e *Engine) asked(p *partition, err error) {
	lane := e.lane(p.number)
	switch {
	case isAnswer(err):
		e.answered(p)
	case errors.Is(err, context.Canceled):
		e.breakers.Unknown(lane)
	case e.breakers.Failed(lane, e.clock.Now()):
		e.metrics.Inc(metrics.ReadsPaused)
		e.tell(api.Event{Kind: api.EventReadsPaused, Partition: p.number, Err: lease.Explain(err)})
	}
}

// isAnswer reports whether a server that is up answers so.
func isAnswer(err error) bool {
	code, refused := lease.Refusal(err)
	return err == nil || refused && !absent[code] || rueidis.IsRedisNil(err)
}

// answered notes that the server of a partition answers: beats tell, which go on whatever happens.
func (e *Engine) answered(p *partition) {
	if e.breakers.Worked(e.lane(p.number)) {
		e.tell(api.Event{Kind: api.EventReadsResumed, Partition: p.number})
	}
}
