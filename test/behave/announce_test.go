package behave_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// TestPlainXADDFromTheCommandLineIsTaken: producers need no library, and Info arrives byte for byte.
func TestPlainXADDFromTheCommandLineIsTaken(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	infos := map[string]string{
		"user-1":   `{"k":"v"}`,
		"blanks":   `{ "b" : 1.0,  "a":  "\u00e9\/",` + "\n\t" + `"n": 12345678901234567890, "b":2 }`,
		"nested":   `{"a":[{"b":{"c":[]}}],"<&>":"<&>"}`,
		"unicode":  `{"ключ":"値 🙂"}`,
		"a number": `1e400`,
		"a text":   `"plain"`,
		"a list":   `[1,"2",null]`,
		"false":    `false`,
	}
	add := func(stream, info string) {
		id := h.cli(t, h.layout.Keys(0).Slot, "", "XADD", h.service+"-input", "*", "lbs-input", `{"DataStreamName":"`+stream+`"`+info+`}`)
		require.Contains(t, id, "-")
	}
	// Some are announced before there is a consumer, or a group: nothing may be lost.
	early := true
	var m *member
	for stream, info := range infos {
		add(stream, `,"Info":`+info)
		if early {
			early = false
			m = h.start("a", nil)
		}
	}
	add("without", "")
	add("null", `,"Info":null`)
	infos["without"], infos["null"] = "{}", "{}"
	for stream, info := range infos {
		l := m.lease(stream, 1)
		require.Equal(t, info, string(l.Info()), "info of %s", stream)
		require.Equal(t, stream, l.Stream())
		require.Zero(t, l.Attempt())
		require.Positive(t, l.Remaining())
	}
	n := len(infos)
	h.stateIs(state{Input: n, Pending: n, Leases: n, Sessions: 1, Consumers: 1})
	require.Len(t, h.held(), n)
	for stream := range infos {
		require.NoError(t, m.lease(stream, 1).Done(context.Background()))
		require.Equal(t, 1, m.notifiedOf(stream, api.Added))
	}
	h.stateIs(state{Sessions: 1, Consumers: 1})
	require.NoError(t, m.shutdown())
	h.stateIs(state{})
}

// TestAnnouncementsReachTheirPartition: producers that know nothing of partitions announce in the first one. Each stream is owned
// once, in its own partition.
func TestAnnouncementsReachTheirPartition(t *testing.T) {
	t.Parallel()
	const n = 1000
	h := newHarnessOf(t, 4)
	var commands strings.Builder
	streams := names("user", n)
	perPartition := make([]int, 4)
	for i, s := range streams {
		perPartition[h.layout.Of(s)]++
		fmt.Fprintf(&commands, "XADD %s-input * lbs-input '{\"DataStreamName\":\"%s\",\"Info\":{\"n\":%d}}'\n", h.service, s, i)
		if i == n/2 {
			h.cli(t, h.layout.Keys(0).Slot, commands.String())
			commands.Reset()
		}
	}
	a := h.start("a", nil)
	b := h.start("b", nil)
	h.cli(t, h.layout.Keys(0).Slot, commands.String())
	until(t, "all are owned", func() bool { return a.notified(api.Added)+b.notified(api.Added) == n })
	h.stateIs(state{Input: n, Pending: n, Leases: n, Sessions: 2, Consumers: 2})
	held := h.held()
	for i, s := range streams {
		require.Equal(t, 1, a.notifiedOf(s, api.Added)+b.notifiedOf(s, api.Added), "owners of %s", s)
		owner := a
		if a.notifiedOf(s, api.Added) == 0 {
			owner = b
		}
		l := owner.lease(s, 1)
		require.JSONEq(t, fmt.Sprintf(`{"n":%d}`, i), string(l.Info()))
		require.Equal(t, uint64(l.Token()), held[s].token)
		require.Equal(t, l.Entry(), held[s].entry)
	}
	for p, want := range perPartition {
		require.Positive(t, want)
		length, err := h.do("XLEN", h.layout.Keys(p).Input).AsInt64()
		require.NoError(t, err)
		require.EqualValues(t, want, length, "entries in partition %d", p)
	}
	until(t, "all forwarded entries are counted", func() bool {
		return a.metric("forwarded_total")+b.metric("forwarded_total") == float64(n-perPartition[0])
	})
	for _, m := range []*member{a, b} {
		for s := range m.owned() {
			require.NoError(t, m.lease(s, 1).Done(context.Background()))
		}
	}
	h.stateIs(state{Sessions: 2, Consumers: 2})
}

// TestNotBeforeOfProducersIsKept: an announcement is not handed out before its time on the server's clock.
func TestNotBeforeOfProducersIsKept(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ms := func(at time.Time) string { return strconv.FormatInt(at.UnixMilli(), 10) }
	now := h.serverTime()
	soon := now.Add(1500 * time.Millisecond)
	arrived := make(chan time.Time, 1)
	m := h.start("a", api.Funcs{Added: func(_ context.Context, n api.Notification) error {
		if n.Stream == "soon" {
			arrived <- h.serverTime()
		}
		return nil
	}})
	h.add("lbs-input", announcementOf("past", nil), "_not_before", ms(now.Add(-time.Hour)))
	h.add("lbs-input", announcementOf("never mind", nil), "_not_before", "0")
	h.add("_not_before", ms(soon), "lbs-input", announcementOf("soon", 7))
	h.add("lbs-input", announcementOf("tomorrow", nil), "_not_before", ms(now.Add(24*time.Hour)), "mine", "kept")
	m.lease("past", 1)
	m.lease("never mind", 1)
	at := receive(t, "soon is added", arrived)
	require.False(t, at.Before(soon.Truncate(time.Millisecond)), "added at %v, not before %v", at, soon)
	require.Equal(t, "7", string(m.lease("soon", 1).Info()))
	require.Zero(t, m.lease("soon", 1).Attempt(), "waiting does not count as a retry")

	h.stateIs(state{Input: 3, Pending: 3, Leases: 3, Sessions: 1, Consumers: 1, Later: 1})
	due := h.later()
	require.Equal(t, ms(now.Add(24*time.Hour)), strconv.FormatFloat(due[0].Score, 'f', 0, 64))
	require.Contains(t, due[0].Member, "mine", "fields of the producer are kept")
	require.Zero(t, m.notifiedOf("tomorrow", api.Added))
	require.NoError(t, m.shutdown())
	h.stateIs(state{Input: 3, Later: 1})
}
