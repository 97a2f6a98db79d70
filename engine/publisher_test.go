package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/servers"
)

// announced are the entries of an input stream.
func announced(t *testing.T, c rueidis.Client, input string) []rueidis.XRangeEntry {
	t.Helper()
	entries, err := c.Do(t.Context(), c.B().Xrange().Key(input).Start("-").End("+").Build()).AsXRange()
	require.NoError(t, err)
	return entries
}

func publisherFor(t *testing.T, c rueidis.Client, opts ...PublisherOption) *Publisher {
	t.Helper()
	p, err := NewPublisher(c, "orders", opts...)
	require.NoError(t, err)
	return p
}

func TestPublishWritesWhatExistingProducersWrite(t *testing.T) {
	c := servers.New(t).Client(t)
	p := publisherFor(t, c)
	at := time.UnixMilli(1_900_000_000_000)
	var ids []string
	for _, x := range []struct {
		stream string
		info   any
		opts   []PublishOption
	}{
		{"orders:1", map[string]int{"n": 1}, nil},
		{"a \"b\" <ü>", nil, nil},
		{"x", json.RawMessage(` {"raw": true} `), nil},
		{"x", []byte(`[1]`), []PublishOption{WithNotBefore(at)}},
		{"x", json.RawMessage(nil), []PublishOption{WithNotBefore(time.Time{})}},
		{"x", "text", []PublishOption{WithNotBefore(at.Add(time.Nanosecond))}},
		{"x", nil, []PublishOption{WithNotBefore(time.UnixMilli(-5))}},
	} {
		id, err := p.Publish(t.Context(), x.stream, x.info, x.opts...)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	want := []map[string]string{
		{"lbs-input": `{"DataStreamName":"orders:1","Info":{"n":1}}`},
		{"lbs-input": `{"DataStreamName":"a \"b\" \u003cü\u003e"}`},
		{"lbs-input": `{"DataStreamName":"x","Info":{"raw":true}}`},
		{"lbs-input": `{"DataStreamName":"x","Info":[1]}`, "_not_before": "1900000000000"},
		{"lbs-input": `{"DataStreamName":"x"}`},
		{"lbs-input": `{"DataStreamName":"x","Info":"text"}`, "_not_before": "1900000000001"},
		{"lbs-input": `{"DataStreamName":"x"}`},
	}
	got := announced(t, c, "orders-input")
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i], got[i].FieldValues)
		require.Equal(t, ids[i], got[i].ID)
	}
}

func TestPublishGoesToThePartitionOfTheStream(t *testing.T) {
	c := servers.New(t).Client(t)
	p := publisherFor(t, c, WithPartitions(16))
	// The example in the documentation of cluster.Partition.
	_, err := p.Publish(t.Context(), "orders:1", nil)
	require.NoError(t, err)
	require.Len(t, announced(t, c, "orders-input-3"), 1)

	var items []api.Announcement
	for i := range 200 {
		items = append(items, api.Announcement{Stream: fmt.Sprint("s", i)})
	}
	_, err = p.PublishMany(t.Context(), items...)
	require.NoError(t, err)
	for part := range 16 {
		for _, e := range announced(t, c, p.layout.Keys(part).Input) {
			var a struct{ DataStreamName string }
			require.NoError(t, json.Unmarshal([]byte(e.FieldValues["lbs-input"]), &a))
			require.Equal(t, part, cluster.Partition(a.DataStreamName, 16))
		}
	}
}

