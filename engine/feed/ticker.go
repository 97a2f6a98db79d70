package feed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

const (
	ticksPerSecond = 100
	noPartition    = api.NoPartition

	// tickEvery is how often the ticker looks, unless IdleDone or CheckpointEvery are shorter.
	tickEvery = time.Second
	// longAfter is how long a handler runs before a warning names it.
	longAfter = time.Minute
	// idleShare is the share of IdleDone by which the end of a stream may come late.
	idleShare = 8
)

// ticks is the time since the epoch in hundredths of a second, which go round after 497 days; differences stay right.
func (k *core) ticks() uint32 { return uint32(k.now() / (time.Second / ticksPerSecond)) }

// tick runs until ctx ends. It has positions stored that are due, ends idle streams, and warns of what lasts.
func (k *core) tick(ctx context.Context) {
	every := min(tickEvery, k.cfg.CheckpointEvery)
	if k.cfg.IdleDone > 0 {
		every = min(every, k.cfg.IdleDone/idleShare)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var looked, idled time.Duration
	for {
		select {
		case <-ctx.Done():
			k.log.Flush()
			return
		case <-ticker.C:
		}
		now := k.now()
		k.later.due(now)
		if k.cfg.IdleDone > 0 && now-idled >= min(k.cfg.IdleDone/idleShare, 10*time.Second) {
			idled = now
			k.endIdle()
		}
		if now-looked >= longAfter/4 {
			looked = now
			k.warnOfLong()
			k.log.Flush()
		}
	}
}

// later are the streams whose positions are to be stored when CheckpointEvery has passed, the first one first.
type later struct {
	sync.Mutex
	queue []saving
}

type saving struct {
	stream *stream
	at     time.Duration
}

func (l *later) add(s *stream, at time.Duration) {
	l.Lock()
	defer l.Unlock()
	l.queue = append(l.queue, saving{s, at})
}

// due has the positions stored whose time has come.
func (l *later) due(now time.Duration) {
	l.Lock()
	n := 0
	for n < len(l.queue) && l.queue[n].at <= now {
		n++
	}
	due := l.queue[:n:n]
	l.queue = l.queue[n:]
	if len(l.queue) == 0 {
		l.queue = nil
	}
	l.Unlock()
	for _, d := range due {
		d.stream.mu.Lock()
		d.stream.flags &^= listed
		d.stream.flushLocked()
		d.stream.mu.Unlock()
	}
}

// endIdle ends the streams that had no message for IdleDone.
func (k *core) endIdle() {
	limit := uint32(min(k.cfg.IdleDone*ticksPerSecond/time.Second, 1<<31))
	for _, s := range k.streams.all() {
		s.after(func() effects {
			if s.phase != resting || s.work != nil || k.ticks()-s.active < limit {
				return effects{}
			}
			s.active = k.ticks() // one attempt at a time
			return s.finishLocked()
		})
	}
}

// warnOfLong warns of handlers that do not return.
func (k *core) warnOfLong() {
	now := k.now()
	var n int
	var longest time.Duration
	var example string
	k.busy.each(func(s *stream, w *work) {
		if s.phase == running && now-w.since > longAfter {
			n++
			if now-w.since > longest {
				longest, example = now-w.since, s.Stream()
			}
		}
	})
	k.log.Warn("handlers of batches have not returned for long", n, "streams", n, "longest", longest, "example", example)
}

// warnOfKept warns where kept batches take half of the budget.
func (k *core) warnOfKept() {
	if k.keptBytes.Load() <= k.cfg.MaxBytes/2 {
		return
	}
	now := k.now()
	longest, example := time.Duration(-1), ""
	k.busy.each(func(s *stream, w *work) {
		if s.phase == kept && now-w.since > longest {
			longest, example = now-w.since, s.Stream()
		}
	})
	k.log.Warn("kept batches take more than half of MaxBytes", 1, "bytes", k.keptBytes.Load(), "batches", k.kept.Load(),
		"longest", longest, "example", example)
}

func asPanic(err error) (*api.PanicError, bool) {
	var p *api.PanicError
	return p, errors.As(err, &p)
}

func (k *core) countPanic(where string, p *api.PanicError) {
	k.metrics.Inc(metrics.FeedPanics)
	k.log.Error("code that was given to the feed panicked", "where", where, "panic", p.Value, "stack", string(p.Stack))
}
