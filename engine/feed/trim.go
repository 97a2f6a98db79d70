package feed

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/engine/feed/internal/due"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
)

const (
	// trimAfter is how long after messages were handled the checkpoint is looked at: the engine has stored it by then.
	trimAfter = 3 * time.Second
	// trimTick is how often the trimmer looks, and trimBatch how many streams it takes at a time.
	trimTick  = time.Second
	trimBatch = 256
)

// trimSteps are the round trips of a trimmer, for several streams each.
type trimSteps interface {
	// Stored returns the checkpoints that Redis has, "" for none.
	Stored(ctx context.Context, streams []string) ([]string, error)
	// Trim deletes what precedes a position. gone: the message at the position does not exist.
	Trim(ctx context.Context, streams []string, at []position.ID) (gone []bool, errs []error)
}

// trimTerms are what trimming depends on.
type trimTerms struct {
	lag  func() time.Duration // how long Redis has had a position before it counts
	open func() trimSteps     // asked late: the engine must be connected
}

// trimmer deletes handled messages. A position counts once Redis has it, and a session TTL later: whatever a failover may have
// forgotten by then, the next owner does not begin before it.
type trimmer struct {
	trimTerms
	clock   clock
	log     *sumlog.Logger
	metrics *metrics.Metrics

	handled due.Queue[*stream]  // whose checkpoint is to be looked at
	stored  due.Queue[trimItem] // that are to be trimmed
}

// trimItem is a stream whose checkpoint has a position.
type trimItem struct {
	stream *stream
	to     position.ID
}

var _ trims = (*trimmer)(nil)

// add has a stream trimmed to where it is now, or further, in time.
func (t *trimmer) add(s *stream) { t.handled.Add(t.clock.now()+trimAfter, s) }

// run trims until ctx ends.
func (t *trimmer) run(ctx context.Context) {
	ticker := time.NewTicker(trimTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for t.look(ctx) || t.trim(ctx) {
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// look notes which positions Redis has. It reports whether there was something to do.
func (t *trimmer) look(ctx context.Context) bool {
	taken := t.handled.Take(t.clock.now(), trimBatch)
	if len(taken) == 0 {
		return false
	}
	held := slices.DeleteFunc(taken, func(s *stream) bool { return !s.isHeld() })
	if len(held) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	stored, err := t.open().Stored(ctx, names(held))
	if err != nil {
		t.failed(err, held...)
		return true
	}
	at := t.clock.now() + t.lag()
	for i, s := range held {
		mark, err := position.Decode(checkpointIn(stored[i]))
		if err != nil || mark.At.IsZero() {
			s.untrim(position.ID{}) // nothing is stored: checkpoints are off, or another's
			continue
		}
		t.stored.Add(at, trimItem{s, mark.At})
	}
	return true
}

// trim trims those whose time has come. It reports whether there was something to do.
func (t *trimmer) trim(ctx context.Context) bool {
	taken := t.stored.Take(t.clock.now(), trimBatch)
	if len(taken) == 0 {
		return false
	}
	var held []*stream
	var to []position.ID
	for _, item := range taken {
		if item.stream.isHeld() {
			held, to = append(held, item.stream), append(to, item.to)
		}
	}
	if len(held) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	gone, errs := t.open().Trim(ctx, names(held), to)
	for i, s := range held {
		switch {
		case errs[i] != nil:
			t.failed(errs[i], s)
			continue
		case gone[i]:
			t.metrics.Inc(metrics.FeedTrims.With(metrics.TrimRefused))
		default:
			t.metrics.Inc(metrics.FeedTrims.With(metrics.TrimDone))
		}
		if s.untrim(to[i]) {
			t.add(s)
		}
	}
	return true
}

func (t *trimmer) failed(err error, streams ...*stream) {
	t.log.Warn("handled messages could not be deleted", len(streams), "err", err)
	t.metrics.Add(metrics.FeedTrims.With(metrics.TrimFailed), len(streams))
	for _, s := range streams {
		s.untrim(position.ID{})
	}
}

// isHeld reports whether the stream is owned still.
func (s *stream) isHeld() bool { return s.lease.Remaining() > 0 }

// untrim notes that the trimmer is done with a stream, unless more was handled since: then it reports true.
func (s *stream) untrim(to position.ID) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again = !to.IsZero() && to.Less(s.at) && s.phase != over
	if !again {
		s.flags &^= trimming
	}
	return again
}

func names(streams []*stream) []string {
	all := make([]string, len(streams))
	for i, s := range streams {
		all[i] = s.Stream()
	}
	return all
}

// checkpointIn returns the checkpoint in a value of the hash, "<token> <tag> <checkpoint>"; "" if it is none of an owner.
func checkpointIn(value string) string {
	_, rest, _ := strings.Cut(value, " ")
	tag, checkpoint, _ := strings.Cut(rest, " ")
	if tag != "v" && tag != "r" {
		return ""
	}
	return checkpoint
}
