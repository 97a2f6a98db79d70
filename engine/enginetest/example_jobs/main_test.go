package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/enginetest"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/scan"
)

// try sends items to 20 jobs. A process with one worker of the feed, and 4 calls of a second at a time, is killed or drained meanwhile.
func try(t *testing.T, kill bool, items, want string, onFailure feed.Failure, end scan.StreamState) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		calls, tokens, seen, done := 0, map[string]api.Token{}, map[string]bool{}, map[string]string{}
		receive := func(_ context.Context, l api.Lease, m feed.Message) error {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			job, item := l.Stream(), m.Fields[0].Value
			calls, tokens[job] = calls+1, max(tokens[job], l.Token())
			switch {
			case item == "x":
				return feed.At(m.ID, api.Permanent(errors.New("never")))
			case item == "r" && calls < 50, l.Token() < tokens[job]: // fails for a while; comes too late
				return errors.New("not now")
			case !seen[job+m.ID] || !kill: // nothing but a crash repeats calls
				seen[job+m.ID], done[job] = true, done[job]+item
			}
			return nil
		}
		f := enginetest.New(t, "jobs")
		for i := range 20 * len(items) {
			f.Send(fmt.Sprint("job:", i%20), "url", items[i/20:i/20+1])
		}
		program := func(ctx context.Context, e *engine.Engine) error {
			return enginetest.Feed(fanOut(ctx, 4, receive), feed.Config{Workers: 1, OnFailure: onFailure})(ctx, e)
		}
		a := f.Start("a", program)
		f.Advance(5500 * time.Millisecond)
		if synctest.Wait(); calls < 12 {
			t.Errorf("%d calls in 5 s: slow calls hold the worker", calls)
		}
		f.Start("b", program)
		if kill {
			a.Kill()
		} else if err := a.Drain(); err != nil {
			t.Error(err)
		}
		for i := range 20 {
			job := fmt.Sprint("job:", i)
			f.Eventually(job, func() bool { mu.Lock(); defer mu.Unlock(); return done[job] == want })
			f.InState(job, end)
		}
		f.NothingLost()
	})
}

func TestCrash(t *testing.T)      { try(t, true, "abc", "abc", feed.FailStream, scan.StreamOwned) }
func TestDrain(t *testing.T)      { try(t, false, "arxb", "arb", feed.Skip, scan.StreamOwned) }
func TestDeadLetter(t *testing.T) { try(t, false, "axb", "a", feed.FailStream, scan.StreamDead) }
