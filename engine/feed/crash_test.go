package feed

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// leavingSteps are the places between the calls of leaving, at which something may happen.
var leavingSteps = []string{"before shut", "after shut", "after the look", "after done"}

// crashing is a leaver and a reader whose process dies at one step of leaving, right after do was called.
type crashing struct {
	backing.Leaver
	backing.Reader
	at   string
	once sync.Once
	do   func()
}

func (c *crashing) step(name string) {
	if name == c.at {
		c.once.Do(c.do)
	}
}

func (c *crashing) around(name string, call func() error) error {
	c.step("before " + name)
	err := call()
	c.step("after " + name)
	return err
}

func (c *crashing) Shut(ctx context.Context, l api.Lease) error {
	return c.around("shut", func() error { return c.Leaver.Shut(ctx, l) })
}

func (c *crashing) DoneIfShut(ctx context.Context, l api.Lease) error {
	return c.around("done", func() error { return c.Leaver.DoneIfShut(ctx, l) })
}

func (c *crashing) LastID(ctx context.Context, stream string) (id string, err error) {
	err = c.around("the look", func() error { id, err = c.Reader.LastID(ctx, stream); return err })
	return id, err
}

// Send meets an owner that leaves at each of its steps, and whose process dies right then, or does not: the message is handled.
func TestSendAtEachStepOfLeavingWithACrashThere(t *testing.T) {
	for _, step := range leavingSteps {
		for _, dies := range []bool{false, true} {
			for _, early := range []bool{false, true} { // the message is sent before the crash, or after it
				if !dies && !early {
					continue
				}
				t.Run(fmt.Sprintf("%s/dies %v/early %v", step, dies, early), func(t *testing.T) {
					t.Parallel()
					sendAtStep(t, step, dies, early)
				})
			}
		}
	}
}

func sendAtStep(t *testing.T, step string, dies, early bool) {
	server := servers.New(t)
	link := proxy.New(t, server.Addr())
	handled := make(chan string, 10)
	handler := func(_ context.Context, b *Batch) error {
		for _, m := range b.Messages {
			handled <- m.ID
		}
		return Finish
	}
	client := server.Client(t)
	p, err := engine.NewPublisher(client, "orders")
	require.NoError(t, err)
	sender := NewSender(p)
	var second string
	send := func() {
		id, err := sender.Send(context.Background(), "a", Field{Name: "n", Value: "2"})
		if err != nil {
			panic(err)
		}
		second = id
	}
	met := make(chan struct{})
	var crash crashing
	crash.at = step
	crash.do = func() {
		if early {
			send()
		}
		if dies {
			link.Cut()
		}
		if !early {
			send()
		}
		close(met)
	}
	startFeed(t, link.ClientOption(), handler, &crash)
	first, err := sender.Send(t.Context(), "a", Field{Name: "n", Value: "1"})
	require.NoError(t, err)
	<-met
	if dies {
		startFeed(t, server.ClientOption(), handler, nil)
	}
	seen := map[string]bool{}
	require.True(t, wait.For(30*time.Second, 5*time.Millisecond, func() bool {
		select {
		case id := <-handled:
			seen[id] = true
		default:
		}
		return seen[first] && seen[second]
	}), "handled: %v, sent: %s and %s", seen, first, second)
}

// startFeed runs a feed until the end of the test; crash replaces its leaver and wraps its reader, unless it is nil.
func startFeed(t *testing.T, opt rueidis.ClientOption, h Handler, crash *crashing) {
	e, err := engine.Open(opt, "orders", engine.WithSessionTTL(time.Second), engine.WithDrainTimeout(100*time.Millisecond),
		engine.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	f, err := New(e, h, Config{})
	require.NoError(t, err)
	if crash != nil {
		crash.Leaver = f.core.leaver.ends
		f.core.leaver.ends = crash
		f.wrap = func(r backing.Reader) backing.Reader { crash.Reader = r; return crash }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}
