package scan_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// onePage reads one page of something.
type onePage[T any] func(cursor string, count int) (page []T, next string, err error)

// allPages reads to the end, and checks that it comes there.
func allPages[T any](t testing.TB, count int, read onePage[T]) (all []T) {
	t.Helper()
	cursor := ""
	for range 10_000 {
		page, next, err := read(cursor, count)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), count)
		all = append(all, page...)
		if next == "" {
			return all
		}
		require.NotEqual(t, cursor, next)
		require.Less(t, len(next), 400)
		cursor = next
	}
	require.Fail(t, "no end")
	return nil
}

// somethingOfEach has dead letters, delayed announcements and holdings in three partitions, in one of which there is nothing.
func somethingOfEach(f *fleet) {
	for p := range 3 {
		f.open(p, "worker.1")
	}
	for _, p := range []int{0, 2} {
		f.deadLetter(p, fmt.Sprintf("dead-%d", p), "retries: failed", 5)
		f.deadLetter(p, fmt.Sprintf("bad-%d", p), "permanent: told so", 3)
		for i := range 6 {
			f.announce(p, fmt.Sprintf("late-%d-%d", p, i), "more", strings.Repeat("x", i*60))
			e := f.read(p, "worker.1", 1)[0]
			r := moveTo(e, lease.ToLater, "")
			r.At = f.Now() + 3_600_000 + int64(i/2) // two at the same time
			f.requeue(p, "worker.1", r)
		}
		for i := range 5 {
			f.announce(p, fmt.Sprintf("held-%d-%d", p, i))
		}
		f.take(p, "worker.1", f.read(p, "worker.1", 3)...)
		f.read(p, "worker.1", 2)
	}
}

// While nothing changes, pages of any size have everything exactly once, in order.
func TestPagesHaveEverythingOnce(t *testing.T) {
	f := newFleet(t, 3)
	somethingOfEach(f)
	ctx := f.ctx
	i := f.inspector()
	var letters []scan.DeadLetter
	for l, err := range i.Letters(ctx, scan.Selection{}) {
		require.NoError(t, err)
		letters = append(letters, l)
	}
	slices.SortStableFunc(letters, func(a, b scan.DeadLetter) int {
		if a.Partition != b.Partition {
			return a.Partition - b.Partition
		}
		return lease.CompareIDs(b.ID, a.ID)
	})
	require.Len(t, letters, 16)
	delayed := f.listDelayed(i, scan.Selection{})
	require.Len(t, delayed, 12)
	var holdings []string
	for h, err := range i.Holdings(ctx, "worker.1") {
		require.NoError(t, err)
		holdings = append(holdings, fmt.Sprint(h.Partition, h.Entry, h.Stream, h.Held))
	}
	require.Len(t, holdings, 10)
	for count := 1; count <= 7; count++ {
		require.Equal(t, letters, allPages(t, count, func(cursor string, count int) ([]scan.DeadLetter, string, error) {
			return i.LettersPage(ctx, scan.Selection{Partitions: []int{2, 0, 1, 2, 7, -1}}, cursor, count)
		}))
		bad := slices.DeleteFunc(slices.Clone(letters), func(l scan.DeadLetter) bool { return l.Class() != "permanent" })
		require.Equal(t, bad, allPages(t, count, func(cursor string, count int) ([]scan.DeadLetter, string, error) {
			return i.LettersPage(ctx, scan.Selection{Reason: "perm"}, cursor, count)
		}))
		require.Equal(t, delayed, allPages(t, count, func(cursor string, count int) ([]scan.Delayed, string, error) {
			return i.DelayedPage(ctx, scan.Selection{}, cursor, count)
		}))
		require.Equal(t, delayed[6:], allPages(t, count, func(cursor string, count int) ([]scan.Delayed, string, error) {
			return i.DelayedPage(ctx, scan.Selection{Partitions: []int{2}}, cursor, count)
		}))
		held := allPages(t, count, func(cursor string, count int) ([]scan.Holding, string, error) {
			return i.HoldingsPage(ctx, "worker.1", cursor, count)
		})
		var found []string
		for _, h := range held {
			found = append(found, fmt.Sprint(h.Partition, h.Entry, h.Stream, h.Held))
		}
		require.Equal(t, holdings, found)
	}
	page, next, err := i.HoldingsPage(ctx, "nobody.1", "", 0)
	require.NoError(t, err)
	require.Empty(t, page)
	require.Empty(t, next)
}

// Members of later that begin alike, and are due at the same time, are all there: a cursor has only their beginning.
func TestDelayedPagesOfMembersThatBeginAlike(t *testing.T) {
	f := newFleet(t, 1)
	text, err := lease.EncodeAnnouncement("same", nil)
	require.NoError(t, err)
	f.Do("EVAL", `for i = 1, 9 do redis.call('ZADD', KEYS[1], '4000000000000',
		cmsgpack.pack({ '1-1', { 'lbs-input', ARGV[1], 'long', string.rep('x', 200), 'n', tostring(i) } })) end`, "1", f.layout.Keys(0).Later, text)
	f.Do("ZADD", f.layout.Keys(0).Later, "-inf", "\xff\xfe", "inf", "{<b>}", "17.5", "x")
	i := f.inspector()
	for count := 1; count <= 7; count++ {
		require.Len(t, allPages(t, count, func(cursor string, count int) ([]scan.Delayed, string, error) {
			return i.DelayedPage(f.ctx, scan.Selection{}, cursor, count)
		}), 12)
		require.Len(t, allPages(t, count, func(cursor string, count int) ([]scan.Delayed, string, error) {
			return i.DelayedPage(f.ctx, scan.Selection{Stream: "same", ID: "1-1"}, cursor, count)
		}), 9)
	}
}

