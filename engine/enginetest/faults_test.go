package enginetest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/enginetest"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/scan"
)

// owning is a fleet whose process a owns order:1.
func owning(t *testing.T, h api.Handler) (*enginetest.Fleet, *enginetest.Process) {
	t.Helper()
	fleet := enginetest.New(t, "orders")
	a := fleet.Start("a", enginetest.Handler(h))
	fleet.Publish("order:1", nil)
	fleet.OwnedBy("order:1", a)
	return fleet, a
}

func TestProcessThatIsCutOffLosesItsStreamsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := make(chan time.Time, 1)
		h := api.Funcs{Disowned: func(context.Context, api.Notification) error {
			lost <- time.Now()
			return nil
		}}
		fleet, a := owning(t, h)
		b := fleet.Start("b", enginetest.Handler(&record{}))
		a.CutOff()
		fleet.OwnedBy("order:1", b)
		owned := time.Now()
		assert.False(t, (<-lost).After(owned), "it knew before another one owned the stream")
		a.Reconnect()
		fleet.Publish("order:2", nil)
		fleet.Owned("order:2")
		fleet.NothingLost()
	})
}

func TestDoneWithoutAnAnswerIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, a := owning(t, &record{})
		l, ok := a.Engine().Lease("order:1")
		require.True(t, ok)
		a.LoseAnswers()
		done := make(chan error, 1)
		go func() { done <- l.Done(t.Context()) }()
		fleet.Done("order:1")
		select {
		case err := <-done:
			t.Fatalf("Done returned %v without an answer", err)
		default:
		}
		a.Reconnect()
		assert.NoError(t, <-done)
		fleet.NothingLost()
	})
}

func TestServerThatIsAwayForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen record
		fleet, a := owning(t, &seen)
		fleet.Server().Stop()
		fleet.Advance(3 * time.Second)
		fleet.Server().Start()
		fleet.Advance(time.Minute)
		fleet.OwnedBy("order:1", a)
		assert.Equal(t, []string{"Added order:1"}, seen.all(), "it was owned all the time")
		fleet.NothingLost()
	})
}

func TestRestartedServerSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		settled := make(chan time.Time, 10)
		a := fleet.Start("a", enginetest.Handler(&record{}), engine.WithEvents(func(v api.Event) {
			if v.Kind == api.EventSettlingEnded {
				settled <- time.Now()
			}
		}))
		fleet.Publish("order:1", nil)
		fleet.OwnedBy("order:1", a)
		restarted := time.Now()
		fleet.Server().Restart()
		fleet.Publish("order:2", nil)
		fleet.OwnedBy("order:2", a)
		assert.GreaterOrEqual(t, time.Since(restarted), 9*time.Second, "nothing is taken before a session TTL has passed")
		fleet.NothingLost()
		<-settled
	})
}

func TestServerThatForgetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, a := owning(t, &record{})
		fleet.Server().RestartEmpty()
		fleet.Advance(time.Minute)
		fleet.Publish("order:1", nil)
		fleet.OwnedBy("order:1", a)
	})
}

func TestFailOverWithEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders", engine.WithPartitions(4))
		a := fleet.Start("a", enginetest.Handler(&record{}))
		b := fleet.Start("b", enginetest.Handler(&record{}))
		for i := range 50 {
			fleet.Publish(fmt.Sprint("order:", i), nil)
		}
		fleet.Eventually("all owned", func() bool { return len(a.Streams())+len(b.Streams()) == 50 })
		fleet.Server().FailOver()
		fleet.Advance(time.Minute)
		assert.Len(t, append(a.Streams(), b.Streams()...), 50)
		fleet.NothingLost()
	})
}

func TestStreamThatKillsItsOwnersIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		fleet.Publish("order:1", nil)
		for i := 0; ; i++ {
			require.Less(t, i, 60)
			p := fleet.Start(fmt.Sprint("p", i), enginetest.Handler(&record{}),
				engine.WithRecovery(scan.Config{MaxCrashes: 2}))
			fleet.Eventually("owned, or given up", func() bool {
				story, err := fleet.Inspector().Story(t.Context(), "order:1")
				require.NoError(t, err)
				return story.State == scan.StreamDead || len(p.Streams()) == 1
			})
			if len(p.Streams()) == 0 {
				break
			}
			p.Kill()
		}
		fleet.InState("order:1", scan.StreamDead)
		fleet.NothingLost()
		moved, err := fleet.Inspector().SendBack(t.Context(), scan.Selection{Stream: "order:1"})
		require.NoError(t, err)
		assert.Equal(t, 1, moved)
		fleet.Owned("order:1")
	})
}

func TestProgramThatOpensItsEngineItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		main := func(name string) func(context.Context, rueidis.ClientOption) error {
			return func(ctx context.Context, opt rueidis.ClientOption) error {
				e, err := engine.Open(opt, "orders", engine.WithConsumerID(name))
				if err != nil {
					return err
				}
				return e.RunEach(ctx, func(ctx context.Context, _ api.Lease) error {
					<-ctx.Done()
					return nil
				})
			}
		}
		a := fleet.Go("a", main("a"))
		fleet.Publish("order:1", nil)
		fleet.OwnedBy("order:1", a)
		b := fleet.Go("b", main("b"))
		a.Kill()
		fleet.OwnedBy("order:1", b)
		require.NoError(t, b.Drain())
		fleet.InState("order:1", scan.StreamWaiting)
		fleet.NothingLost()
	})
}

func TestWorkThatIsKeptIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "jobs")
		var kept atomic.Pointer[feed.Pending]
		a := fleet.Start("a", enginetest.Feed(func(_ context.Context, b *feed.Batch) error {
			kept.Store(b.Keep())
			return nil
		}, feed.Config{}))
		id := fleet.Send("job:1", "step", "1")
		fleet.Eventually("kept", func() bool { return kept.Load() != nil })
		a.Kill()
		b := fleet.Start("b", enginetest.Feed(func(context.Context, *feed.Batch) error { return nil }, feed.Config{}))
		fleet.HandledUpTo("job:1", id)
		fleet.OwnedBy("job:1", b)
		fleet.NothingLost()
	})
}

func TestEachStreamHasAFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		a := fleet.Start("a", enginetest.Each(func(ctx context.Context, l api.Lease) error {
			time.Sleep(time.Hour)
			return l.Done(ctx)
		}))
		fleet.Publish("order:1", map[string]int{"amount": 3})
		fleet.OwnedBy("order:1", a)
		fleet.Advance(time.Hour)
		fleet.Done("order:1")
		fleet.NothingLost()
	})
}

func TestAnnouncementsOfOtherProducers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		a := fleet.Start("a", enginetest.Handler(&record{}))
		c := fleet.Client()
		require.NoError(t, c.Do(t.Context(), c.B().Xadd().Key("orders-input").Id("*").FieldValue().
			FieldValue("lbs-input", `{"DataStreamName":"order:1"}`).Build()).Error())
		fleet.OwnedBy("order:1", a)
	})
}

func TestKilledProcessStaysCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, a := owning(t, &record{})
		a.Pause()
		a.Kill()
		for _, mend := range []func(){a.Resume, a.Reconnect} {
			mend()
			opt := a.ClientOption()
			opt.Dialer.Timeout = time.Second
			_, err := rueidis.NewClient(opt)
			assert.Error(t, err)
		}
		b := fleet.Start("b", enginetest.Handler(&record{}))
		fleet.OwnedBy("order:1", b)
		fleet.NothingLost()
	})
}
