package scan_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// In front of what there is of the stream is far more than is looked through. The story says so, and has what a lease names.
func TestStoryOfOneAmongMany(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.open(0, podA)
	text, err := lease.EncodeAnnouncement("wanted", nil)
	require.NoError(t, err)
	f.Do("EVAL", `for i = 1, 3000 do
		-- These may be anything, so their text goes to the client.
		redis.call('XADD', KEYS[1], '*', 'lbs-input', '{"DataStreamName":"\\u0061"}')
		redis.call('XADD', KEYS[2], '*', 'lbs-input', i == 1 and ARGV[1] or '{"DataStreamName":"\\u0061"}', '_reason', 'retries: x')
		redis.call('ZADD', KEYS[3], i, cmsgpack.pack({ i .. '-1', { 'lbs-input', i == 3000 and ARGV[1] or '\\u00' } }))
	end`, "3", k.Input, k.DeadLetters, k.Later, text)
	f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), f.Stream(k.Input)[1499].ID)
	f.announce(0, "wanted")
	look := func(limit int) scan.Story {
		s, err := f.inspector(func(c *scan.InspectorConfig) { c.CountLimit = limit }).Story(f.ctx, "wanted")
		require.NoError(t, err)
		return s
	}
	s := look(0)
	require.Equal(t, scan.StreamWaiting, s.State, s.Why)
	require.Equal(t, 1500, s.Ahead)
	require.Len(t, s.Letters, 1)
	require.Len(t, s.Delayed, 1)
	require.Empty(t, s.Unread)
	for _, limit := range []int{1000, scan.NoCount} {
		s = look(limit)
		require.Equal(t, scan.StreamUnknown, s.State)
		require.Equal(t, -1, s.Ahead)
		require.Len(t, s.Unread, 4)
		require.Contains(t, s.Why, "not everything was")
	}
	require.Equal(t, s.Unread[1], "what was not delivered yet in partition 0, after the first 0 announcements")

	// What the lease names is read by its ID.
	all := f.Stream(k.Input)
	f.Do("SET", k.Lease("wanted"), podA+" 7 "+all[len(all)-1].ID, "PX", "60000")
	s = look(100)
	require.Equal(t, scan.StreamOwned, s.State)
	require.Len(t, s.Entries, 1)
}

// More than a story has of everything: it is cut, and what was cut is said.
func TestStoryIsCut(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.open(0, podA)
	text, err := lease.EncodeAnnouncement("s", nil)
	require.NoError(t, err)
	f.Do("EVAL", `for i = 1, 40 do
		redis.call('XADD', KEYS[1], '*', 'lbs-input', ARGV[1])
		redis.call('XADD', KEYS[2], '*', 'lbs-input', ARGV[1], '_dead_at', '99999999999999999')
		redis.call('ZADD', KEYS[3], '+inf', cmsgpack.pack({ i .. '-1', { 'lbs-input', ARGV[1] } }))
	end`, "3", k.Input, k.DeadLetters, k.Later, text)
	f.read(0, podA, 15)
	s := f.story("s")
	require.Equal(t, scan.StreamRead, s.State)
	require.Len(t, s.Entries, 18)
	require.Empty(t, s.Entries[17].Consumer)
	require.Zero(t, s.Ahead)
	require.Len(t, s.Delayed, 20)
	require.Len(t, s.Letters, 20)
	require.Len(t, s.Unread, 4, s.Unread)
}