func TestPublishRefusesWhatNobodyCouldRead(t *testing.T) {
	c := servers.New(t).Client(t)
	p := publisherFor(t, c)
	for _, test := range []struct {
		stream string
		info   any
		opt    PublishOption
		is     error
		want   string
	}{
		{"", nil, nil, api.ErrInvalidStream, `announcing stream "": streamlease: invalid stream name: the name is empty; give`},
		{strings.Repeat("x", 64<<10+1), nil, nil, api.ErrInvalidStream, "has 65537 bytes, the limit is 65536"},
		{"\xff", nil, nil, api.ErrInvalidStream, "it is not UTF-8"},
		{"s", json.RawMessage(`{`), nil, nil, `info "{" is not JSON`},
		{"s", json.RawMessage{}, nil, nil, `info "" is not JSON`},
		{"s", []byte("\"\xff\""), nil, nil, `is not UTF-8`},
		{"s", make(chan int), nil, nil, "info of type chan int has no JSON form"},
		{"s", nil, WithNotBefore(time.Now().AddDate(11, 0, 0)), nil, "is more than 10 years from now"},
		{"s", nil, WithNotBefore(time.UnixMilli(time.Now().UnixMicro())), nil, "is more than 10 years from now"},
		{"s", nil, WithNotBefore(time.UnixMilli(time.Now().Unix())), nil, "not seconds"},
		{"s", strings.Repeat("x", 1<<20-1), nil, api.ErrTooLarge, "Info has 1048577 bytes, the limit is 1048576 (WithLimits, MaxInfo)"},
		{"s", strings.Repeat("<", 1<<18), nil, api.ErrTooLarge, "Info has 1572866 bytes"},
		{"orders-input", nil, nil, api.ErrInvalidStream, "is a key of service orders itself"},
		{"{orders-input-3}:sessions", nil, nil, api.ErrInvalidStream, "is a key of service orders itself"},
		{"s", nil, nil, api.ErrInvalidConfig, "option 1 of 1 of Publish is nil"},
	} {
		t.Run(test.want, func(t *testing.T) {
			var opts []PublishOption
			if test.opt != nil {
				opts = append(opts, test.opt)
			} else if errors.Is(test.is, api.ErrInvalidConfig) {
				opts = []PublishOption{nil}
			}
			id, err := p.Publish(t.Context(), test.stream, test.info, opts...)
			require.ErrorContains(t, err, test.want)
			require.Less(t, len(err.Error()), 500)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			require.Empty(t, id)
		})
	}
	require.Empty(t, announced(t, c, "orders-input"))
}

// An announcement comes out of ParseEntry as it went in, whatever it is.
func TestEncodedAnnouncementIsParsedBack(t *testing.T) {
	layout, err := cluster.NewLayout("orders", 7)
	require.NoError(t, err)
	of := encoder{layout: layout}
	rapid.Check(t, func(t *rapid.T) {
		a := api.Announcement{
			Stream: rapid.StringN(1, 100, -1).Draw(t, "stream"),
			Info:   rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "info"),
		}
		if ms := rapid.Int64Range(1e11-1, 2e12).Draw(t, "ms"); ms >= 1e11 {
			a.NotBefore = time.UnixMilli(ms)
		}
		fields, err := of.encode(&a)
		require.NoError(t, err)
		var body []rueidis.XRangeFieldValue
		for i := 0; i < len(fields); i += 2 {
			body = append(body, rueidis.XRangeFieldValue{Field: fields[i], Value: fields[i+1]})
		}
		e, err := lease.ParseEntry(layout, layout.Of(a.Stream), "1-1", body)
		require.NoError(t, err)
		require.Equal(t, a.Stream, e.Stream)
		info := map[string]string{}
		require.NoError(t, json.Unmarshal(e.Info, &info))
		require.Equal(t, a.Info, info)
		if a.NotBefore.IsZero() {
			require.Zero(t, e.NotBefore)
		} else {
			require.Equal(t, a.NotBefore.UnixMilli(), e.NotBefore)
		}
	})
}

