package completion

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// What endings do about the checkpoints of streams. They are written in the same step, so whoever owns the stream next finds what was
// last set; and where that is not possible, by themselves before it.

// aheadStore stores checkpoints by themselves, by calls with no other key.
type aheadStore interface {
	SaveCheckpointsAlone(ctx context.Context, p int, consumer string, number uint64, items []lease.Saving) []lease.Verdict
}

// storeAhead stores the checkpoints of a batch that must wait, since its slot migrates: for as long as that takes, a crash would repeat
// what was handled since the last one. Those of streams that have none there yet must wait, too.
func storeAhead(ctx context.Context, to aheadStore, partition int, batch []completion) {
	var items []lease.Saving
	var of []int
	for i := range batch {
		if x := &batch[i]; x.Checkpoint != nil && x.lease != nil && !x.ahead {
			items = append(items, lease.Saving{Lease: x.lease, Value: *x.Checkpoint})
			of = append(of, i)
		}
	}
	if len(items) == 0 {
		return
	}
	number := items[0].Lease.Session().NextSaving()
	for j, v := range to.SaveCheckpointsAlone(ctx, partition, batch[0].consumer, number, items) {
		batch[of[j]].ahead = v == lease.Saved || v == lease.Lost
	}
}

// withoutCheckpoints asks again without checkpoints where a missing right refused the whole call: a right to a key that is declared
// refuses every script with it, and no ending is to wait for that. If that is refused, too, something else is missing.
func withoutCheckpoints(batch []completion, outcomes []lease.Outcome, err error,
	ask func(items []lease.Disposition) ([]lease.Outcome, error)) ([]lease.Outcome, error) {
	if !lease.LacksRight(err) {
		return outcomes, err
	}
	some := false
	items := make([]lease.Disposition, len(batch))
	for i := range batch {
		some = some || batch[i].leaves()
		items[i] = batch[i].Disposition
		items[i].Checkpoint, items[i].Checkpointed, items[i].DropCheckpoint = nil, false, false
	}
	if !some {
		return outcomes, err
	}
	again, stillErr := ask(items)
	if stillErr != nil {
		return outcomes, err
	}
	for i := range again {
		if batch[i].leaves() && again[i].Verdict != lease.Refused {
			again[i].Checkpoint, again[i].CheckpointErr = lease.Refused, err
		}
	}
	return again, nil
}

// left notes what became of the checkpoint of a completion that is settled with an outcome. refused is why Redis refused it although
// the ending went through.
func (x *completion) left(o lease.Outcome) (counts [metrics.SavingResults]int, bytes int, refused error) {
	switch {
	case !x.leaves():
		return counts, 0, nil
	case o.Checkpoint == lease.Saved:
		counts[metrics.SavingStored], bytes = 1, x.savingWeight()
	case o.Checkpoint == lease.Lost:
		counts[metrics.SavingRefused], x.unsaved = 1, api.ErrLeaseLost
	case o.Checkpoint == lease.Refused:
		counts[metrics.SavingFailed] = 1
		refused = o.CheckpointErr
		x.unsaved = fmt.Errorf("%w: %w", api.ErrNoCheckpoints, lease.Explain(refused))
	case x.tried && o.Verdict == lease.NotPending:
		// An earlier attempt has done it, and both in one step.
	default:
		x.unsaved = api.ErrLeaseLost
	}
	if x.Checkpoint == nil {
		counts = [metrics.SavingResults]int{}
	}
	return counts, bytes, refused
}
