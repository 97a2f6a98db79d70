package feed_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
)

// idle is after what time without a message an owner leaves.
const idle = 100 * time.Millisecond

// handledBy runs a feed that leaves idle streams as soon as it may, and records what it handles, until the test ends.
func handledBy(t *testing.T, opt rueidis.ClientOption, handled *sync.Map) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewRegistry()
	var log telemetry.Log
	e, err := engine.Open(opt, service, engine.WithRegisterer(registry), engine.WithLogger(log.Logger()))
	require.NoError(t, err)
	f, err := feed.New(e, func(_ context.Context, b *feed.Batch) error {
		for _, m := range b.Messages {
			handled.Store(b.Lease.Stream()+" "+m.ID, true)
		}
		return nil
	}, feed.Config{IdleDone: idle})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		if t.Failed() {
			t.Logf("log:\n%s", log.String())
		}
	})
	return registry
}

// Senders, and owners that leave as soon as a stream is idle: whatever comes between, every message is handled, though nothing is
// announced but by sending. Cut connections make the owners ask for what they cannot know.
func TestNoMessageIsLeftBehind(t *testing.T) {
	for name, faulty := range map[string]bool{"all is well": false, "answers are lost": true} {
		t.Run(name, func(t *testing.T) {
			server := servers.New(t)
			opt := server.ClientOption()
			if faulty {
				p := proxy.New(t, server.Addr())
				for _, s := range lease.Scripts() {
					p.RegisterScript(s.Name(), s.Body())
				}
				for _, script := range []string{"done", "shut"} {
					var n atomic.Int32
					p.Inject(proxy.Fault{Command: script, Action: proxy.CutAfter, Match: func([][]byte) bool { return n.Add(1)%7 == 0 }})
				}
				opt = p.ClientOption()
			}
			var handled sync.Map
			registries := []*prometheus.Registry{handledBy(t, opt, &handled), handledBy(t, opt, &handled)}

			const streams, lasts, patience = 100, 4 * time.Second, 20 * time.Second
			publisher, err := engine.NewPublisher(server.Client(t), service)
			require.NoError(t, err)
			s := feed.NewSender(publisher)
			var group sync.WaitGroup
			var sent atomic.Int32
			for n := range streams {
				// Nothing else comes to the stream before a message was handled, or it would be found with that. The next is sent about
				// when the owner leaves.
				group.Go(func() {
					stream := fmt.Sprint("s", n)
					for end := time.Now().Add(lasts); time.Now().Before(end); sent.Add(1) {
						id, err := s.Send(context.Background(), stream, feed.Field{Name: "f", Value: "v"})
						if err != nil {
							t.Errorf("sending to %s: %v", stream, err)
							return
						}
						for began := time.Now(); ; time.Sleep(time.Millisecond) {
							if _, ok := handled.Load(stream + " " + id); ok {
								break
							}
							if time.Since(began) > patience {
								t.Errorf("%s was left behind in %s", id, stream)
								return
							}
						}
						time.Sleep(idle/2 + rand.N(idle))
					}
				})
			}
			group.Wait()
			gone := 0.
			for _, r := range registries {
				n, _ := telemetry.Sum(t, r, "feed_leavings_total", "result", "done")
				gone += n
			}
			t.Logf("%d messages, streams left %v times", sent.Load(), gone)
			require.Greater(t, gone, 20., "or nothing is shown")
		})
	}
}

func TestSend(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	ctx := context.Background()
	publisher, err := engine.NewPublisher(client, service)
	require.NoError(t, err)
	s := feed.NewSender(publisher)
	length := func(key string) int64 {
		n, err := client.Do(ctx, client.B().Xlen().Key(key).Build()).AsInt64()
		require.NoError(t, err)
		return n
	}
	first, err := s.Send(ctx, "s", feed.Field{Name: "a", Value: "1"}, feed.Field{Name: "a", Value: "2"})
	require.NoError(t, err)
	second, err := s.Send(ctx, "s", feed.Field{Name: "", Value: ""})
	require.NoError(t, err)
	require.Greater(t, second, first)
	entries, err := client.Do(ctx, client.B().Xrange().Key("s").Start("-").End("+").Build()).AsXRangeSlices()
	require.NoError(t, err)
	require.Equal(t, []rueidis.XRangeFieldValue{{Field: "a", Value: "1"}, {Field: "a", Value: "2"}}, entries[0].FieldValues)
	require.EqualValues(t, 1, length(service+"-input"), "announced once")

	_, err = s.Send(ctx, "s")
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	for _, name := range []string{"", service + "-input", "{" + service + "-input}:sessions", "\xff"} {
		_, err = s.Send(ctx, name, feed.Field{Name: "f", Value: "v"})
		require.ErrorIs(t, err, api.ErrInvalidStream, "%q", name)
	}
	require.NoError(t, client.Do(ctx, client.B().Set().Key("text").Value("x").Build()).Error())
	id, err := s.Send(ctx, "text", feed.Field{Name: "f", Value: "v"})
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Empty(t, id)
	require.False(t, errors.Is(err, feed.ErrNotAnnounced) || errors.Is(err, feed.ErrMaybeAdded))
	require.EqualValues(t, 1, length(service+"-input"), "nothing is announced for it")
}

// Each step may fail, and the error says what is known.
func TestSendSaysWhatIsKnown(t *testing.T) {
	server := servers.New(t)
	p := proxy.New(t, server.Addr())
	for _, s := range lease.Scripts() {
		p.RegisterScript(s.Name(), s.Body())
	}
	opt := p.ClientOption()
	opt.DisableRetry = true
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	defer client.Close()
	publisher, err := engine.NewPublisher(client, service)
	require.NoError(t, err)
	s := feed.NewSender(publisher)
	send := func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		return s.Send(ctx, "s", feed.Field{Name: "f", Value: "v"})
	}
	_, err = send()
	require.NoError(t, err)
	for _, x := range []struct {
		command            string
		action             proxy.Action
		maybe, unannounced bool
	}{
		{"XADD", proxy.ReplyError, false, false},
		{"XADD", proxy.CutAfter, true, false},
		{"announce", proxy.CutAfter, false, true},
		{"announce", proxy.ReplyError, false, true},
	} {
		remove := p.Inject(proxy.Fault{Command: x.command, Action: x.action, Error: "OOM command not allowed", Nth: 1})
		id, err := send()
		remove()
		require.Error(t, err)
		require.Equal(t, x.maybe, errors.Is(err, feed.ErrMaybeAdded), "%v", err)
		require.Equal(t, x.unannounced, errors.Is(err, feed.ErrNotAnnounced), "%v", err)
		require.Equal(t, x.unannounced, id != "", "the ID is known where the message was added")
	}
}
