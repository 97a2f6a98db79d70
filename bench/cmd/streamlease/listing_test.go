package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
)

// hostileNames are what producers may call streams. What is not UTF-8 cannot come by an announcement, which is JSON.
var hostileNames = []string{
	"\x1b[2J\x1b]0;title\x07", "line\nbreak\r\ttab", "right\u202eleft\u2066", "\u009b31m", "<b>&'\"\\", "-json", "help", " ", "e\u0301\u200d",
	strings.Repeat("long ", 13_000) + "\x1b",
}

// announceHostile announces streams of all hostile names. What begins with another prefix ends otherwise.
func (f *fleet) announceHostile(prefixes ...string) (names []string) {
	f.T.Helper()
	for _, prefix := range prefixes {
		for _, name := range hostileNames {
			names = append(names, prefix+name)
		}
	}
	f.publish(names...)
	return names
}

// streams returns the names of what has one.
func streams[T any](all []T, name func(T) string) (names []string) {
	for _, one := range all {
		names = append(names, name(one))
	}
	return names
}

func TestHoldings(t *testing.T) {
	f := newFleet(t, "a")
	names := f.announceHostile("")
	f.settled(len(names), 0, 0)
	id := f.engines["a"].ID()
	all := decoded[[]holding](f, statusDone, "holdings", id)
	require.ElementsMatch(t, names, streams(all, func(h holding) string { return h.Stream }))
	require.True(t, all[0].Held)
	require.NotZero(t, all[0].Token)
	require.NotNil(t, all[0].Until)
	require.Equal(t, all, sameTimes(all, decoded[[]holding](f, statusDone, "holdings", "a", "-limit", "0")), "by consumer ID")

	text := f.table("holdings", "a")
	require.Contains(t, text, `"line\nbreak\r\ttab"`)
	require.Contains(t, row(t, text, "help"), "help held ")
	require.Contains(t, row(t, text, "10 announcements"), " 10 held")
	require.Contains(t, f.table("holdings", "a", "-limit", "3"), "3 announcements of "+number(len(names))+" (-limit)")

	status, _, errs := f.call("holdings", "nope\x1b[2J")
	require.Equal(t, statusNothing, status)
	require.Contains(t, errs, `no consumer is called "nope\x1b[2J"`)
	for _, args := range [][]string{{"holdings"}, {"holdings", "a", "b"}} {
		status, _, _ = f.call(args...)
		require.Equal(t, statusUsage, status)
	}
	f.Do("FLUSHALL")
}

// sameTimes puts the times of one list, which pass, into another.
func sameTimes(from, to []holding) []holding {
	for n := range to {
		to[n].Idle, to[n].Until = from[n].Idle, from[n].Until
	}
	return to
}

