package feed

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/engine/feed/internal/due"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
)

const (
	// tickEvery is how often the ticker looks, unless IdleDone or CheckpointEvery are shorter.
	tickEvery = time.Second
	// idleShare is the share of IdleDone by which the end of a stream may come late.
	idleShare = 8
)

// ticker does what is done from time to time: it has positions stored that are due, ends idle streams, and has a look at what lasts.
type ticker struct {
	cfg     *Config
	clock   clock
	log     *sumlog.Logger
	streams *registry
	later   *due.Queue[*stream]
	watch   *watch
}

// run runs until ctx ends.
func (t *ticker) run(ctx context.Context) {
	every := min(tickEvery, t.cfg.CheckpointEvery)
	if t.cfg.IdleDone > 0 {
		every = min(every, t.cfg.IdleDone/idleShare)
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	var looked, idled time.Duration
	for {
		select {
		case <-ctx.Done():
			t.log.Flush()
			return
		case <-ticks.C:
		}
		now := t.clock.now()
		for _, s := range t.later.Take(now, 0) {
			s.saveNow()
		}
		if t.cfg.IdleDone > 0 && now-idled >= min(t.cfg.IdleDone/idleShare, 10*time.Second) {
			idled = now
			t.endIdle()
		}
		if now-looked >= longAfter/4 {
			looked = now
			t.watch.warnOfLong()
			t.log.Flush()
		}
	}
}

// endIdle ends the streams that had no message for IdleDone.
func (t *ticker) endIdle() {
	limit := uint32(min(t.cfg.IdleDone*ticksPerSecond/time.Second, 1<<31))
	for _, s := range t.streams.all() {
		s.after(func() effects {
			now := t.clock.ticks()
			if s.phase != resting || s.work != nil || now-s.active < limit {
				return effects{}
			}
			s.active = now // one attempt at a time
			return s.finishLocked()
		})
	}
}
