package engine

import (
	"context"

	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// gaugeCountLimit is how many entries are counted for the gauges where the server's own lag is no good: some 5 ms of the
// server's time.
const gaugeCountLimit = 1000

// measured is a backlog and when it was asked for.
type measured struct {
	scan.Backlog
	at int64
}

// measure keeps the backlog of a partition for the gauges.
func (e *Engine) measure(ctx context.Context, p *partition) {
	at := e.clock.Now()
	b, err := e.scan.Backlog(ctx, p.number, gaugeCountLimit)
	if err != nil {
		if ctx.Err() == nil {
			e.log.Warn("measuring the backlog fails", 1, "partition", p.number, "err", lease.Explain(err))
		}
		return
	}
	p.backlog.Store(&measured{b, at})
}

// emitBacklog emits the last measurement while it is fresh: from then on somebody else has a later one.
func (e *Engine) emitBacklog(p *partition, emit metrics.Emit) {
	b := p.backlog.Load()
	if b == nil || e.clock.Now()-b.at > 2*int64(e.cfg.recovery.Interval) {
		return
	}
	if b.Lag >= 0 {
		emit(metrics.Lag, p.number, float64(b.Lag))
		emit(metrics.Stranded, p.number, float64(b.Stranded))
		emit(metrics.PendingWithoutBody, p.number, float64(b.WithoutBody))
	}
	emit(metrics.Pending, p.number, float64(b.Pending))
	emit(metrics.Consumers, p.number, float64(b.Consumers))
	emit(metrics.OldestPending, p.number, b.OldestPending.Seconds())
	emit(metrics.OldestWaiting, p.number, b.OldestWaiting.Seconds())
	emit(metrics.Later, p.number, float64(b.Later))
	emit(metrics.DeadLettersKept, p.number, float64(b.DeadLetters))
}

// Inspector looks at the service from outside, on the client of the engine: dead letters, backlogs, who owns what. It
// may be used before the engine is started too; of an engine made by Open, not after it has ended. Errors match
// api.ErrInvalidConfig.
func (e *Engine) Inspector(c scan.InspectorConfig) (*scan.Inspector, error) {
	if c.Partitions == 0 {
		c.Partitions = e.layout.Partitions()
	}
	return scan.NewInspector(e.client, e.layout.Service(), c)
}