func TestLaterAndDeadLetters(t *testing.T) {
	f := newFleet(t, "a")
	require.Equal(t, "Nothing is delayed.\n", f.table("later", "list"))
	require.Equal(t, "No dead letters.\n", f.table("dlq", "list"))
	require.Equal(t, "No dead letters.\n", f.table("dlq", "count"))
	require.Empty(t, decoded[[]delayed](f, statusDone, "later", "list"))
	require.Empty(t, decoded[[]deadLetter](f, statusDone, "dlq", "list"))

	f.announceHostile("bad", "snooze")
	n := len(hostileNames)
	f.settled(0, n, n)
	f.Do("XADD", "shop-input", "*", "lbs-input", "{\x1b\xff")
	_, err := f.publisher.Publish(t.Context(), "soon", map[string]string{"k": "v\u202e"}, engine.WithNotBefore(time.Now().Add(time.Minute)))
	require.NoError(t, err)
	f.settled(0, n+1, n+1)

	lates := decoded[[]delayed](f, statusDone, "later", "list")
	require.ElementsMatch(t, append(streams(hostileNames, func(s string) string { return "snooze" + s }), "soon"),
		streams(lates, func(d delayed) string { return d.Stream }))
	require.Equal(t, "soon", lates[0].Stream, "the first due first, of all partitions")
	require.JSONEq(t, `{"k":"v\u202e"}`, string(lates[0].Info))
	text := f.table("later", "list", "-limit", "2")
	require.Contains(t, row(t, text, "in 5"), " s soon 0 0 ")
	require.Contains(t, text, "2 delayed announcements of "+number(n+1)+" (-limit)")
	require.Len(t, decoded[[]delayed](f, statusDone, "later", "list", "-stream", "snooze"+hostileNames[0]), 1)
	require.Empty(t, decoded[[]delayed](f, statusNothing, "later", "list", "-stream", "nope"))

	letters := decoded[[]deadLetter](f, statusDone, "dlq", "list")
	require.Len(t, letters, n+1)
	require.Equal(t, []string{"malformed", ""}, []string{letters[0].Class, letters[0].Stream}, "the newest first, of all partitions")
	text = f.table("dlq", "list")
	require.Contains(t, text, unreadable)
	require.Contains(t, text, `permanent: the handler\x1b[31m says no`)
	require.Len(t, decoded[[]deadLetter](f, statusDone, "dlq", "list", "-reason", "permanent", "-limit", "0"), n)
	require.Empty(t, decoded[[]deadLetter](f, statusNothing, "dlq", "list", "-reason", "crashes"))
	require.Contains(t, row(t, f.table("dlq", "count"), "permanent"), "permanent "+number(n))
	require.Len(t, decoded[[]map[string]any](f, statusDone, "dlq", "count"), 2)

	last := decoded[[]deadLetter](f, statusDone, "dlq", "list", "-stream", "badhelp")[0]
	one := decoded[[]deadLetter](f, statusDone, "dlq", "show", last.ID, "-partition", strconv.Itoa(last.Partition))
	require.Equal(t, "badhelp", one[0].Stream)
	require.Equal(t, "lbs-input", one[0].Body[0].Field)
	text = f.table("dlq", "show", "-stream", "badhelp")
	require.Contains(t, row(t, text, "reason"), `permanent: the handler\x1b[31m says no`)
	require.Contains(t, row(t, text, "last owner"), f.engines["a"].ID())
	broken := decoded[[]deadLetter](f, statusDone, "dlq", "show", letters[0].ID)
	require.Contains(t, streams(broken[0].Body, func(b bodyField) string { return string(b.Bytes) }), "{\x1b\xff")
	f.table("dlq", "show", letters[0].ID)

	status, _, errs := f.call("dlq", "show", "1-1")
	require.Equal(t, statusNothing, status)
	require.Contains(t, errs, "no dead letter [1-1]")
	for _, args := range [][]string{
		{"dlq"}, {"dlq", "show"}, {"dlq", "show", "x"}, {"dlq", "show", "1-1", "-stream", "x"}, {"dlq", "list", "-reason", ""}, {"later", "list", "-stream", ""},
		{"later", "list", "-partition", "2"},
	} {
		want := statusUsage
		if len(args) == 1 {
			want = statusDone // help
		}
		status, out, errs := f.call(args...)
		require.Equal(t, want, status, "%q: %s%s", args, out, errs)
	}
}

// Items of several partitions come in one order, and no more than asked for.
func TestFirst(t *testing.T) {
	held := map[int][]int{0: {1, 4, 7, 10}, 2: {2, 3, 11}, 5: {5}}
	read := func(_ context.Context, s scan.Selection, cursor string, count int) (page []int, next string, err error) {
		from, _ := strconv.Atoi(cursor)
		mine := held[s.Partitions[0]]
		to := min(from+min(count, 2), len(mine))
		if to < len(mine) {
			next = strconv.Itoa(to)
		}
		return mine[from:to], next, nil
	}
	order := func(a, b int) int { return a - b }
	for most, want := range map[int][]int{0: {1, 2, 3, 4, 5, 7, 10, 11}, 3: {1, 2, 3}, 8: {1, 2, 3, 4, 5, 7, 10, 11}} {
		some, more, err := first(t.Context(), scan.Selection{}, []int{0, 2, 5}, most, read, order)
		require.NoError(t, err)
		require.Equal(t, want, some)
		require.Equal(t, most == 3, more)
	}
	some, more, err := first(t.Context(), scan.Selection{Partitions: []int{2}}, []int{0, 2, 5}, 2, read, order)
	require.NoError(t, err)
	require.Equal(t, []int{2, 3}, some)
	require.True(t, more)
	require.Nil(t, infoOf(json.RawMessage("{")))
}
