package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/servers"
)

func TestPublishManyIsInOrder(t *testing.T) {
	c := servers.New(t).Client(t)
	p := publisherFor(t, c)
	at := time.UnixMilli(1_900_000_000_000)
	items := make([]api.Announcement, 3*publishChunk+7)
	for i := range items {
		items[i] = api.Announcement{Stream: fmt.Sprint("s", i), Info: i, NotBefore: at.Add(time.Duration(i) * time.Millisecond)}
	}
	bad := map[int]bool{0: true, publishChunk: true, len(items) - 1: true}
	for i := range bad {
		items[i].Stream = ""
	}
	entries, err := p.PublishMany(t.Context(), items...)
	require.ErrorIs(t, err, api.ErrInvalidStream)
	require.ErrorContains(t, err, fmt.Sprintf(`item %d: announcing stream ""`, publishChunk))
	require.Len(t, strings.Split(err.Error(), "\n"), len(bad))

	require.Len(t, entries, len(items))
	got := announced(t, c, "orders-input")
	require.Len(t, got, len(items)-len(bad))
	byID := make(map[string]map[string]string)
	for _, e := range got {
		byID[e.ID] = e.FieldValues
	}
	for i, id := range entries {
		if bad[i] {
			require.Empty(t, id)
			continue
		}
		require.Equal(t, map[string]string{
			"lbs-input":   fmt.Sprintf(`{"DataStreamName":"s%d","Info":%d}`, i, i),
			"_not_before": strconv.Itoa(1_900_000_000_000 + i),
		}, byID[id])
		if i > 1 && !bad[i-1] {
			require.Negative(t, lease.CompareIDs(entries[i-1], id), "announced in the order of the items")
		}
	}
}

func TestPublishManyOfNothing(t *testing.T) {
	s := servers.New(t)
	entries, err := publisherFor(t, s.Client(t)).PublishMany(t.Context())
	require.NoError(t, err)
	require.Empty(t, entries)
	stats, err := s.CommandStats(t.Context())
	require.NoError(t, err)
	require.NotContains(t, stats, "hsetnx", "no check for no items")
}

// Large announcements are sent in smaller chunks.
func TestPublishManyBoundsTheBytes(t *testing.T) {
	c := servers.New(t).Client(t)
	p := publisherFor(t, c)
	items := make([]api.Announcement, 20)
	for i := range items {
		items[i] = api.Announcement{Stream: fmt.Sprint(i), Info: strings.Repeat("x", publishBytes/4)}
	}
	next, failed := 0, failures{}
	require.Len(t, p.cutChunk(items, &next, &failed), 4)
	require.Equal(t, 4, next)
	entries, err := p.PublishMany(t.Context(), items...)
	require.NoError(t, err)
	require.NotContains(t, entries, "")
	require.Len(t, announced(t, c, "orders-input"), len(items))
}

// A million errors must not make an error of a gigabyte, and a server that refuses is not asked a million times.
func TestPublishManyErrorIsBounded(t *testing.T) {
	s := servers.New(t)
	c := s.Client(t)
	p := publisherFor(t, c)
	bad := make([]api.Announcement, 20_000)
	long := strings.Repeat("x", cluster.MaxStreamName+1)
	for i := range bad {
		bad[i].Stream = long
	}
	entries, err := p.PublishMany(t.Context(), bad...)
	require.ErrorIs(t, err, api.ErrInvalidStream)
	require.ErrorContains(t, err, "19990 more failed")
	require.Less(t, len(err.Error()), 5000)
	require.Len(t, entries, len(bad))

	require.NoError(t, c.Do(t.Context(), c.B().Set().Key("orders-input").Value("x").Build()).Error())
	require.NoError(t, s.ResetStats(t.Context()))
	good := make([]api.Announcement, 20_000)
	for i := range good {
		good[i].Stream = fmt.Sprint("s", i)
	}
	entries, err = p.PublishMany(t.Context(), good...)
	require.ErrorContains(t, err, "WRONGTYPE")
	require.ErrorContains(t, err, `announcing stream "s9"`)
	require.ErrorContains(t, err, fmt.Sprintf("%d more failed", publishChunk-publishErrors))
	require.ErrorContains(t, err, fmt.Sprintf("%d announcements were not sent after that", len(good)-publishChunk))
	require.Less(t, len(err.Error()), 5000)
	require.Len(t, entries, len(good))
	stats, err := s.CommandStats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, publishChunk, stats["xadd"].Calls)
}

// A partition that refuses does not keep announcements from the others.
func TestPublishManyContinuesWhileSomeSucceed(t *testing.T) {
	c := servers.New(t).Client(t)
	p := publisherFor(t, c, WithPartitions(2))
	require.NoError(t, c.Do(t.Context(), c.B().Set().Key("orders-input-1").Value("x").Build()).Error())
	items := make([]api.Announcement, 4*publishChunk)
	for i := range items {
		items[i].Stream = fmt.Sprint("s", i)
	}
	entries, err := p.PublishMany(t.Context(), items...)
	require.ErrorContains(t, err, "WRONGTYPE")
	require.NotContains(t, err.Error(), "not sent")
	for i, id := range entries {
		require.Equal(t, p.layout.Of(items[i].Stream) == 1, id == "", "item %d", i)
	}
}

func TestPublishManyEndsWithItsContext(t *testing.T) {
	s := servers.New(t)
	p := publisherFor(t, s.Client(t))
	_, err := p.Publish(t.Context(), "s", nil)
	require.NoError(t, err)
	require.NoError(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	items := make([]api.Announcement, 2*publishChunk)
	for i := range items {
		items[i].Stream = "s"
	}
	entries, err := p.PublishMany(ctx, items...)
	require.NoError(t, s.Resume())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, fmt.Sprintf("%d announcements were not sent after that", publishChunk))
	require.Len(t, entries, len(items))
}
