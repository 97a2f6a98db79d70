package rights

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/preflight"
)

// read runs a feed until it has handled a message, and a stream that begins at its end was looked at.
func (h *harness) read(ctx context.Context, opt rueidis.ClientOption, announce func(stream string)) {
	h.T.Helper()
	const stream = "events:1"
	h.Do("XADD", stream, "1-0", "n", "1")
	e, err := engine.Open(opt, service, engine.WithPartitions(partitions), engine.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(h.T, err)
	handled := make(chan string, 1)
	f, err := feed.New(e, func(_ context.Context, b *feed.Batch) error {
		handled <- b.Messages[0].ID
		return feed.Finish
	}, feed.Config{Mode: feed.Tracking, Start: feed.Latest, Trim: feed.TrimHandled})
	require.NoError(h.T, err)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	announce(stream)
	h.until("it knows where the stream begins", func() bool {
		n := 0
		for p := range partitions {
			n += int(h.Num("HLEN", h.layout.Keys(p).Checkpoints))
		}
		return n > 0
	})
	h.Do("XADD", stream, "2-0", "n", "2")
	select {
	case id := <-handled:
		require.Equal(h.T, "2-0", id)
	case err := <-ended:
		h.T.Fatalf("ended: %v", err)
	case <-ctx.Done():
		h.T.Fatal("nothing was handled")
	}
	cancel()
	require.NoError(h.T, <-ended)
}

// What the preflight of a feed reports is what the feed then finds: nothing with the documented rights; and without one of them, what
// the page says of it.
func TestPreflightOfAFeed(t *testing.T) {
	p := readPage(t)
	each(t, func(t *testing.T, h *harness) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		announce := func(stream string) {
			h.Do("XADD", h.layout.Keys(0).Input, "*", "lbs-input", `{"DataStreamName":"`+stream+`"}`)
		}
		look := func(opt rueidis.ClientOption, mode feed.Mode) *preflight.Report {
			report, err := feed.Preflight(ctx, h.connect(opt), service, feed.Config{Mode: mode}, []string{"events:*"}, engine.WithPartitions(partitions))
			require.NoError(t, err)
			return report
		}
		blocks := []int{engineOfPartitions, readerBlock, inspectorBlock, preflightBlock}
		opt := h.grantBlocks(p, blocks...)
		report := look(opt, feed.Tracking)
		require.NoError(t, report.Err())
		require.Empty(t, slices.DeleteFunc(report.Of(preflight.Rights), func(f preflight.Finding) bool { return f.Severity == preflight.Note }))
		require.Empty(t, report.Of(preflight.Tracking))
		h.read(ctx, opt, announce)

		opt = h.grantBlocks(p.without("+client|tracking"), blocks...)
		require.ErrorContains(t, look(opt, feed.Tracking).Err(), "ACL SETUSER chat +client|tracking")
		require.NoError(t, look(opt, feed.Auto).Err())
		e, err := engine.Open(opt, service, engine.WithPartitions(partitions), engine.WithLogger(slog.New(slog.DiscardHandler)))
		require.NoError(t, err)
		f, err := feed.New(e, func(context.Context, *feed.Batch) error { return nil }, feed.Config{Mode: feed.Tracking})
		require.NoError(t, err)
		announce("events:2")
		require.ErrorIs(t, f.Run(ctx), feed.ErrTrackingRefused)
	})
}
