package scan_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

func (f *fleet) backlog(i *scan.Inspector) scan.Backlog {
	f.t.Helper()
	all, err := i.Backlog(f.ctx)
	require.NoError(f.t, err)
	require.Len(f.t, all, f.layout.Partitions())
	return all[0]
}

// waiting counts what the group has not delivered yet, by hand.
func (f *fleet) waiting(p int) (n int) {
	f.t.Helper()
	k := f.layout.Keys(p)
	groups, err := f.Try("XINFO", "GROUPS", k.Input).ToArray()
	require.NoError(f.t, err)
	fields, err := groups[0].AsMap()
	require.NoError(f.t, err)
	last := fields["last-delivered-id"]
	at, err := last.ToString()
	require.NoError(f.t, err)
	for _, e := range f.Stream(k.Input) {
		if lease.CompareIDs(e.ID, at) > 0 {
			n++
		}
	}
	return n
}

// serverLag is the lag that the server reports.
func (f *fleet) serverLag(p int) (n int, known bool) {
	f.t.Helper()
	groups, err := f.Try("XINFO", "GROUPS", f.layout.Keys(p).Input).ToArray()
	require.NoError(f.t, err)
	fields, err := groups[0].AsMap()
	require.NoError(f.t, err)
	lag := fields["lag"]
	v, err := lag.AsInt64()
	return int(v), err == nil
}

func TestBacklogOfNothing(t *testing.T) {
	f := newFleet(t, 2)
	all, err := f.inspector().Backlog(f.ctx)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, scan.Backlog{Partition: 1, At: all[1].At, LagBy: scan.LagCounted}, all[1])
	require.WithinDuration(t, time.UnixMilli(f.Now()), all[1].At, time.Minute)

	f.announce(1, "before the group")
	all, err = f.inspector().Backlog(f.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, all[1].Lag)
	require.Zero(t, all[0].Lag)
}

func TestBacklogOfEverything(t *testing.T) {
	f := newFleet(t, 1)
	i := f.inspector()
	k := f.layout.Keys(0)
	f.open(0, "a.1")
	f.open(0, "b.1")
	// A hundred seconds ago; the IDs of what follows are greater.
	past := f.Now() - 100_000
	text, err := lease.EncodeAnnouncement("old", nil)
	require.NoError(t, err)
	f.Do("XADD", k.Input, fmt.Sprintf("%d-1", past), lease.FieldAnnouncement, text)
	f.Do("XADD", k.Input, fmt.Sprintf("%d-1", past+40_000), lease.FieldAnnouncement, text)
	for n := range 20 {
		f.announce(0, "s"+strconv.Itoa(n))
	}
	entries := f.read(0, "a.1", 1)
	entries = append(entries, f.read(0, "b.1", 10)...)
	f.requeue(0, "b.1", moveTo(entries[9], lease.ToDeadLetters, "retries: x"))
	later := moveTo(entries[10], lease.ToLater, "")
	later.At = f.Now() + time.Hour.Milliseconds()
	f.requeue(0, "b.1", later)
	f.done(0, "b.1", entries[1])
	f.Do("ZADD", k.Later, "5", "due")

	b := f.backlog(i)
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

// The server's lag is wrong, with no sign of it, after a deletion that the group has gone past, and after trimming; it is nil
// after other deletions and for a group placed by hand. Ours is the count each time.
func TestBacklogIsTheCountWhereTheServerIsWrong(t *testing.T) {
	f := newFleet(t, 1)
	i := f.inspector()
	k := f.layout.Keys(0)
	f.open(0, "a.1")
	same := func(want int) {
		t.Helper()
		require.Equal(t, want, f.waiting(0))
		b := f.backlog(i)
		require.Equal(t, want, b.Lag)
		require.Equal(t, scan.LagCounted, b.LagBy)
	}
	var ids []string
	for n := range 10 {
		ids = append(ids, f.announce(0, "s"+strconv.Itoa(n)))
	}
	same(10)
	f.read(0, "a.1", 2)
	same(8)
	f.Do("XDEL", k.Input, ids[2])
	same(7)
	_, known := f.serverLag(0)
	require.False(t, known, "the server does not know after a deletion ahead of the group")
	f.read(0, "a.1", 1)
	same(6)
	wrong, known := f.serverLag(0)
	if known { // Redis 8 and Valkey 8 still do not know
		require.NotEqual(t, 6, wrong, "the server is wrong once the group has gone past it")
	}

	f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), ids[6])
	same(3)
	f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), ids[0])
	same(8)
	f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), "0")
	same(9)
	f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), "$")
	same(0)
	f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), ids[1])
	same(7)
	f.Do("XTRIM", k.Input, "MAXLEN", "4")
	same(4)
	f.read(0, "a.1", 1)
	same(3)
	f.Do("XDEL", k.Input, ids[7], ids[8], ids[9])
	same(0)
	// The greatest ID there is: nothing comes after it, and it is no exclusive start.
	f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), "18446744073709551615-18446744073709551615")
	same(0)
}

