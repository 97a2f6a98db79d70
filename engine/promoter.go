package engine

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// promotions is how many partitions of one master are promoted at a time, if WithPipeline allows that many calls in flight.
const promotions = 2

// laterStore is what a promoter asks of Redis.
type laterStore interface {
	// Promote moves up to limit due entries from later to the input stream, and returns how many due entries are left.
	Promote(ctx context.Context, partition, limit int) (moved, due int, err error)
}

// promoter requeues delayed entries that are due: it moves them from later to the input stream. Beats report how many are due.
type promoter struct {
	*env
	store      laterStore
	partitions []*partition
	work       *workqueue.Queue
}

func newPromoter(ctx context.Context, e *env, partitions []*partition, lane func(partition int) int, s laterStore) *promoter {
	p := &promoter{env: e, store: s, partitions: partitions}
	p.work = workqueue.New(ctx, len(partitions), min(e.cfg.pipeline.MaxInFlight, promotions), lane, p.promote)
	return p
}

// promote requeues one batch of a partition, and returns the delay before the next.
func (p *promoter) promote(ctx context.Context, partition int) time.Duration {
	_, due, err := p.store.Promote(ctx, partition, p.cfg.pipeline.MaxMoves())
	if err != nil && ctx.Err() == nil {
		p.log.Warn("promoting fails", 1, "partition", partition, "err", lease.Explain(err))
	}
	aside := errors.Is(err, lease.ErrSetAside)
	if aside {
		p.metrics.Refused(lease.Blames(err))
	}
	switch {
	case err != nil && !aside:
		return workqueue.Idle // the next beat reports it again
	case due > 0:
		return 0
	}
	p.partitions[partition].due.Store(0)
	return workqueue.Idle
}