// A publisher refuses what the readers of its service would dead-letter.
func TestPublishEnforcesTheLimits(t *testing.T) {
	c := servers.New(t).Client(t)
	p := publisherFor(t, c, WithLimits(Limits{MaxName: 10, MaxInfo: 1000, MaxEntry: 1500}))
	_, err := p.Publish(t.Context(), "0123456789", json.RawMessage(" "+`"`+strings.Repeat("x", 998)+`"`))
	require.NoError(t, err, "exactly at the limit, without the space")
	_, err = p.Publish(t.Context(), "0123456789x", nil)
	require.ErrorIs(t, err, api.ErrTooLarge)
	require.ErrorContains(t, err, "the name has 11 bytes, the limit is 10 (WithLimits, MaxName)")
	entries, err := p.PublishMany(t.Context(), api.Announcement{Stream: "a", Info: strings.Repeat("x", 999)}, api.Announcement{Stream: "b"})
	require.ErrorIs(t, err, api.ErrTooLarge)
	require.ErrorContains(t, err, "item 0")
	require.Empty(t, entries[0])
	require.NotEmpty(t, entries[1])
	p = publisherFor(t, c, WithLimits(Limits{MaxInfo: 1500, MaxEntry: 1500}))
	_, err = p.Publish(t.Context(), "a", strings.Repeat("x", 1400))
	require.ErrorContains(t, err, "WithLimits, MaxEntry")
	_, err = NewPublisher(c, "orders", WithLimits(Limits{MaxFields: 1}))
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.ErrorContains(t, err, "Limits.MaxFields is 1, must be from 16 to 3900")
}

func TestNewPublisherErrors(t *testing.T) {
	c := servers.New(t).Client(t)
	for want, make := range map[string]func() (*Publisher, error){
		"the client of the publisher is nil": func() (*Publisher, error) { return NewPublisher(nil, "orders") },
		`service: "a b"`:                     func() (*Publisher, error) { return NewPublisher(c, "a b") },
		"partitions: -1":                     func() (*Publisher, error) { return NewPublisher(c, "orders", WithPartitions(-1)) },
		"option 2 of 2 is nil":               func() (*Publisher, error) { return NewPublisher(c, "orders", WithPartitions(1), nil) },
	} {
		p, err := make()
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, want)
		require.Nil(t, p)
	}
}

func TestPublishRefusesAnotherNumberOfPartitionsEveryTime(t *testing.T) {
	c := servers.New(t).Client(t)
	_, err := publisherFor(t, c, WithPartitions(4)).Publish(t.Context(), "s", nil)
	require.NoError(t, err)

	p := publisherFor(t, c)
	for range 2 {
		_, err := p.Publish(t.Context(), "s", nil)
		require.ErrorIs(t, err, api.ErrPartitionMismatch)
		require.ErrorContains(t, err, "use WithPartitions(4), or another service name")
		entries, err := p.PublishMany(t.Context(), api.Announcement{Stream: "a"}, api.Announcement{Stream: "b"})
		require.ErrorIs(t, err, api.ErrPartitionMismatch)
		require.Equal(t, []string{"", ""}, entries)
	}
	require.Len(t, announced(t, c, "orders-input"), 1, "only the first publisher announced anything")
}

// The check is repeated until it has succeeded, and rarely after that.
func TestPublishChecksTheServiceOnce(t *testing.T) {
	s := servers.New(t)
	c := s.Client(t)
	p := publisherFor(t, c)
	require.NoError(t, c.Do(t.Context(), c.B().Set().Key(p.layout.Meta()).Value("x").Build()).Error())
	_, err := p.Publish(t.Context(), "s", nil)
	require.ErrorContains(t, err, "nothing was announced")
	require.ErrorContains(t, err, "WRONGTYPE")
	require.ErrorContains(t, err, "delete or rename it")

	require.NoError(t, c.Do(t.Context(), c.B().Del().Key(p.layout.Meta()).Build()).Error())
	require.NoError(t, s.ResetStats(t.Context()))
	for range 3 {
		_, err = p.Publish(t.Context(), "s", nil)
		require.NoError(t, err)
	}
	_, err = p.PublishMany(t.Context(), api.Announcement{Stream: "s"})
	require.NoError(t, err)
	stats, err := s.CommandStats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, stats["hsetnx"].Calls, "one run of the script")
	require.EqualValues(t, 4, stats["xadd"].Calls)
}

