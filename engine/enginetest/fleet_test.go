package enginetest_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/enginetest"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/scan"
)

// record is a handler that writes down what it gets.
type record struct {
	mu    sync.Mutex
	kinds []string
}

func (r *record) Handle(_ context.Context, n api.Notification) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := ""
	if n.Lease != nil {
		name = n.Lease.Stream()
	}
	r.kinds = append(r.kinds, n.Kind.String()+" "+name)
	return nil
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.kinds...)
}

func TestAnotherProcessTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		var first, second record
		a := fleet.Start("a", enginetest.Handler(&first))
		fleet.Publish("order:1", nil)
		fleet.OwnedBy("order:1", a)
		b := fleet.Start("b", enginetest.Handler(&second))
		began := time.Now()
		a.Kill()
		fleet.OwnedBy("order:1", b)
		fleet.NothingLost()
		assert.Greater(t, time.Since(began), 5*time.Second)
		assert.Less(t, time.Since(began), 30*time.Second)
		assert.Equal(t, []string{"Added order:1"}, first.all(), "a process that was killed hears of nothing")
	})
}

func TestDrainHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		var first record
		a := fleet.Start("a", enginetest.Handler(&first))
		fleet.Publish("order:1", nil)
		fleet.OwnedBy("order:1", a)
		b := fleet.Start("b", enginetest.Handler(&record{}))
		require.NoError(t, a.Drain())
		fleet.OwnedBy("order:1", b)
		assert.Contains(t, first.all(), "Releasing order:1")
		fleet.NothingLost()
	})
}

func TestPausedProcessLosesItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		var first record
		a := fleet.Start("a", enginetest.Handler(&first))
		fleet.Publish("order:1", nil)
		fleet.OwnedBy("order:1", a)
		b := fleet.Start("b", enginetest.Handler(&record{}))
		a.Pause()
		fleet.OwnedBy("order:1", b)
		a.Resume()
		fleet.Eventually("a hears of its loss", func() bool { return len(first.all()) == 2 })
		assert.Equal(t, "Disowned order:1", first.all()[1])
		fleet.OwnedBy("order:1", b)
		fleet.NothingLost()
	})
}

func TestMessagesAreHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "chat")
		var mu sync.Mutex
		var got []string
		handler := func(_ context.Context, b *feed.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range b.Messages {
				text, _ := m.Get("text")
				got = append(got, text)
			}
			return b.SaveState(b.State() + strings.Join(got, ""))
		}
		a := fleet.Start("a", enginetest.Feed(handler, feed.Config{}))
		assert.Empty(t, fleet.SavedState("room:1"))
		id := fleet.Send("room:1", "text", "hello")
		fleet.HandledUpTo("room:1", id)
		assert.Equal(t, "hello", fleet.SavedState("room:1"))
		a.Kill()
		id = fleet.Send("room:1", "text", "again")
		b := fleet.Start("b", enginetest.Feed(handler, feed.Config{}))
		fleet.HandledUpTo("room:1", id)
		fleet.OwnedBy("room:1", b)
		fleet.AllHandled()
		fleet.NothingLost()
		assert.Equal(t, []string{"hello", "again"}, got)
		assert.Equal(t, "hellohelloagain", fleet.SavedState("room:1"), "folded by both")
	})
}

func TestSchedulesTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "monitors")
		var mu sync.Mutex
		var at []time.Time
		open := func(schedule.Owned) (schedule.Task, error) {
			return schedule.TaskFunc(func(_ context.Context, tick *schedule.Tick) error {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, tick.At)
				return nil
			}), nil
		}
		fleet.Put(schedule.Spec{Name: "front page", Every: time.Minute})
		a := fleet.Start("a", enginetest.Schedule(open, schedule.Config{}))
		fleet.Advance(10 * time.Minute)
		a.Kill()
		fleet.Start("b", enginetest.Schedule(open, schedule.Config{}))
		fleet.Advance(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		assert.InDelta(t, 20, len(at), 1)
		fleet.NothingLost()
	})
}

func TestSignalsAndDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		payloads := make(chan string, 1)
		fail := make(chan struct{}, 1)
		fail <- struct{}{}
		h := api.Funcs{
			Added: func(_ context.Context, n api.Notification) error {
				select {
				case <-fail:
					return api.Snooze(time.Hour)
				default:
					return nil
				}
			},
			Signaled: func(_ context.Context, n api.Notification) error {
				payloads <- string(n.Payload)
				return nil
			},
		}
		a := fleet.Start("a", enginetest.Handler(h))
		fleet.Publish("order:1", nil)
		fleet.InState("order:1", scan.StreamDelayed)
		fleet.Advance(59 * time.Minute)
		fleet.InState("order:1", scan.StreamDelayed)
		fleet.Advance(time.Minute)
		fleet.OwnedBy("order:1", a)
		fleet.Signal("order:1", []byte("look"))
		assert.Equal(t, "look", <-payloads)
		l, ok := a.Engine().Lease("order:1")
		require.True(t, ok)
		require.NoError(t, l.Done(t.Context()))
		fleet.Done("order:1")
		fleet.NothingLost()
	})
}
