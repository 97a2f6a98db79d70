package behave_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/leaks"
	"github.com/streamlease/streamlease/test/overlap"
)

// checkLeaks checks at the end of a test, after cleanups registered later, that no goroutine is left. The test cannot be parallel.
func checkLeaks(t *testing.T) {
	ignored := leaks.Known()
	t.Cleanup(func() { goleak.VerifyNone(t, ignored...) })
}

// TestShutdownHandsEverythingOver: each of up to 10,000 held streams gets a Releasing while its lease is valid. Another engine owns
// all of them afterwards, with the checkpoint that was set in the last moment. Nothing is acknowledged that was not done, and no retry is
// counted.
//
// The library that this one replaces acknowledged and deleted every stream that a client owned when it was shut down.
func TestShutdownHandsEverythingOver(t *testing.T) {
	checkLeaks(t)
	const finished = 100 // streams that their handler ends while the engine drains
	many := on.streams
	h := newHarness(t)
	h.announce(names("s", many)...)
	var invalid, refused atomic.Int64
	// Longer than the default, since a busy machine hands back less in a second.
	a := h.start("a", nil, engine.WithDrainTimeout(patience))
	a.holds(many)
	b := h.start("b", nil)
	var mu sync.Mutex
	done := 0
	a.setHandler(api.Funcs{Releasing: func(ctx context.Context, n api.Notification) error {
		if a.recorder.Look(n.Lease) <= 0 || !errors.Is(n.Err, api.ErrDraining) {
			invalid.Add(1)
		}
		mu.Lock()
		end := done < finished
		if end {
			done++
		}
		mu.Unlock()
		if end && n.Lease.Done(ctx) != nil {
			refused.Add(1)
		}
		return nil
	}})
	for s, x := range a.owned() {
		x.lease.SetCheckpoint("last of " + s)
	}
	require.NoError(t, a.shutdown())
	require.Zero(t, invalid.Load(), "Releasing without a valid lease")
	require.Zero(t, refused.Load(), "Done refused while the engine drains")
	require.Equal(t, many, a.notified(api.Releasing))
	require.Zero(t, a.notified(api.Disowned))
	require.Equal(t, 1, a.notified(api.Terminated))

	left := many - finished
	b.holds(left)
	require.Equal(t, left, b.notified(api.Added))
	h.stateIs(state{Input: left, Pending: left, Leases: left, Sessions: 1, Consumers: 1})
	require.Zero(t, h.countField("_retry_count"))
	require.Zero(t, h.countField("_crash_count"))
	require.NoError(t, overlap.CheckAll(a.recorder, b.recorder))
	for s, x := range a.owned() {
		require.Zero(t, x.lease.Remaining())
		require.Equal(t, 1, x.kinds[api.Releasing], "%s gets one Releasing", s)
	}
	for s, x := range b.owned() {
		require.Zero(t, x.lease.Attempt(), "%s has no retry", s)
		require.Equal(t, "last of "+s, x.lease.Checkpoint())
	}
	require.NoError(t, b.shutdown())
	h.stateIs(state{Input: left})
}

// TestShutdownRequeuesParkedEntries: announcements that wait for a stream of their own process are requeued, too.
func TestShutdownRequeuesParkedEntries(t *testing.T) {
	checkLeaks(t)
	h := newHarness(t)
	streams := names("s", 300)
	a := h.start("a", nil)
	h.announce(streams...)
	a.holds(300)
	h.announce(streams...)
	until(t, "they are parked", func() bool { return a.engine.Stats().Parked == 300 })
	require.NoError(t, a.shutdown())
	h.stateIs(state{Input: 600})
	require.Zero(t, h.countField("_retry_count"))
}

// TestShutdownEndsAtTheDrainTimeout: handlers that never return do not keep anything from being requeued.
func TestShutdownEndsAtTheDrainTimeout(t *testing.T) {
	checkLeaks(t)
	const n = 200
	h := newHarness(t)
	h.announce(names("s", n)...)
	never := make(chan struct{})
	var ended sync.WaitGroup
	ended.Add(engine.DefaultWorkers)
	var gaveUp atomic.Int64
	a := h.start("a", api.Funcs{Releasing: func(ctx context.Context, n api.Notification) error {
		defer ended.Done()
		<-ctx.Done() // the engine waits no longer
		gaveUp.Add(1)
		<-never
		return nil
	}}, engine.WithDrainTimeout(4*time.Second))
	a.holds(n)
	b := h.start("b", nil)
	require.ErrorIs(t, a.shutdown(), api.ErrDrainTimeout)
	b.holds(n)
	h.stateIs(state{Input: n, Pending: n, Leases: n, Sessions: 1, Consumers: 1})
	require.Zero(t, h.countField("_retry_count"))
	for s, x := range a.owned() {
		require.Zero(t, x.lease.Remaining(), "%s is held", s)
		require.ErrorIs(t, context.Cause(x.lease.Context()), api.ErrDraining)
		require.ErrorIs(t, x.lease.Done(context.Background()), api.ErrNotHeld)
	}
	require.NoError(t, overlap.CheckAll(a.recorder, b.recorder))
	until(t, "handlers learn that nobody waits", func() bool { return gaveUp.Load() == engine.DefaultWorkers })
	close(never)
	ended.Wait()
	require.Equal(t, engine.DefaultWorkers, a.notified(api.Releasing), "notifications that had not started were dropped")
	require.NoError(t, b.shutdown())
	h.stateIs(state{Input: n})
}