// The service was repartitioned, or is about to be, while a publisher ran: after the interval it announces nothing more.
//
// Trace: it continued to announce to partitions that the streams no longer belonged to, or that nobody reads.
func TestPublisherNoticesThatTheServiceChanged(t *testing.T) {
	s := servers.New(t)
	c := s.Client(t)
	set := func(fields ...string) {
		args := append([]string{"HSET", "{orders-input}:meta"}, fields...)
		require.NoError(t, c.Do(t.Context(), c.B().Arbitrary(args...).Build()).Error())
	}
	for _, x := range []struct {
		fields []string
		is     error
	}{
		{[]string{"partitions", "3"}, api.ErrPartitionMismatch},
		{[]string{"format", "2"}, api.ErrFormat},
		{[]string{"format", lease.Deleting.Format(), "state", string(lease.Deleting)}, api.ErrServiceStopped},
	} {
		p := publisherFor(t, c)
		_, err := p.Publish(t.Context(), "s", nil)
		require.NoError(t, err)
		set(x.fields...)
		_, err = p.Publish(t.Context(), "s", nil)
		require.NoError(t, err, "not checked again yet")
		p.next.Store(0)
		for range 2 {
			_, err = p.Publish(t.Context(), "s", nil)
			require.ErrorIs(t, err, x.is)
			require.ErrorContains(t, err, "nothing was announced")
		}
		require.NoError(t, c.Do(t.Context(), c.B().Del().Key("{orders-input}:meta").Build()).Error())
		_, err = p.Publish(t.Context(), "s", nil)
		require.NoError(t, err, "the service is what it was")
	}
	p := publisherFor(t, c)
	_, err := p.Publish(t.Context(), "s", nil)
	require.NoError(t, err)
	p.next.Store(0)
	require.NoError(t, c.Do(t.Context(), c.B().Set().Key("{orders-input}:meta").Value("x").Build()).Error())
	_, err = p.Publish(t.Context(), "s", nil)
	require.NoError(t, err, "an unusable answer changes nothing")
}

// An announcement whose answer is lost is not sent a second time, and the error says that it may have been written.
func TestPublishIsNotSentTwice(t *testing.T) {
	s := servers.New(t)
	c := s.Client(t)
	p := publisherFor(t, c)
	_, err := p.Publish(t.Context(), "first", nil)
	require.NoError(t, err)

	require.NoError(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = p.Publish(ctx, "second", nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "it may have been announced all the same; announce again")
	require.NoError(t, s.Resume())

	require.Eventually(t, func() bool {
		return c.Do(t.Context(), c.B().Ping().Build()).Error() == nil
	}, 20*time.Second, time.Millisecond)
	_, err = p.Publish(t.Context(), "third", nil)
	require.NoError(t, err)
	count := make(map[string]int)
	for _, e := range announced(t, c, "orders-input") {
		count[e.FieldValues[lease.FieldAnnouncement]]++
	}
	require.Len(t, count, len(announced(t, c, "orders-input")), "each is there once: %v", count)
	require.GreaterOrEqual(t, len(count), 2)
}

func TestPublishWorksAgainAfterARestart(t *testing.T) {
	s := servers.New(t)
	p := publisherFor(t, s.Client(t))
	require.NoError(t, s.Kill())
	_, err := p.Publish(t.Context(), "s", nil)
	require.Error(t, err)
	_, err = p.PublishMany(t.Context(), api.Announcement{Stream: "s"})
	require.Error(t, err)
	require.NoError(t, s.Restart(t.Context(), false))
	require.Eventually(t, func() bool {
		_, err := p.Publish(t.Context(), "s", nil)
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
}

func TestPublishConcurrently(t *testing.T) {
	c := servers.New(t).Client(t)
	p := publisherFor(t, c, WithPartitions(4))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				if _, err := p.Publish(t.Context(), fmt.Sprint(i, "/", j), j); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for part := range 4 {
		total += len(announced(t, c, p.layout.Keys(part).Input))
	}
	require.Equal(t, 400, total)
}