// Whatever is done to a stream and its group, a count is right, and the server's number is not far off: it is used only where
// two numbers agree that fail in different ways.
func TestBacklogAgreesWithACount(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.open(0, "a.1")
	counting := f.inspector()
	few := f.inspector(func(c *scan.InspectorConfig) { c.CountLimit = 3 })
	rapid.Check(t, func(t *rapid.T) {
		f.Do("FLUSHALL")
		require.NoError(t, f.leases.Agree(f.ctx))
		f.open(0, "a.1")
		var entries []*lease.Entry
		var ids []string
		deleted, skipped := 0, 0
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"add", "add", "read", "done", "requeue", "delete", "setid"}).Draw(t, "step") {
			case "add":
				for range rapid.IntRange(1, 8).Draw(t, "adds") {
					ids = append(ids, f.announce(0, "s"))
				}
			case "read":
				entries = append(entries, f.read(0, "a.1", rapid.IntRange(1, 5).Draw(t, "reads"))...)
			case "done":
				if n := len(entries); n > 0 {
					_, err := f.leases.Done(f.ctx, 0, "a.1", []lease.Disposition{{Key: entries[n-1].Key, Entry: entries[n-1].ID}})
					require.NoError(t, err)
					entries = entries[:n-1]
				}
			case "requeue":
				if n := len(entries); n > 0 {
					_, err := f.leases.Requeue(f.ctx, 0, "a.1", []lease.Disposition{moveTo(entries[0], lease.ToInput, "")})
					require.NoError(t, err)
					entries = entries[1:]
				}
			case "delete":
				if len(ids) > 0 {
					f.Do("XDEL", k.Input, rapid.SampledFrom(ids).Draw(t, "id"))
					deleted++
				}
			case "setid":
				if len(ids) > 0 {
					f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), rapid.SampledFrom(ids).Draw(t, "at"))
					skipped = len(ids)
				}
			}
		}
		want := f.waiting(0)
		b := f.backlog(counting)
		require.Equal(t, want, b.Lag)
		require.Equal(t, scan.LagCounted, b.LagBy)
		b = f.backlog(few)
		switch b.LagBy {
		case scan.LagCounted:
			require.Equal(t, want, b.Lag)
		case scan.LagTold:
			told, known := f.serverLag(0)
			require.True(t, known)
			require.Equal(t, told, b.Lag)
			require.Equal(t, b.Length-b.Pending, b.Lag)
		default:
			require.Equal(t, scan.LagEstimated, b.LagBy)
			require.Equal(t, []int{-1, -1}, []int{b.Stranded, b.WithoutBody})
			// What is between the two lines was deleted or acknowledged by hand.
			exact := f.backlog(counting)
			off := max(exact.Stranded, exact.WithoutBody) + deleted + skipped
			require.LessOrEqual(t, max(b.Lag-want, want-b.Lag), off)
			require.True(t, 0 < b.Lag && b.Lag <= b.Length, "%d of %d", b.Lag, b.Length)
		}
	})
}

