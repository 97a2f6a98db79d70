package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// owners are the leases that a handler got, and what it does with the first of each stream.
type owners struct {
	mu    sync.Mutex
	of    map[string][]api.Lease
	first func(n api.Notification) error
}

func (o *owners) handle(_ context.Context, n api.Notification) error {
	if n.Kind != api.Added {
		return nil
	}
	o.mu.Lock()
	o.of[n.Stream] = append(o.of[n.Stream], n.Lease)
	again := len(o.of[n.Stream]) > 1
	o.mu.Unlock()
	if again || o.first == nil {
		return nil
	}
	return o.first(n)
}

// leases are those of a stream.
func (o *owners) leases(stream string) []api.Lease {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of[stream]
}

// A field beside the announcement comes along wherever an announcement goes.
func TestFieldsOfAnAnnouncementSurvive(t *testing.T) {
	server := servers.New(t)
	bad := errors.New("bad")
	o := &owners{of: make(map[string][]api.Lease), first: func(n api.Notification) error {
		switch n.Stream {
		case "failed":
			return bad
		case "snoozed":
			return api.Snooze(time.Millisecond)
		case "dead":
			return api.Permanent(bad)
		case "released":
			return n.Lease.Release(context.WithoutCancel(t.Context()))
		}
		return nil
	}}
	l := startLive(t, server, o.handle, WithPartitions(2), WithRecovery(scan.Config{RetryDelay: 10 * time.Millisecond}))
	ctx := t.Context()
	publisher, err := NewPublisher(l.client, liveService, WithPartitions(2))
	require.NoError(t, err)
	field := WithField("traceparent", traceparent)
	for _, stream := range []string{"kept", "failed", "snoozed", "dead", "released"} {
		_, err := publisher.Publish(ctx, stream, nil, field)
		require.NoError(t, err)
	}
	_, err = publisher.Publish(ctx, "later", nil, field, WithNotBefore(time.Now().Add(100*time.Millisecond)))
	require.NoError(t, err)
	_, err = publisher.Publish(ctx, "unowned", nil, field, OnlyIfUnowned())
	require.NoError(t, err)
	_, err = publisher.Publish(ctx, "large", strings.Repeat("x", 100<<10), field)
	require.NoError(t, err)
	_, err = publisher.PublishMany(ctx, api.Announcement{Stream: "many", Fields: []api.Field{{Name: "traceparent", Value: traceparent}}})
	require.NoError(t, err)
	for _, stream := range []string{"near", "here"} { // one of them is in the wrong partition
		l.do("XADD", l.layout.Keys(0).Input, "*", "lbs-input", `{"DataStreamName":"`+stream+`"}`, "note", "x", "traceparent", traceparent)
	}
	require.NotEqual(t, l.layout.Of("near"), l.layout.Of("here"))

	inspector, err := l.Inspector(scan.InspectorConfig{})
	require.NoError(t, err)
	l.until("the dead letter is sent back", func() bool {
		n, err := inspector.SendBack(ctx, scan.Selection{})
		return err == nil && n == 1
	})
	for stream, owned := range map[string]int{"kept": 1, "failed": 2, "snoozed": 2, "dead": 2, "released": 2, "later": 1, "unowned": 1, "large": 1,
		"many": 1, "near": 1, "here": 1} {
		l.until(stream+" is owned", func() bool { return len(o.leases(stream)) == owned })
		for _, x := range o.leases(stream) {
			value, ok := x.Field("traceparent")
			require.True(t, ok, stream)
			require.Equal(t, traceparent, value, stream)
		}
	}
}

// The next owner after a crash has it, too.
func TestFieldsOfAnAnnouncementSurviveACrash(t *testing.T) {
	server := servers.New(t)
	p := proxy.New(t, server.Addr())
	first, second := &owners{of: make(map[string][]api.Lease)}, &owners{of: make(map[string][]api.Lease)}
	ttls := []Option{WithSessionTTL(time.Second), WithLeaseTTL(3 * time.Second)}
	a := startLiveWith(t, server, p.ClientOption(), first.handle, append(ttls, WithDrainTimeout(MinDrainTimeout))...)
	a.do("XADD", a.layout.Keys(0).Input, "*", "lbs-input", `{"DataStreamName":"s"}`, "traceparent", traceparent)
	a.until("the first owner", func() bool { return len(first.leases("s")) == 1 })
	p.Cut()
	b := startLive(t, server, second.handle, ttls...)
	b.until("the second owner", func() bool { return len(second.leases("s")) == 1 })
	l := second.leases("s")[0]
	value, _ := l.Field("traceparent")
	require.Equal(t, traceparent, value)
	require.Greater(t, l.Token(), first.leases("s")[0].Token())
}

func TestFieldsThatCannotBePublished(t *testing.T) {
	server := servers.New(t)
	publisher, err := NewPublisher(server.Client(t), liveService)
	require.NoError(t, err)
	for name, want := range map[string]error{"_x": api.ErrInvalidConfig, "lbs-input": api.ErrInvalidConfig, strings.Repeat("n", api.MaxFields+1): api.ErrTooLarge} {
		_, err := publisher.Publish(t.Context(), "s", nil, WithField(name, ""))
		require.ErrorIs(t, err, want)
	}
	narrow, err := NewPublisher(server.Client(t), liveService, WithLimits(Limits{MaxFields: 16}))
	require.NoError(t, err)
	var many []PublishOption
	for range 15 {
		many = append(many, WithField("n", "v"))
	}
	_, err = narrow.Publish(t.Context(), "s", nil, many...)
	require.ErrorIs(t, err, api.ErrTooLarge, "with the announcement and its time there are 17")
	_, err = narrow.Publish(t.Context(), "s", nil, many[1:]...)
	require.NoError(t, err)
}
