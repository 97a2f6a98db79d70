package engine

import (
	"context"
	"sync/atomic"

	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// gaugeCountLimit is how many entries are counted for the gauges if the server's lag is unusable: some 5 ms of the server's time.
// Beyond that the lag is an estimate.
const gaugeCountLimit = 1000

// backlogStore is what backlogs asks of Redis.
type backlogStore interface {
	// Backlog counts up to limit entries where it has to count.
	Backlog(ctx context.Context, partition, limit int) (scan.Backlog, error)
}

// backlogs keeps the backlogs of all partitions for the gauges, as this process last measured them.
type backlogs struct {
	*env
	store backlogStore
	last  []atomic.Pointer[measured] // by partition; nil: not measured yet
}

// measured is a backlog, and when it was asked for.
type measured struct {
	scan.Backlog
	at int64
}

func newBacklogs(e *env, partitions int, s backlogStore) *backlogs {
	return &backlogs{env: e, store: s, last: make([]atomic.Pointer[measured], partitions)}
}

// measure measures the backlog of a partition.
func (b *backlogs) measure(ctx context.Context, partition int) {
	at := b.clock.Now()
	now, err := b.store.Backlog(ctx, partition, gaugeCountLimit)
	if err != nil {
		if ctx.Err() == nil {
			b.log.Warn("measuring the backlog fails", 1, "partition", partition, "err", lease.Explain(err))
		}
		return
	}
	b.last[partition].Store(&measured{now, at})
}

// emit emits the last measurement of a partition while it is fresh: after that, another process has a later one. roomless is whether
// what is not delivered there waits for room in this process.
func (b *backlogs) emit(partition int, roomless bool, emit metrics.Emit) {
	m := b.last[partition].Load()
	if m == nil || b.clock.Now()-m.at > 2*int64(b.cfg.recovery.Interval) {
		return
	}
	emit(metrics.Lag, partition, float64(m.Lag))
	if roomless {
		emit(metrics.WaitingForRoom, partition, float64(m.Lag))
	} else {
		emit(metrics.WaitingForRoom, partition, 0)
	}
	if m.LagBy.Exact() {
		emit(metrics.LagEstimated, partition, 0)
		emit(metrics.Stranded, partition, float64(m.Stranded))
		emit(metrics.PendingWithoutBody, partition, float64(m.WithoutBody))
	} else {
		emit(metrics.LagEstimated, partition, 1)
	}
	emit(metrics.Pending, partition, float64(m.Pending))
	emit(metrics.Consumers, partition, float64(m.Consumers))
	emit(metrics.OldestPending, partition, m.OldestPending.Seconds())
	emit(metrics.OldestWaiting, partition, m.OldestWaiting.Seconds())
	emit(metrics.Later, partition, float64(m.Later))
	emit(metrics.DeadLettersKept, partition, float64(m.DeadLetters))
}