// A call does a bounded amount of work, and the next goes on.
func TestPageOfFewAmongMany(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	text, err := lease.EncodeAnnouncement("wanted", nil)
	require.NoError(t, err)
	f.Do("EVAL", `for i = 1, 30000 do
		local text, reason = '{"DataStreamName":"other"}', 'retries: x'
		if i == 1 then text, reason = ARGV[1], 'poison: <b>' end
		redis.call('XADD', KEYS[1], '*', 'lbs-input', text, '_reason', reason)
		redis.call('ZADD', KEYS[2], 30000 - i, cmsgpack.pack({ i .. '-1', { 'lbs-input', text } }))
	end`, "2", k.DeadLetters, k.Later, text)
	i := f.inspector()
	for _, s := range []scan.Selection{{Stream: "wanted"}, {Reason: "poison"}} {
		letters, next, err := i.LettersPage(f.ctx, s, "", 5)
		require.NoError(t, err)
		require.Empty(t, letters)
		require.NotEmpty(t, next)
		require.Len(t, allPages(t, 5, func(cursor string, count int) ([]scan.DeadLetter, string, error) {
			return i.LettersPage(f.ctx, s, cursor, count)
		}), 1)
	}
	delayed, next, err := i.DelayedPage(f.ctx, scan.Selection{Stream: "wanted"}, "", 5)
	require.NoError(t, err)
	require.Empty(t, delayed)
	require.NotEmpty(t, next)
	require.Len(t, allPages(t, 5, func(cursor string, count int) ([]scan.Delayed, string, error) {
		return i.DelayedPage(f.ctx, scan.Selection{ID: "1-1"}, cursor, count)
	}), 1)
}

// A page ends where its items weigh much, and the next goes on.
func TestPageOfHeavyLetters(t *testing.T) {
	f := newFleet(t, 1)
	f.Do("EVAL", `for i = 1, 8 do redis.call('XADD', KEYS[1], '*', 'lbs-input', string.rep('x', 1048576), '_reason', '\255{<b>') end`, "1",
		f.layout.Keys(0).DeadLetters)
	i := f.inspector(func(c *scan.InspectorConfig) { c.Page = 100 })
	page, next, err := i.LettersPage(f.ctx, scan.Selection{}, "", 0)
	require.NoError(t, err)
	require.Len(t, page, 4)
	page, _, err = i.LettersPage(f.ctx, scan.Selection{}, next, 0)
	require.NoError(t, err)
	require.Len(t, page, 4)
}

// A key of another type is an error that says which, and the pages of the other partitions can be had.
func TestPagesPassOverWhatCannotBeRead(t *testing.T) {
	f := newFleet(t, 3)
	somethingOfEach(f)
	i := f.inspector()
	for _, key := range []string{f.layout.Keys(1).DeadLetters, f.layout.Keys(1).Later} {
		f.Do("SET", key, "a string")
	}
	letters, next, err := i.LettersPage(f.ctx, scan.Selection{}, "", 100)
	require.ErrorContains(t, err, "dead letters of partition 1")
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Len(t, letters, 8)
	letters, next, err = i.LettersPage(f.ctx, scan.Selection{}, next, 100)
	require.NoError(t, err)
	require.Len(t, letters, 8)
	require.Empty(t, next)
	_, next, err = i.DelayedPage(f.ctx, scan.Selection{Partitions: []int{1}}, "", 1)
	require.ErrorContains(t, err, "what is delayed of partition 1")
	require.Empty(t, next)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, _, err = i.HoldingsPage(ctx, "worker.1", "", 1)
	require.ErrorIs(t, err, context.Canceled)
}

