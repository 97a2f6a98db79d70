package feed

import (
	"time"

	"github.com/streamlease/streamlease/engine/feed/internal/list"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
)

// longAfter is how long a handler runs before a warning names it.
const longAfter = time.Minute

// watch warns of what lasts.
type watch struct {
	maxBytes int64
	clock    clock
	log      *sumlog.Logger
	counts   *counts
	busy     *list.List[*stream]
}

// longest returns how many streams were in a phase for longer than that, and the one that was in it longest.
func (w *watch) longest(p phase, than time.Duration) (n int, longest time.Duration, example string) {
	now := w.clock.now()
	eachBusy(w.busy, func(s *stream) {
		if took := now - s.work.since; s.phase == p && took > than {
			n++
			if n == 1 || took > longest {
				longest, example = took, s.Stream()
			}
		}
	})
	return n, longest, example
}

// warnOfLong warns of handlers that do not return.
func (w *watch) warnOfLong() {
	n, longest, example := w.longest(running, longAfter)
	w.log.Warn("handlers of batches have not returned for long", n, "streams", n, "longest", longest, "example", example)
}

// warnOfKept warns where kept batches take half of the budget.
func (w *watch) warnOfKept() {
	if w.counts.keptBytes.Load() <= w.maxBytes/2 {
		return
	}
	_, longest, example := w.longest(kept, -1)
	w.log.Warn("kept batches take more than half of MaxBytes", 1, "bytes", w.counts.keptBytes.Load(), "batches", w.counts.kept.Load(),
		"longest", longest, "example", example)
}
