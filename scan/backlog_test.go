package scan_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

func (o *office) backlog(i *scan.Inspector) scan.Backlog {
	o.t.Helper()
	all, err := i.Backlog(o.ctx)
	require.NoError(o.t, err)
	require.Len(o.t, all, o.layout.Partitions())
	return all[0]
}

// waiting counts what the group has not delivered yet, by hand.
func (o *office) waiting(p int) (n int) {
	o.t.Helper()
	k := o.layout.Keys(p)
	groups, err := o.Try("XINFO", "GROUPS", k.Input).ToArray()
	require.NoError(o.t, err)
	fields, err := groups[0].AsMap()
	require.NoError(o.t, err)
	last := fields["last-delivered-id"]
	at, err := last.ToString()
	require.NoError(o.t, err)
	for _, e := range o.Stream(k.Input) {
		if lease.CompareIDs(e.ID, at) > 0 {
			n++
		}
	}
	return n
}

// serverLag is what the server says itself.
func (o *office) serverLag(p int) (n int, known bool) {
	o.t.Helper()
	groups, err := o.Try("XINFO", "GROUPS", o.layout.Keys(p).Input).ToArray()
	require.NoError(o.t, err)
	fields, err := groups[0].AsMap()
	require.NoError(o.t, err)
	lag := fields["lag"]
	v, err := lag.AsInt64()
	return int(v), err == nil
}

func TestBacklogOfNothing(t *testing.T) {
	o := newOffice(t, 2)
	all, err := o.inspector().Backlog(o.ctx)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, scan.Backlog{Partition: 1, At: all[1].At, LagBy: scan.LagCounted}, all[1])
	require.WithinDuration(t, time.UnixMilli(o.Now()), all[1].At, time.Minute)

	o.announce(1, "before the group")
	all, err = o.inspector().Backlog(o.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, all[1].Lag)
	require.Zero(t, all[0].Lag)
}

func TestBacklogOfEverything(t *testing.T) {
	o := newOffice(t, 1)
	i := o.inspector()
	k := o.layout.Keys(0)
	o.open(0, "a.1")
	o.open(0, "b.1")
	// A hundred seconds ago; the IDs of what follows are greater.
	past := o.Now() - 100_000
	text, err := lease.EncodeAnnouncement("old", nil)
	require.NoError(t, err)
	o.Do("XADD", k.Input, fmt.Sprintf("%d-1", past), lease.FieldAnnouncement, text)
	o.Do("XADD", k.Input, fmt.Sprintf("%d-1", past+40_000), lease.FieldAnnouncement, text)
	for n := range 20 {
		o.announce(0, "s"+strconv.Itoa(n))
	}
	entries := o.read(0, "a.1", 1)
	entries = append(entries, o.read(0, "b.1", 10)...)
	o.requeue(0, "b.1", giving(entries[9], lease.ToDeadLetters, "retries: x"))
	later := giving(entries[10], lease.ToLater, "")
	later.At = o.Now() + time.Hour.Milliseconds()
	o.requeue(0, "b.1", later)
	o.done(0, "b.1", entries[1])
	o.Do("ZADD", k.Later, "5", "due")

	b := o.backlog(i)
	require.Equal(t, 19, b.Length)
	require.Equal(t, 11, b.Lag)
	require.Equal(t, scan.LagCounted, b.LagBy)
	require.Equal(t, 8, b.Pending)
	require.Equal(t, 2, b.Consumers)
	require.Equal(t, 2, b.Later)
	require.Equal(t, 1, b.Due)
	require.Equal(t, 1, b.DeadLetters)
	require.GreaterOrEqual(t, b.OldestPending, 100*time.Second)
	require.Less(t, b.OldestPending, time.Hour)
	require.Less(t, b.OldestWaiting, b.OldestPending)
}

// The server's lag is wrong without a sign after a deletion that the group has gone past, and after trimming; it is nil
// after other deletions and for a group placed by hand. Ours is the count each time.
func TestBacklogIsTheCountWhereTheServerIsWrong(t *testing.T) {
	o := newOffice(t, 1)
	i := o.inspector()
	k := o.layout.Keys(0)
	o.open(0, "a.1")
	same := func(want int) {
		t.Helper()
		require.Equal(t, want, o.waiting(0))
		b := o.backlog(i)
		require.Equal(t, want, b.Lag)
		require.Equal(t, scan.LagCounted, b.LagBy)
	}
	var ids []string
	for n := range 10 {
		ids = append(ids, o.announce(0, "s"+strconv.Itoa(n)))
	}
	same(10)
	o.read(0, "a.1", 2)
	same(8)
	o.Do("XDEL", k.Input, ids[2])
	same(7)
	_, known := o.serverLag(0)
	require.False(t, known, "the server does not know after a deletion ahead of the group")
	o.read(0, "a.1", 1)
	same(6)
	wrong, known := o.serverLag(0)
	require.True(t, known)
	require.NotEqual(t, 6, wrong, "the server is wrong once the group has gone past it")

	o.Do("XGROUP", "SETID", k.Input, o.layout.Group(), ids[6])
	same(3)
	o.Do("XGROUP", "SETID", k.Input, o.layout.Group(), ids[0])
	same(8)
	o.Do("XGROUP", "SETID", k.Input, o.layout.Group(), "0")
	same(9)
	o.Do("XGROUP", "SETID", k.Input, o.layout.Group(), "$")
	same(0)
	o.Do("XGROUP", "SETID", k.Input, o.layout.Group(), ids[1])
	same(7)
	o.Do("XTRIM", k.Input, "MAXLEN", "4")
	same(4)
	o.read(0, "a.1", 1)
	same(3)
	o.Do("XDEL", k.Input, ids[7], ids[8], ids[9])
	same(0)
	// The greatest ID there is: nothing comes after it, and it is no exclusive start.
	o.Do("XGROUP", "SETID", k.Input, o.layout.Group(), "18446744073709551615-18446744073709551615")
	same(0)
}