// Names, values and entries of any kind are in the story, and each text is cut and printable.
func TestStoryOfHostileNames(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.open(0, podA)
	for _, stream := range []string{
		strings.Repeat("long", 16<<10), "{}}{", "<script>alert(1)</script>", "\x1b[31m\u202e", "ключ", `"\\u0061`, " ", "s",
	} {
		r := moveTo(f.readOf(podA, stream, "a", "b"), lease.ToDeadLetters, strings.Repeat("\xff\x1b", 5000))
		f.requeue(0, podA, r)
		s := f.story(stream)
		require.Equal(t, scan.StreamDead, s.State)
		require.Len(t, s.Letters, 1)
		r = moveTo(f.readOf(podA, stream), lease.ToLater, "")
		r.At = f.Now() + 3_600_000
		f.requeue(0, podA, r)
		require.Len(t, f.story(stream).Delayed, 1)
		f.announce(0, stream)
		s = f.story(stream)
		require.Equal(t, scan.StreamWaiting, s.State)
		f.Do("SET", k.Lease(stream), strings.Repeat("\xff<", 2000)+" 7 1-1")
		s = f.story(stream)
		require.Equal(t, scan.StreamOwned, s.State)
		require.Less(t, len(s.Why), 4000)
		require.NotContains(t, s.Why, "\x1b")
		f.read(0, podA, 1)
	}
	require.Equal(t, scan.StreamUnknown, f.story("\xff\xfe").State)
	for _, stream := range []string{"", strings.Repeat("x", cluster.MaxStreamName+1)} {
		s, err := f.inspector().Story(f.ctx, stream)
		require.ErrorIs(t, err, api.ErrInvalidStream)
		require.Zero(t, s)
	}
}

// Each key of another type is an error that says which, and the rest of the story is there.
func TestStoryOfWhatCannotBeRead(t *testing.T) {
	f := newFleet(t, 1)
	fresh := func() {
		f.Do("FLUSHALL")
		require.NoError(t, f.leases.Agree(f.ctx))
	}
	for name, broken := range map[string]struct {
		key  func(k *cluster.Keys) string
		says string
	}{
		"lease":        {func(k *cluster.Keys) string { return k.Lease("s") }, "owner of stream"},
		"sessions":     {func(k *cluster.Keys) string { return k.Sessions }, "whether partition 0 settles"},
		"fleet":        {func(k *cluster.Keys) string { return k.Fleet }, "consumers of partition 0"},
		"checkpoints":  {func(k *cluster.Keys) string { return k.Checkpoints }, "checkpoint of stream"},
		"input":        {func(k *cluster.Keys) string { return k.Input }, "reading shop-input"},
		"later":        {func(k *cluster.Keys) string { return k.Later }, "reading {shop-input}:later"},
		"dead letters": {func(k *cluster.Keys) string { return k.DeadLetters }, "reading {shop-input}-dlq"},
	} {
		fresh()
		k := f.layout.Keys(0)
		f.open(0, podA)
		f.requeue(0, podA, moveTo(f.readOf(podA, "s"), lease.ToDeadLetters, "permanent: x"))
		f.announce(0, "s")
		f.Do("HSET", k.Checkpoints, "ss", "7 v x")
		f.Do("DEL", broken.key(k))
		f.Do("LPUSH", broken.key(k), "x")
		s, err := f.inspector().Story(f.ctx, "s")
		require.ErrorContains(t, err, broken.says)
		require.Contains(t, s.Why, "Not everything could be read")
		require.Equal(t, "s", s.Ownership.Stream)
		known := 0
		for _, there := range []bool{len(s.Letters) > 0, len(s.Entries) > 0, s.Checkpoint != nil} {
			if there {
				known++
			}
		}
		require.GreaterOrEqual(t, known, 2, name)
	}
	fresh()
	f.Do("HSET", f.layout.Keys(0).Checkpoints, "ss", "nonsense")
	f.Do("SET", f.layout.Keys(0).Lease("s"), "nonsense")
	_, err := f.inspector().Story(f.ctx, "s")
	require.ErrorContains(t, err, "unknown kind")
	require.ErrorContains(t, err, "not one of this library")
	ctx, cancel := context.WithTimeout(f.ctx, 0)
	defer cancel()
	_, err = f.inspector().Story(ctx, "s")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 1, strings.Count(err.Error(), "deadline"), "nothing more is read then")
}