// With too many entries on both sides the server's number is used if the length agrees; otherwise the lag is an estimate. It
// was missing then: one deletion ahead of the group is enough.
func TestBacklogBeyondWhatIsCounted(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.open(0, "a.1")
	var ids []string
	for n := range 3000 {
		ids = append(ids, f.announce(0, "s"+strconv.Itoa(n)))
	}
	small := f.inspector(func(c *scan.InspectorConfig) { c.CountLimit = 1000 })
	none := f.inspector(func(c *scan.InspectorConfig) { c.CountLimit = scan.NoCount })
	b := f.backlog(small)
	require.Equal(t, 3000, b.Lag, "nothing comes before it")
	require.Equal(t, scan.LagCounted, b.LagBy)

	// What is answered without a count: what the server says, if the length agrees, else the lesser of the two.
	uncounted := func(i *scan.Inspector) {
		t.Helper()
		b := f.backlog(i)
		rest := b.Length - b.Pending
		told, known := f.serverLag(0) // not before Redis 7
		want, by := rest, scan.LagEstimated
		if known {
			want = min(rest, told)
		}
		if known && told == rest {
			by = scan.LagTold
		}
		require.Equal(t, []any{want, by}, []any{b.Lag, b.LagBy})
		if by == scan.LagTold {
			require.Equal(t, []int{0, 0}, []int{b.Stranded, b.WithoutBody})
		} else {
			require.Equal(t, []int{-1, -1}, []int{b.Stranded, b.WithoutBody})
		}
	}
	f.read(0, "a.1", 1000)
	f.read(0, "a.1", 300)
	uncounted(none)
	b = f.backlog(small)
	require.Equal(t, 1700, b.Lag)
	require.Equal(t, f.backlog(none).LagBy, b.LagBy)

	f.Do("XDEL", k.Input, ids[1300])
	_, known := f.serverLag(0)
	require.False(t, known)
	uncounted(none)
	require.Equal(t, 1699, f.backlog(none).Lag, "nothing is stranded, so the length knows")
	b = f.backlog(f.inspector())
	require.Equal(t, []any{1699, scan.LagCounted}, []any{b.Lag, b.LagBy})
	require.Equal(t, []int{0, 0}, []int{b.Stranded, b.WithoutBody})

	// Stranded announcements make the length too great, and on Redis 7.0 the deletion the server's number, by one.
	f.read(0, "a.1", 800)
	f.Do(append([]string{"XACK", k.Input, f.layout.Group()}, ids[100:200]...)...)
	uncounted(none)
	require.Contains(t, []int{899, 900, 999}, f.backlog(none).Lag)
	require.Equal(t, 899, f.backlog(f.inspector()).Lag)

	// A count that ends at the limit is a bound.
	f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), ids[1500])
	f.Do(append([]string{"XACK", k.Input, f.layout.Group()}, ids[200:1100]...)...)
	b = f.backlog(f.inspector(func(c *scan.InspectorConfig) { c.CountLimit = 1200 }))
	require.Equal(t, scan.LagEstimated, b.LagBy)
	require.Greater(t, b.Lag, 1200)
	require.LessOrEqual(t, b.Lag, b.Length-1200)
}

// What the server says and what the length says agree: then no entry is read, and where one side is short it is counted.
func TestBacklogReadsNothingThatIsKnown(t *testing.T) {
	f := newFleet(t, 1)
	f.open(0, "a.1")
	for n := range 400 {
		f.announce(0, "s"+strconv.Itoa(n))
	}
	f.read(0, "a.1", 250)
	reads := func() (n int) {
		for _, line := range strings.Split(f.Text("INFO", "commandstats"), "\n") {
			if rest, ok := strings.CutPrefix(line, "cmdstat_xrange:calls="); ok {
				n, _ = strconv.Atoi(rest[:strings.Index(rest, ",")])
			}
		}
		return n
	}
	before := reads()
	b := f.backlog(f.inspector())
	require.Equal(t, 150, b.Lag)
	if _, known := f.serverLag(0); known { // from Redis 7 on
		require.Equal(t, scan.LagTold, b.LagBy)
		require.Equal(t, before+1, reads(), "the first one that waits, for its age")
	}
	f.read(0, "a.1", 100)
	require.Equal(t, scan.LagCounted, f.backlog(f.inspector()).LagBy)
	f.read(0, "a.1", 50)
	before = reads()
	b = f.backlog(f.inspector())
	require.Equal(t, []any{0, scan.LagCounted}, []any{b.Lag, b.LagBy})
	require.Equal(t, before+1, reads(), "there is none")
}

func TestBacklogOfKeysOfAnotherType(t *testing.T) {
	for _, broken := range []int{0, 1, 2} {
		f := newFleet(t, 2)
		k := f.layout.Keys(0)
		f.Do("SET", []string{k.Input, k.Later, k.DeadLetters}[broken], "x")
		all, err := f.inspector().Backlog(f.ctx)
		require.ErrorContains(t, err, "backlog of partition 0: ")
		require.ErrorContains(t, err, "WRONGTYPE")
		require.Len(t, all, 1, "the other partition is reported all the same")
		require.Equal(t, 1, all[0].Partition)
	}
}
