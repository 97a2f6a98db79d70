package feed

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

const (
	// trimAfter is how long after messages were handled the checkpoint is looked at: the engine has stored it by then.
	trimAfter = 3 * time.Second
	// trimTick is how often the trimmer looks, and trimBatch how many streams it takes at a time.
	trimTick  = time.Second
	trimBatch = 256
)

// trims are the round trips of a trimmer, for several streams each.
type trims interface {
	// Stored returns the checkpoints that Redis has, "" for none.
	Stored(ctx context.Context, streams []string) ([]string, error)
	// Trim deletes what precedes a position. gone: the message at the position does not exist.
	Trim(ctx context.Context, streams []string, at []position.ID) (gone []bool, errs []error)
}

// trimmer deletes handled messages. A position counts once Redis has it, and a session TTL later: whatever a failover may have
// forgotten by then, the next owner does not begin before it.
type trimmer struct {
	core *core
	lag  func() time.Duration
	open func() trims // asked late: the engine must be connected

	mu struct {
		sync.Mutex
		handled []trimItem // whose checkpoint is to be looked at, the first one first
		stored  []trimItem // that are to be trimmed
	}
}

type trimItem struct {
	stream *stream
	due    time.Duration
	to     position.ID
}

func newTrimmer(k *core, lag func() time.Duration, open func() trims) *trimmer {
	return &trimmer{core: k, lag: lag, open: open}
}

// add has a stream trimmed to where it is now, or further, in time.
func (t *trimmer) add(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.handled = append(t.mu.handled, trimItem{stream: s, due: t.core.now() + trimAfter})
}

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

// take takes the first of a queue that are due, and whose streams are owned still.
func (t *trimmer) take(queue *[]trimItem) (due []trimItem) {
	now := t.core.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(*queue) && len(due) < trimBatch && (*queue)[n].due <= now {
		if item := (*queue)[n]; item.stream.lease.Remaining() > 0 {
			due = append(due, item)
		}
		n++
	}
	*queue = (*queue)[n:]
	if len(*queue) == 0 {
		*queue = nil
	}
	return due
}

// look notes which positions Redis has. It reports whether there was something to do.
func (t *trimmer) look(ctx context.Context) bool {
	due := t.take(&t.mu.handled)
	if len(due) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	stored, err := t.open().Stored(ctx, names(due))
	if err != nil {
		t.failed(err, due...)
		return true
	}
	at := t.core.now() + t.lag()
	var found []trimItem
	for i, d := range due {
		mark, err := position.Decode(checkpointIn(stored[i]))
		if err != nil || mark.At.IsZero() {
			d.stream.untrim(position.ID{}) // nothing is stored: checkpoints are off, or another's
			continue
		}
		found = append(found, trimItem{stream: d.stream, due: at, to: mark.At})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.stored = append(t.mu.stored, found...)
	return true
}

// trim trims those whose time has come. It reports whether there was something to do.
func (t *trimmer) trim(ctx context.Context) bool {
	due := t.take(&t.mu.stored)
	if len(due) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	to := make([]position.ID, len(due))
	for i := range due {
		to[i] = due[i].to
	}
	gone, errs := t.open().Trim(ctx, names(due), to)
	for i, d := range due {
		switch {
		case errs[i] != nil:
			t.failed(errs[i], d)
			continue
		case gone[i]:
			t.core.metrics.Inc(metrics.FeedTrims.With(metrics.TrimRefused))
		default:
			t.core.metrics.Inc(metrics.FeedTrims.With(metrics.TrimDone))
		}
		if d.stream.untrim(d.to) {
			t.add(d.stream)
		}
	}
	return true
}

func (t *trimmer) failed(err error, items ...trimItem) {
	t.core.log.Warn("handled messages could not be deleted", len(items), "err", err)
	t.core.metrics.Add(metrics.FeedTrims.With(metrics.TrimFailed), len(items))
	for _, d := range items {
		d.stream.untrim(position.ID{})
	}
}

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

func names(items []trimItem) []string {
	streams := make([]string, len(items))
	for i, item := range items {
		streams[i] = item.stream.Stream()
	}
	return streams
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