// TestShutdownEndsWithItsContext: the caller may allow less time than the drain timeout.
func TestShutdownEndsWithItsContext(t *testing.T) {
	checkLeaks(t)
	h := newHarness(t)
	h.announce("s")
	never := make(chan struct{})
	a := h.start("a", api.Funcs{Releasing: func(context.Context, api.Notification) error { <-never; return nil }},
		engine.WithDrainTimeout(time.Hour))
	a.holds(1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		until(t, "it drains", func() bool { return a.notified(api.Releasing) == 1 })
		cancel()
	}()
	err := a.engine.Shutdown(ctx)
	require.ErrorIs(t, err, api.ErrDrainTimeout)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, receive(t, "Run returns", a.ran), api.ErrDrainTimeout)
	close(never)
	require.Zero(t, a.lease("s", 1).Remaining())
	// Nobody waited for the reply: the entry either stays pending for the consumer until others recover it, or was requeued in
	// time.
	until(t, "it is still announced", func() bool {
		s := h.state()
		return s.Input == 1 && s.Pending == s.Leases
	})
}

// TestShutdownTwiceAndConcurrently: all calls wait for the same end and return the same, even a call after it.
func TestShutdownTwiceAndConcurrently(t *testing.T) {
	checkLeaks(t)
	h := newHarness(t)
	h.announce(names("s", 500)...)
	a := h.start("a", nil)
	a.holds(500)
	errs := make(chan error)
	for range 8 {
		go func() { errs <- a.engine.Shutdown(context.Background()) }()
	}
	for range 8 {
		require.NoError(t, receive(t, "Shutdown returns", errs))
	}
	require.NoError(t, receive(t, "Run returns", a.ran))
	require.NoError(t, a.engine.Shutdown(context.Background()))
	require.ErrorIs(t, a.engine.Run(context.Background(), a), api.ErrClosed)
	require.ErrorIs(t, a.engine.Ready(context.Background()), api.ErrNotReady)
	require.Equal(t, engine.Stats{Partitions: h.layout.Partitions()}, a.engine.Stats())
	h.stateIs(state{Input: 500})
}

// TestShutdownOfAnEngineThatNeverStarted closes it.
func TestShutdownOfAnEngineThatNeverStarted(t *testing.T) {
	checkLeaks(t)
	h := newHarness(t)
	a := h.member("a", nil)
	require.NoError(t, a.engine.Shutdown(context.Background()))
	require.NoError(t, a.engine.Shutdown(context.Background()))
	require.ErrorIs(t, a.engine.Run(context.Background(), a), api.ErrClosed)
	_, err := a.engine.Start(context.Background())
	require.ErrorIs(t, err, api.ErrClosed)
	require.Zero(t, a.notified(api.Terminated))
	exists, err := h.do("EXISTS", h.layout.Keys(0).Input).AsInt64()
	require.NoError(t, err)
	require.Zero(t, exists, "nothing was sent")
}

// TestEndOfTheContextOfRunDrains: it is another way to shut down.
func TestEndOfTheContextOfRunDrains(t *testing.T) {
	checkLeaks(t)
	h := newHarness(t)
	h.announce(names("s", 100)...)
	a := h.member("a", nil)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { a.ran <- a.engine.Run(ctx, a) }()
	until(t, "the streams are held", func() bool { return a.notified(api.Added) == 100 })
	cancel()
	require.NoError(t, receive(t, "Run returns", a.ran))
	require.Equal(t, 100, a.notified(api.Releasing))
	h.stateIs(state{Input: 100})
}

// TestShutdownWithRedisGone: it returns within its context, with an error, and no lease is believed in any longer.
func TestShutdownWithRedisGone(t *testing.T) {
	checkLeaks(t)
	h := newOwnHarness(t)
	h.announce(names("s", 100)...)
	a := h.start("a", nil)
	a.holds(100)
	h.kill(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := a.engine.Shutdown(ctx)
	require.ErrorIs(t, err, api.ErrDrainTimeout)
	require.ErrorIs(t, receive(t, "Run returns", a.ran), api.ErrDrainTimeout)
	for s, x := range a.owned() {
		require.Zero(t, x.lease.Remaining(), "%s is held", s)
		require.Error(t, x.lease.Context().Err())
		require.Error(t, x.lease.Done(context.Background()))
	}
	require.Equal(t, 1, a.notified(api.Terminated))
}

// TestShutdownWhileRedisNeverAnswered: an engine that waits for Redis can be shut down.
func TestShutdownWhileRedisNeverAnswered(t *testing.T) {
	checkLeaks(t)
	h := newOwnHarness(t)
	a := h.member("a", nil)
	h.kill(t)
	go func() { a.ran <- a.engine.Run(context.Background(), a) }()
	until(t, "it waits for Redis", func() bool { return strings.Contains(a.log.String(), "Redis does not answer") })
	require.ErrorIs(t, a.engine.Ready(context.Background()), api.ErrNotReady)
	require.ErrorIs(t, a.engine.Run(context.Background(), a), api.ErrStarted)
	require.NoError(t, a.shutdown())
	require.Equal(t, 1, a.notified(api.Terminated))
}