// A cursor that comes from elsewhere is refused, as is a count out of range.
func TestPagesRefuseCursors(t *testing.T) {
	f := newFleet(t, 3)
	somethingOfEach(f)
	i := f.inspector()
	letters := func(s scan.Selection) onePage[scan.DeadLetter] {
		return func(cursor string, count int) ([]scan.DeadLetter, string, error) {
			return i.LettersPage(f.ctx, s, cursor, count)
		}
	}
	_, next, err := letters(scan.Selection{})("", 1)
	require.NoError(t, err)
	_, later, err := i.DelayedPage(f.ctx, scan.Selection{}, "", 1)
	require.NoError(t, err)
	_, held, err := i.HoldingsPage(f.ctx, "worker.1", "", 1)
	require.NoError(t, err)
	tag, _, _ := strings.Cut(next, ".")
	for _, cursor := range []string{later, held, tag, tag + ".", tag + ".0", tag + ".3.", tag + ".-1.", tag + ".00.", tag + ".0.5", tag + ".0.0-0",
		tag + ".0.+1-1", tag + ".0.1-1-1", tag + ".0.1-18446744073709551616", next + " ", "0.0", "\x00", strings.Repeat("l", 1<<20)} {
		_, _, err := letters(scan.Selection{})(cursor, 1)
		require.ErrorIs(t, err, api.ErrInvalidConfig, "%.40q", cursor)
		require.Less(t, len(err.Error()), 400)
	}
	for _, s := range []scan.Selection{{Stream: "other"}, {Reason: "r"}, {ID: "1-1"}, {Partitions: []int{1}}} {
		_, _, err := letters(s)(next, 1)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
	}
	_, _, err = i.HoldingsPage(f.ctx, "worker.2", held, 1)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	for _, count := range []int{-1, 1001} {
		_, _, err := letters(scan.Selection{})("", count)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
	}
}

// By its ID one letter, one that is delayed, or one that is stranded is listed, moved or deleted.
func TestSelectionByID(t *testing.T) {
	f := newFleet(t, 3)
	somethingOfEach(f)
	i, ctx := f.inspector(), f.ctx
	var letters []scan.DeadLetter
	for l, err := range i.Letters(ctx, scan.Selection{Partitions: []int{2}}) {
		require.NoError(t, err)
		letters = append(letters, l)
	}
	one := scan.Selection{Partitions: []int{2}, ID: letters[3].ID}
	classes, err := i.CountLetters(ctx, one)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"retries": 1}, classes)
	page, next, err := i.LettersPage(ctx, scan.Selection{ID: one.ID}, "", 10)
	require.NoError(t, err)
	require.Equal(t, letters[3:4], page)
	require.Empty(t, next)
	n, err := i.SendBack(ctx, one)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = i.Drop(ctx, one)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = i.Drop(ctx, scan.Selection{Partitions: []int{2}, ID: letters[0].ID, Stream: letters[0].Stream})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.EqualValues(t, 6, f.Num("XLEN", f.layout.Keys(2).DeadLetters))

	delayed := f.listDelayed(i, scan.Selection{Partitions: []int{0}})
	one = scan.Selection{Partitions: []int{0}, ID: delayed[4].ID}
	require.Equal(t, delayed[4:5], f.listDelayed(i, one))
	some, _, err := i.DelayedPage(ctx, one, "", 10)
	require.NoError(t, err)
	require.Equal(t, delayed[4:5], some)
	moved, gone, err := i.BringForward(ctx, one)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{moved, gone})
	moved, _, err = i.CancelDelayed(ctx, scan.Selection{ID: delayed[1].ID})
	require.NoError(t, err)
	require.Equal(t, 1, moved)
	require.Len(t, f.listDelayed(i, scan.Selection{Partitions: []int{0}}), 4)

	var stranded []string
	for range 3 {
		id := f.announce(1, "lost")
		stranded = append(stranded, id)
		f.read(1, "worker.1", 1)
		f.Do("XACK", f.layout.Keys(1).Input, f.layout.Group(), id)
	}
	waits := f.announce(1, "waits")
	for _, id := range []string{waits, "5-5", strings.TrimSuffix(stranded[0], "-0") + "-7"} {
		for x, err := range i.Stranded(ctx, scan.Selection{ID: id}) {
			require.NoError(t, err)
			require.Fail(t, "stranded", "%v", x)
		}
	}
	one = scan.Selection{Partitions: []int{1}, ID: stranded[1]}
	for x, err := range i.Stranded(ctx, one) {
		require.NoError(t, err)
		require.Equal(t, stranded[1], x.ID)
	}
	moved, err = i.Reannounce(ctx, one)
	require.NoError(t, err)
	require.Equal(t, 1, moved)
	require.EqualValues(t, 4, f.Num("XLEN", f.layout.Keys(1).Input))
	require.Equal(t, stranded[0], f.Stream(f.layout.Keys(1).Input)[0].ID)
}

// An ID that is none is refused by whatever takes a selection: the server would take it for a range.
func TestSelectionRefusesWhatIsNoID(t *testing.T) {
	f := newFleet(t, 1)
	i, ctx := f.inspector(), f.ctx
	for _, id := range []string{"-", "+", "1", "(1-1", "01-1", "1-1 ", "1-*", "\xff", strings.Repeat("9", 30) + "-1"} {
		s := scan.Selection{ID: id}
		_, err1 := i.SendBack(ctx, s)
		_, err2 := i.Drop(ctx, s)
		_, _, err3 := i.BringForward(ctx, s)
		_, _, err4 := i.CancelDelayed(ctx, s)
		_, err5 := i.Reannounce(ctx, s)
		_, _, err6 := i.LettersPage(ctx, s, "", 0)
		_, _, err7 := i.DelayedPage(ctx, s, "", 0)
		for n, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
			require.ErrorIs(t, err, api.ErrInvalidConfig, strconv.Itoa(n))
		}
	}
}