// Whatever is done to a stream and its group, what is counted is right, and what is told is not far off: it is told only
// where two numbers agree that fail in different ways.
func TestBacklogAgreesWithACount(t *testing.T) {
	o := newOffice(t, 1)
	k := o.layout.Keys(0)
	o.open(0, "a.1")
	counting := o.inspector()
	few := o.inspector(func(c *scan.InspectorConfig) { c.CountLimit = 3 })
	rapid.Check(t, func(t *rapid.T) {
		o.Do("FLUSHALL")
		require.NoError(t, o.leases.Agree(o.ctx))
		o.open(0, "a.1")
		var entries []*lease.Entry
		var ids []string
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"add", "add", "read", "done", "requeue", "delete", "setid"}).Draw(t, "step") {
			case "add":
				for range rapid.IntRange(1, 8).Draw(t, "adds") {
					ids = append(ids, o.announce(0, "s"))
				}
			case "read":
				entries = append(entries, o.read(0, "a.1", rapid.IntRange(1, 5).Draw(t, "reads"))...)
			case "done":
				if n := len(entries); n > 0 {
					_, err := o.leases.Done(o.ctx, 0, "a.1", []lease.Disposition{{Key: entries[n-1].Key, Entry: entries[n-1].ID}})
					require.NoError(t, err)
					entries = entries[:n-1]
				}
			case "requeue":
				if n := len(entries); n > 0 {
					_, err := o.leases.Requeue(o.ctx, 0, "a.1", []lease.Disposition{giving(entries[0], lease.ToInput, "")})
					require.NoError(t, err)
					entries = entries[1:]
				}
			case "delete":
				if len(ids) > 0 {
					o.Do("XDEL", k.Input, rapid.SampledFrom(ids).Draw(t, "id"))
				}
			case "setid":
				if len(ids) > 0 {
					o.Do("XGROUP", "SETID", k.Input, o.layout.Group(), rapid.SampledFrom(ids).Draw(t, "at"))
				}
			}
		}
		want := o.waiting(0)
		b := o.backlog(counting)
		require.Equal(t, want, b.Lag)
		require.Equal(t, scan.LagCounted, b.LagBy)
		b = o.backlog(few)
		switch b.LagBy {
		case scan.LagCounted:
			require.Equal(t, want, b.Lag)
		case scan.LagTold:
			told, known := o.serverLag(0)
			require.True(t, known)
			require.Equal(t, told, b.Lag)
			require.Equal(t, b.Length-b.Pending, b.Lag)
		default:
			require.Equal(t, scan.LagUnknown, b.LagBy)
			require.Equal(t, -1, b.Lag)
		}
	})
}

// With too many on both sides the server's number counts if the length agrees; else nobody knows.
func TestBacklogBeyondWhatIsCounted(t *testing.T) {
	o := newOffice(t, 1)
	k := o.layout.Keys(0)
	o.open(0, "a.1")
	var ids []string
	for n := range 3000 {
		ids = append(ids, o.announce(0, "s"+strconv.Itoa(n)))
	}
	small := o.inspector(func(c *scan.InspectorConfig) { c.CountLimit = 1000 })
	none := o.inspector(func(c *scan.InspectorConfig) { c.CountLimit = -1 })
	b := o.backlog(small)
	require.Equal(t, 3000, b.Lag, "nothing comes before it")
	require.Equal(t, scan.LagCounted, b.LagBy)

	o.read(0, "a.1", 1000)
	o.read(0, "a.1", 300)
	b = o.backlog(small)
	require.Equal(t, 1700, b.Lag)
	require.Equal(t, scan.LagTold, b.LagBy)
	require.Equal(t, scan.LagTold, o.backlog(none).LagBy)

	o.Do("XDEL", k.Input, ids[2000])
	b = o.backlog(small)
	require.Equal(t, -1, b.Lag)
	require.Equal(t, scan.LagUnknown, b.LagBy)
	b = o.backlog(o.inspector())
	require.Equal(t, 1699, b.Lag)
	require.Equal(t, scan.LagCounted, b.LagBy)
}

func TestBacklogOfKeysOfAnotherType(t *testing.T) {
	for _, broken := range []int{0, 1, 2} {
		o := newOffice(t, 2)
		k := o.layout.Keys(0)
		o.Do("SET", []string{k.Input, k.Later, k.DeadLetters}[broken], "x")
		all, err := o.inspector().Backlog(o.ctx)
		require.ErrorContains(t, err, "backlog of partition 0: ")
		require.ErrorContains(t, err, "WRONGTYPE")
		require.Len(t, all, 1, "the other partition is told all the same")
		require.Equal(t, 1, all[0].Partition)
	}
}
