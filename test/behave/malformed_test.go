package behave_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
)

// wide returns n fields of a producer's own.
func wide(n int) (fields []string) {
	for i := range n {
		fields = append(fields, fmt.Sprintf("f%d", i), strconv.Itoa(i))
	}
	return fields
}

// TestMalformedAnnouncementsAreDeadLetters: each with a reason and its own fields. The valid ones around them are taken.
//
// In the library that this one replaces one malformed announcement stopped the reader forever.
func TestMalformedAnnouncementsAreDeadLetters(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	binary := "\x00\xff\xfe\r\n*1\x80"
	big := announcementOf(strings.Repeat("n", 1<<20), nil)
	cases := []struct {
		name   string
		fields []string
		reason string
	}{
		{"no field of ours", []string{"other", "x"}, "no field lbs-input"},
		{"field in capitals", []string{"LBS-INPUT", announcementOf("x", nil)}, "no field lbs-input"},
		{"empty", []string{"lbs-input", ""}, "not an announcement"},
		{"no JSON", []string{"lbs-input", "user-1"}, "not an announcement"},
		{"cut off", []string{"lbs-input", `{"DataStreamName":"x"`}, "not an announcement"},
		{"two values", []string{"lbs-input", `{"DataStreamName":"x"}{}`}, "not an announcement"},
		{"empty name", []string{"lbs-input", `{"DataStreamName":""}`}, "DataStreamName"},
		{"no name", []string{"lbs-input", `{"Info":{"a":1}}`}, "DataStreamName"},
		{"name of 1 MB", []string{"lbs-input", big, "mine", "kept"}, "DataStreamName"},
		{"binary", []string{"lbs-input", binary, binary, binary}, "not UTF-8"},
		{"binary in JSON", []string{"lbs-input", `{"DataStreamName":"` + "\xff" + `"}`}, "not UTF-8"},
		{"a number for a name", []string{"lbs-input", `{"DataStreamName":5}`}, "not an announcement"},
		{"a list for a name", []string{"lbs-input", `{"DataStreamName":["x"]}`}, "not an announcement"},
		{"null for a name", []string{"lbs-input", `{"DataStreamName":null}`}, "DataStreamName"},
		{"a list", []string{"lbs-input", `[{"DataStreamName":"x"}]`}, "not an announcement"},
		{"a text", []string{"lbs-input", `"x"`}, "not an announcement"},
		{"null", []string{"lbs-input", `null`}, "DataStreamName"},
		{"no time", []string{"lbs-input", announcementOf("x", nil), "_not_before", "soon"}, "_not_before"},
		{"a broken time", []string{"lbs-input", announcementOf("x", nil), "_not_before", "1.5"}, "_not_before"},
		{"a negative time", []string{"lbs-input", announcementOf("x", nil), "_not_before", "-1"}, "_not_before"},
		{"a time beyond all limits", []string{"lbs-input", announcementOf("x", nil), "_not_before", "9223372036854775807"}, "_not_before"},
		{"5,000 fields of others", wide(5000), "no field lbs-input"},
	}
	var m *member
	for i, c := range cases {
		h.announce(fmt.Sprintf("good-%d", i))
		h.add(c.fields...)
		if i == len(cases)/2 {
			m = h.start("a", nil)
		}
	}
	h.announce("the last")
	m.lease("the last", 1)
	n := len(cases) + 1
	h.stateIs(state{Input: n, Pending: n, Leases: n, Sessions: 1, Consumers: 1, Dead: len(cases)})
	m.holds(n)
	for i := range cases {
		require.Equal(t, 1, m.notifiedOf(fmt.Sprintf("good-%d", i), api.Added))
	}
	require.Len(t, h.held(), n)
	letters := h.deadLetters() // in the order in which they were announced
	for i, c := range cases {
		l := letters[i]
		require.True(t, strings.HasPrefix(l["_reason"], "malformed: "), "%s: %.80s", c.name, l["_reason"])
		require.Contains(t, l["_reason"], c.reason, c.name)
		require.Less(t, len(l["_reason"]), 2000, c.name)
		require.NotEmpty(t, l["_original_id"], c.name)
		require.Equal(t, m.engine.ID(), l["_last_owner"], c.name)
		require.NotEmpty(t, l["_dead_at"], c.name)
		if len(c.fields) > 1000 {
			continue // more than can be copied
		}
		for j := 0; j < len(c.fields); j += 2 {
			if c.fields[j] != "_not_before" {
				require.Equal(t, c.fields[j+1], l[c.fields[j]], "%s: field %.20q", c.name, c.fields[j])
			}
		}
	}
	m.awaitCount(len(cases), "dead_letters_total", "reason", "malformed")
	require.NoError(t, m.shutdown())
	h.stateIs(state{Input: n, Dead: len(cases)})
}

// TestAnnouncementWithTooManyFieldsToCopy: no script can requeue it, so no engine takes it: it becomes a dead letter with as
// much as can be kept. What the limits allow can be copied, however it ends.
func TestAnnouncementWithTooManyFieldsToCopy(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	m := h.start("a", nil, engine.WithLimits(engine.Limits{MaxFields: lease.MaxMaxFields}))
	h.add(append([]string{"lbs-input", announcementOf("too many", 1)}, wide(4999)...)...)
	for _, s := range []string{"done", "release", "fail", "shutdown"} {
		h.add(append([]string{"lbs-input", announcementOf(s, 1)}, wide(lease.MaxMaxFields-8)...)...)
	}
	require.NoError(t, m.lease("done", 1).Done(ctx))
	require.NoError(t, m.lease("release", 1).Release(ctx))
	require.NoError(t, m.lease("release", 2).Fail(ctx, api.Permanent(errWork)))
	require.NoError(t, m.lease("fail", 1).Fail(ctx, errWork))
	m.lease("shutdown", 1)
	require.NoError(t, m.shutdown())
	letters := h.deadLetters()
	require.Len(t, letters, 2)
	slices.SortFunc(letters, func(a, b letter) int { return len(a) - len(b) })
	require.Contains(t, letters[0]["_reason"], "too_large")
	require.Equal(t, announcementOf("too many", 1), letters[0]["lbs-input"])
	require.Less(t, len(letters[0]), 20)
	require.Contains(t, letters[1]["_reason"], "permanent")
	require.Greater(t, len(letters[1]), lease.MaxMaxFields-8)
}
