package schedule

import (
	"context"
	"iter"
	"math/rand/v2"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/scan"
)

// auditorOf returns the auditor of an engine. count counts what it does.
func auditorOf(e *engine.Engine, layout *cluster.Layout, log *sumlog.Logger, count func(metrics.ScheduleAudit)) *auditor {
	return newAuditor(auditParams{
		store: newTableStore(runnerOf(e), layout), partitions: layout.Partitions(), requeue: e.Requeue,
		letters: func(ctx context.Context, p int) iter.Seq2[scan.DeadLetter, error] {
			return lettersOf(ctx, e, p)
		},
		log: log, count: count, random: rand.Float64,
	})
}

// lettersOf yields the dead letters of a partition.
func lettersOf(ctx context.Context, e *engine.Engine, p int) iter.Seq2[scan.DeadLetter, error] {
	i, err := e.Inspector(scan.InspectorConfig{})
	if err != nil {
		return func(yield func(scan.DeadLetter, error) bool) { yield(scan.DeadLetter{}, err) }
	}
	return i.Letters(ctx, scan.Selection{Partitions: []int{p}})
}
