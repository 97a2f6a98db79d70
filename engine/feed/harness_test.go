package feed_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/feed/feedtest"
	"github.com/streamlease/streamlease/test/virtual"
)

// journal is what a handler saw, in order: "stream: id id id".
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) write(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) batch(b *feed.Batch) {
	ids := make([]string, len(b.Messages))
	for i, m := range b.Messages {
		ids[i] = m.ID
	}
	j.write("%s: %s", b.Lease.Stream(), strings.Join(ids, " "))
}

// take returns what was written since the last time.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

// bench is a feed whose handler writes into a journal, and then does what it is made to do.
type bench struct {
	*feedtest.Feed
	journal
	t  *testing.T
	do atomic.Pointer[feed.Handler]
}

// does sets what the handler does from now on; nil: it returns nil.
func (b *bench) does(do feed.Handler) { b.do.Store(&do) }

// inBubble runs f with a feed in virtual time.
func inBubble(t *testing.T, c feed.Config, f func(b *bench)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		b := &bench{t: t}
		b.Feed = feedtest.New(func(ctx context.Context, batch *feed.Batch) error {
			b.batch(batch)
			if do := b.do.Load(); do != nil && *do != nil {
				return (*do)(ctx, batch)
			}
			return nil
		}, c)
		defer b.Close()
		f(b)
	})
}

// add adds messages with IDs "1-0" and so on.
func (b *bench) add(stream string, ids ...int) {
	for _, id := range ids {
		b.AddID(stream, fmt.Sprintf("%d-0", id), feed.Field{Name: "n", Value: fmt.Sprint(id)})
	}
}

// sees waits until nothing moves, and compares what the handler saw since the last time. Lines of different streams are sorted.
func (b *bench) sees(lines ...string) {
	b.t.Helper()
	synctest.Wait()
	got := b.take()
	slices.SortStableFunc(got, func(x, y string) int { return strings.Compare(streamOf(x), streamOf(y)) })
	require.Equal(b.t, append([]string(nil), lines...), got)
}

func streamOf(line string) string { name, _, _ := strings.Cut(line, ":"); return name }

// seesAfter lets time pass first.
func (b *bench) seesAfter(d time.Duration, lines ...string) {
	b.t.Helper()
	time.Sleep(d)
	b.sees(lines...)
}

// ended waits until nothing moves, and reports whether the ownership is over.
func ended(o *feedtest.Ownership) bool {
	synctest.Wait()
	select {
	case <-o.Ended():
		return true
	default:
		return false
	}
}
