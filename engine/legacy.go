package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

// legacyStore is what a legacyWatch asks of Redis.
type legacyStore interface {
	// Legacy returns the name of a living consumer of the older library in a partition, empty if there is none.
	Legacy(ctx context.Context, partition int) (alive string, err error)
}

// legacyWatch looks for living consumers of the older library that this one succeeds. They share the input stream and the group,
// and neither library respects the other's leases.
type legacyWatch struct {
	*env
	store legacyStore

	mu struct {
		sync.Mutex
		parts []legacyState // by partition
	}
}

// legacyState is what is known of the legacy consumers of a partition.
type legacyState struct {
	unchecked bool   // the last look got no answer, or found one alive: the partition is not read before a look finds none
	alive     string // a living consumer that has entries pending; empty: none
}

func newLegacyWatch(e *env, partitions int, s legacyStore) *legacyWatch {
	w := &legacyWatch{env: e, store: s}
	w.mu.parts = make([]legacyState, partitions)
	return w
}

// check returns an error if legacy consumers are alive. If a server does not answer, await looks again before anything is read. If
// ctx ends first, the error is ctx's.
func (w *legacyWatch) check(ctx context.Context) error {
	if w.cfg.legacy {
		return nil
	}
	for n := range w.mu.parts {
		alive, err := w.look(ctx, n)
		switch {
		case alive != "":
			return fmt.Errorf("%w: %s holds the lock of an entry in partition %d: stop the old consumers first, or start with WithForeignConsumers",
				api.ErrForeignConsumers, alive, n)
		case ctx.Err() != nil:
			return ctx.Err()
		case !lease.Retryable(err):
			return fmt.Errorf("looking for consumers of another library: %w", lease.Explain(err))
		}
	}
	return nil
}

// look returns the name of a living legacy consumer of a partition, empty if there is none, and keeps the outcome.
func (w *legacyWatch) look(ctx context.Context, partition int) (alive string, err error) {
	alive, err = w.store.Legacy(ctx, partition)
	w.mu.Lock()
	state := &w.mu.parts[partition]
	state.unchecked = alive != "" || err != nil
	if err == nil {
		state.alive = alive
	}
	w.mu.Unlock()
	return alive, err
}

// state returns what is known of a partition.
func (w *legacyWatch) state(partition int) legacyState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.parts[partition]
}

// await waits until a partition has no living legacy consumer, or ctx ends. The partition's reader calls it before the first read:
// its server may not have answered at the start.
func (w *legacyWatch) await(ctx context.Context, partition int) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		if w.cfg.legacy || !w.state(partition).unchecked {
			return
		}
		alive, err := w.look(ctx, partition)
		switch {
		case ctx.Err() != nil:
		case alive != "":
			w.log.Error("consumers of another library are alive on a partition; nothing is read there", "partition", partition,
				"consumer", alive)
		case err != nil:
			w.log.Warn("looking for consumers of another library fails", 1, "partition", partition, "err", lease.Explain(err))
		}
		if alive != "" || err != nil {
			backoff.Sleep(ctx, w.backoff(attempt))
		}
	}
}

// mayRecover reports whether a dead consumer may be recovered: a legacy consumer may not while another one is alive in the
// partition.
func (w *legacyWatch) mayRecover(ctx context.Context, partition int, consumer string) bool {
	if !strings.HasPrefix(consumer, lease.LegacyPrefix) || w.cfg.legacy {
		return true
	}
	alive, err := w.store.Legacy(ctx, partition)
	w.mu.Lock()
	w.mu.parts[partition].alive = alive
	w.mu.Unlock()
	return err == nil && alive == ""
}
