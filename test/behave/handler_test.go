package behave_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
)

var errWork = errors.New("work failed")

// quick makes failures come back soon: beats report what is due, and these are 800 ms apart.
func quick(maxRetries int) []engine.Option {
	return []engine.Option{
		engine.WithSessionTTL(shortTTL),
		engine.WithLeaseTTL(3 * shortTTL),
		engine.WithRecovery(scan.Config{MaxRetries: maxRetries, RetryDelay: 20 * time.Millisecond}),
	}
}

// attempts notes the attempts at which each stream was added.
type attempts struct {
	mu   sync.Mutex
	seen map[string][]int
}

func (a *attempts) note(l api.Lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = make(map[string][]int)
	}
	a.seen[l.Stream()] = append(a.seen[l.Stream()], l.Attempt())
}

func (a *attempts) of(stream string) []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int(nil), a.seen[stream]...)
}

// TestHandlersThatFail: an error or a panic counts as a retry, and the stream comes back after its delay, up to the limit. Then the
// announcement becomes a dead letter that says why. Permanent errors make dead letters at once.
func TestHandlersThatFail(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var seen attempts
	outcome := map[string]func(api.Lease) error{
		"error":     func(api.Lease) error { return errWork },
		"panic":     func(api.Lease) error { panic("at the disco") },
		"permanent": func(api.Lease) error { return fmt.Errorf("wrapped: %w", api.Permanent(errWork)) },
		"info": func(l api.Lease) error {
			_, err := api.DecodeInfo[int](l)
			return err
		},
		"third time": func(l api.Lease) error {
			if l.Attempt() < 2 {
				return errWork
			}
			return nil
		},
		"long": func(api.Lease) error { return errors.New(strings.Repeat("x", 1<<20)) },
	}
	m := h.start("a", api.Funcs{Added: func(_ context.Context, n api.Notification) error {
		seen.note(n.Lease)
		return outcome[n.Stream](n.Lease)
	}}, quick(2)...)
	for stream := range outcome {
		h.add("lbs-input", announcementOf(stream, "text"), "mine", "kept")
	}
	h.stateIs(state{Input: 1, Pending: 1, Leases: 1, Sessions: 1, Consumers: 1, Dead: 5})
	want := map[string][]int{"error": {0, 1, 2}, "panic": {0, 1, 2}, "permanent": {0}, "info": {0},
		"third time": {0, 1, 2}, "long": {0, 1, 2}}
	for stream, attempts := range want {
		require.Equal(t, attempts, seen.of(stream), "attempts of %s", stream)
		require.Equal(t, len(attempts), m.notifiedOf(stream, api.Added))
		require.Zero(t, m.notifiedOf(stream, api.Disowned))
	}
	reasons := map[string]string{"error": "retries: after 3 attempts: work failed", "panic": "retries: after 3 attempts: ",
		"permanent": "permanent: wrapped: work failed", "info": "permanent: streamlease: decode info of stream \"info\"",
		"long": "retries: after 3 attempts: xxx"}
	for _, l := range h.deadLetters() {
		for stream, reason := range reasons {
			if l["lbs-input"] == announcementOf(stream, "text") {
				require.True(t, strings.HasPrefix(l["_reason"], reason), "%.100s", l["_reason"])
				require.Less(t, len(l["_reason"]), 2000)
				require.Equal(t, "kept", l["mine"])
				require.Equal(t, strconv.Itoa(len(want[stream])), l["_retry_count"])
				require.Equal(t, m.engine.ID(), l["_last_owner"])
				require.NotEmpty(t, l["_original_id"])
				require.NotEmpty(t, l["_dead_at"])
				delete(reasons, stream)
			}
		}
	}
	require.Empty(t, reasons, "missing dead letters")
	m.awaitCount(3, "dead_letters_total", "reason", "retries")
	m.awaitCount(2, "dead_letters_total", "reason", "permanent")
	m.awaitCount(3, "handler_panics_total")
	require.EqualValues(t, "third time", func() string { l, _ := m.engine.Lease("third time"); return l.Stream() }())
	require.NoError(t, m.shutdown())
	h.stateIs(state{Input: 1, Dead: 5})
	require.Equal(t, 1, h.countField("_retry_count"), "counts outlive a shutdown")
}

// TestDelaysAreKeptInRedis: what failed and what is snoozed waits in Redis, with the right delay and the right count.
func TestDelaysAreKeptInRedis(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m := h.start("a", api.Funcs{Added: func(_ context.Context, n api.Notification) error {
		if n.Stream == "fails" {
			return errWork
		}
		return api.Snooze(time.Hour)
	}}, engine.WithRecovery(scan.Config{RetryDelay: time.Hour, MaxRetryDelay: time.Hour}))
	before := h.serverTime()
	h.announce("fails", "snoozes")
	h.stateIs(state{Sessions: 1, Consumers: 1, Later: 2})
	after := h.serverTime()
	for _, x := range h.later() {
		early, late := before.Add(time.Hour), after.Add(time.Hour)
		if strings.Contains(x.Member, "fails") {
			early, late = before.Add(48*time.Minute), after.Add(72*time.Minute) // jitter of a fifth in either direction
			require.Contains(t, x.Member, "_retry_count")
		} else {
			require.NotContains(t, x.Member, "_retry_count")
		}
		require.GreaterOrEqual(t, x.Score, float64(early.UnixMilli()))
		require.LessOrEqual(t, x.Score, float64(late.UnixMilli()+1000), "a long delay ends on a whole second")
	}
	require.NoError(t, m.shutdown())
	h.stateIs(state{Later: 2})
}

// TestSnoozeCountsNoRetry: however often it happens, with a delay or without.
func TestSnoozeCountsNoRetry(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var seen attempts
	m := h.start("a", api.Funcs{Added: func(_ context.Context, n api.Notification) error {
		seen.note(n.Lease)
		if len(seen.of(n.Stream)) < 4 {
			if n.Stream == "short" {
				return api.Snooze(10 * time.Millisecond)
			}
			return fmt.Errorf("not now: %w", api.Snooze(0))
		}
		return nil
	}}, quick(1)...)
	h.announce("short", "at once")
	until(t, "both were added four times", func() bool { return m.notified(api.Added) == 8 })
	h.stateIs(state{Input: 2, Pending: 2, Leases: 2, Sessions: 1, Consumers: 1})
	require.Equal(t, []int{0, 0, 0, 0}, seen.of("short"))
	require.Equal(t, []int{0, 0, 0, 0}, seen.of("at once"))
	require.Zero(t, h.countField("_retry_count"))
}
