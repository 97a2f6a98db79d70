package behave_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
)

type order struct {
	ID    int     `json:"id"`
	Price float64 `json:"price"`
}

// TestPublisherReachesHandlers: what is published arrives unchanged, in its own partition, without forwarding.
func TestPublisherReachesHandlers(t *testing.T) {
	t.Parallel()
	h := newHarnessOf(t, 4)
	ctx := context.Background()
	publisher, err := engine.NewPublisher(h.client, h.service, engine.WithPartitions(4))
	require.NoError(t, err)
	m := h.start("a", nil)
	entry, err := publisher.Publish(ctx, "order-1", order{1, 9.5})
	require.NoError(t, err)
	l := m.lease("order-1", 1)
	require.Equal(t, entry, l.Entry())
	got, err := api.DecodeInfo[order](l)
	require.NoError(t, err)
	require.Equal(t, order{1, 9.5}, got)

	const raw = `{ "kept" : [1.0,"\u00e9"] }`
	strange := `names "quoted" {braces} with ` + "\n" + ` and <&> ü`
	_, err = publisher.Publish(ctx, strange, json.RawMessage(raw))
	require.NoError(t, err)
	require.JSONEq(t, raw, string(m.lease(strange, 1).Info()))
	_, err = publisher.Publish(ctx, "none", nil)
	require.NoError(t, err)
	require.Equal(t, "{}", string(m.lease("none", 1).Info()))

	items := make([]api.Announcement, 2000)
	for i := range items {
		items[i] = api.Announcement{Stream: fmt.Sprintf("s-%d", i), Info: i}
	}
	items[77].Stream = ""
	items[1500].Info = func() {}
	entries, err := publisher.PublishMany(ctx, items...)
	require.ErrorIs(t, err, api.ErrInvalidStream)
	require.ErrorContains(t, err, "item 1500")
	require.Len(t, entries, 2000)
	const good = 1998
	m.holds(3 + good)
	for i, id := range entries {
		if i == 77 || i == 1500 {
			require.Empty(t, id)
			continue
		}
		l := m.lease(items[i].Stream, 1)
		require.Equal(t, id, l.Entry())
		require.Equal(t, fmt.Sprint(i), string(l.Info()))
	}
	require.Zero(t, m.metric("forwarded_total"))
	require.Len(t, h.held(), 3+good)
	h.stateIs(state{Input: 3 + good, Pending: 3 + good, Leases: 3 + good, Sessions: 1, Consumers: 1})
	require.NoError(t, m.shutdown())
	h.stateIs(state{Input: 3 + good})
}

// TestPublishedNotBefore: by an option of one call, and by an announcement among many.
func TestPublishedNotBefore(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	arrived := make(chan time.Time, 2)
	m := h.start("a", api.Funcs{Added: func(_ context.Context, n api.Notification) error {
		if n.Stream != "now" {
			arrived <- h.serverTime()
		}
		return nil
	}})
	publisher := h.publisher()
	soon := h.serverTime().Add(1500 * time.Millisecond)
	_, err := publisher.Publish(ctx, "one", nil, engine.WithNotBefore(soon))
	require.NoError(t, err)
	_, err = publisher.PublishMany(ctx, api.Announcement{Stream: "many", NotBefore: soon}, api.Announcement{Stream: "now"},
		api.Announcement{Stream: "tomorrow", NotBefore: soon.Add(24 * time.Hour)})
	require.NoError(t, err)
	m.lease("now", 1)
	for range 2 {
		at := receive(t, "Added", arrived)
		require.False(t, at.Before(soon), "added at %v, not before %v", at, soon)
	}
	h.stateIs(state{Input: 3, Pending: 3, Leases: 3, Sessions: 1, Consumers: 1, Later: 1})
	require.NoError(t, m.shutdown())
	h.stateIs(state{Input: 3, Later: 1})
}

// TestPublisherAndEnginesAgreeOnPartitions: whichever comes second with another number is refused and changes nothing.
func TestPublisherAndEnginesAgreeOnPartitions(t *testing.T) {
	t.Parallel()
	h := newHarnessOf(t, 2)
	ctx := context.Background()
	m := h.start("a", nil)
	other, err := engine.NewPublisher(h.client, h.service, engine.WithPartitions(3))
	require.NoError(t, err)
	_, err = other.Publish(ctx, "s", nil)
	require.ErrorIs(t, err, api.ErrPartitionMismatch)
	_, err = other.PublishMany(ctx, api.Announcement{Stream: "s"})
	require.ErrorIs(t, err, api.ErrPartitionMismatch)
	e, err := engine.Open(h.opt, h.service)
	require.NoError(t, err)
	require.ErrorIs(t, e.Run(ctx, api.Funcs{}), api.ErrPartitionMismatch)
	require.ErrorIs(t, e.Shutdown(ctx), api.ErrPartitionMismatch)
	h.stateIs(state{Sessions: 1, Consumers: 1})
	require.NoError(t, m.shutdown())
	h.stateIs(state{})
}

// TestPublishingToAServerThatIsGone: the error says that the fate of the announcement is unknown.
func TestPublishingToAServerThatIsGone(t *testing.T) {
	t.Parallel()
	h := newOwnHarness(t)
	publisher := h.publisher()
	_, err := publisher.Publish(context.Background(), "s", nil)
	require.NoError(t, err)
	h.kill(t)
	_, err = publisher.Publish(context.Background(), "s", nil)
	require.ErrorContains(t, err, "announce again")
	entries, err := publisher.PublishMany(context.Background(), api.Announcement{Stream: "s"}, api.Announcement{Stream: "t"})
	require.Error(t, err)
	require.Equal(t, []string{"", ""}, entries)
}

// TestFieldsOfAnnouncements: what a publisher writes is what plain producers write.
func TestFieldsOfAnnouncements(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	publisher := h.publisher()
	at := h.serverTime().Add(time.Hour)
	_, err := publisher.Publish(context.Background(), "user-1", map[string]string{"k": "v"}, engine.WithNotBefore(at))
	require.NoError(t, err)
	entries, err := h.do("XRANGE", h.keysOf("user-1").Input, "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Len(t, entries[0].FieldValues, 2)
	require.Equal(t, `{"DataStreamName":"user-1","Info":{"k":"v"}}`, entries[0].FieldValues["lbs-input"])
}
