package engine

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// wishesEvery is how often a process looks what operators wish, without a signal: signals may be missed, or refused.
const wishesEvery = 30 * time.Second

// wishStore is what wishes asks of Redis.
type wishStore interface {
	Wishes(ctx context.Context) ([]scan.Wish, error)
}

// wishes finds out what operators wish of this process, and obeys. One loop runs it.
type wishes struct {
	*env
	store    wishStore
	consumer string            // the consumer ID, whose wishes count
	obey     func(wanted) bool // reports whether that is something else than before
	obeyed   func()            // called after it was
	kick     chan struct{}
	failing  bool // since the last look that went well; the log has it
}

func newWishes(e *env, store wishStore, consumer string, obey func(wanted) bool, obeyed func()) *wishes {
	return &wishes{env: e, store: store, consumer: consumer, obey: obey, obeyed: obeyed, kick: make(chan struct{}, 1)}
}

// nudge makes the loop look now.
func (w *wishes) nudge() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// loop looks at once, when a signal says that something has changed, when a wish ends, and every half a minute, until ctx ends.
func (w *wishes) loop(ctx context.Context) {
	failed := 0
	delays := backoff.Exponential{First: w.cfg.beat, Max: wishesEvery, Jitter: jitterShare}
	for {
		next, err := w.look(ctx)
		if failed++; err == nil {
			failed = 0
		} else {
			next = delays.Delay(failed, w.random())
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.kick:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// look obeys, and returns when to look again: when the first of the wishes ends, at the latest. Those that it cannot read stay as they were.
func (w *wishes) look(ctx context.Context) (next time.Duration, err error) {
	all, err := w.store.Wishes(ctx)
	if err != nil {
		if ctx.Err() == nil && !w.failing { // a missing right is missing for long
			w.failing = true
			w.log.Warn("reading the wishes of operators failed", 1, "err", lease.Explain(err))
		}
		return 0, err
	}
	w.failing = false
	var of wanted
	next = wishesEvery
	var mine []scan.Wish
	for _, x := range all {
		if x.Kind != scan.WishFreeze && x.Consumer != w.consumer {
			continue
		}
		switch x.Kind {
		case scan.WishPause:
			of.pause = true
		case scan.WishDrain:
			of.evacuate = true
		case scan.WishWeight:
			of.weight = x.Weight
		case scan.WishFreeze:
			of.freeze = true
		default:
			continue
		}
		mine = append(mine, x)
		next = min(next, x.Left+time.Millisecond)
	}
	if !w.obey(of) {
		return next, nil
	}
	for _, x := range mine {
		w.log.Info("an operator wishes", "kind", x.Kind, "weight", x.Weight, "left", x.Left.Round(time.Second), "reason", x.Reason)
	}
	if len(mine) == 0 {
		w.log.Info("operators wish nothing any more")
	}
	w.obeyed()
	return next, nil
}
