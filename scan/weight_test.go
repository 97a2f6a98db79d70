package scan

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/servers"
)

// bulky announces a stream with 1 MiB of Info.
func (h *harness) bulky(stream string) string {
	h.t.Helper()
	text, err := lease.EncodeAnnouncement(stream, json.RawMessage(`"`+strings.Repeat("x", 1<<20-2)+`"`))
	require.NoError(h.t, err)
	return h.add(lease.FieldAnnouncement, text)
}

// 300 streams with an Info of 1 MiB whose owner was killed were never recovered: a page of them did not arrive in time, and the
// PINGs of others waited for seconds. Now each script reads a few, and returns names.
func TestHeavyStreamsOfTheDeadAreRecovered(t *testing.T) {
	const n = 60
	h := newHarness(t, func(s *Settings) { s.Page, s.SessionTTL = 256, time.Hour })
	h.open(dead)
	for i := range n {
		h.bulky(fmt.Sprint("s", i))
	}
	small := h.announce("small")
	h.own(dead, n+1)
	h.kill(dead, time.Minute)
	calls := 0
	h.store.run = lease.NewRunner(h.Client, func(script string, _ time.Duration, err error) {
		if script == "claimdead" {
			calls++
		}
	})
	r := recovery{Store: h.store, me: ann, dead: dead}
	page, err := r.page(h.ctx, "-")
	require.NoError(t, err)
	require.Len(t, page, 4, "a page ends at a weight")
	for i := range page {
		require.Equal(t, fmt.Sprint("s", i), page[i].Stream)
		require.True(t, page[i].readable)
		require.Less(t, page[i].Held(), 6000, "what nobody needs is not returned")
		require.Greater(t, page[i].Size, 1<<20)
	}
	calls = 0
	done, err := h.store.Recover(h.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, n+1, done.Entries)
	require.True(t, done.Removed)
	require.Equal(t, n/4+2, calls)
	require.Empty(t, h.Text("GET", h.keys.Lease("s7")), "its lease went with it")
	require.NotEmpty(t, small)
	require.Equal(t, n+1, h.Num("XLEN", h.keys.Input))
}

// The backlog script read 500 announcements of any size at once.
func TestABacklogThatIsTooHeavyIsNotCounted(t *testing.T) {
	h := newHarness(t) // the server's own number is wrong after a deletion
	for range 40 {
		h.bulky("s")
	}
	h.Do("XDEL", h.keys.Input, h.announce("deleted"))
	h.read(ann, 18)
	i, err := NewInspector(h.Client, "shop", InspectorConfig{Partitions: 1})
	require.NoError(t, err)
	all, err := i.Backlog(h.ctx)
	require.NoError(t, err)
	require.Equal(t, []any{22, LagEstimated}, []any{all[0].Lag, all[0].LagBy})
	h.read(ann, 17)
	all, err = i.Backlog(h.ctx)
	require.NoError(t, err)
	require.Equal(t, []any{5, LagCounted}, []any{all[0].Lag, all[0].LagBy})
}

// Looking up an owner, or what a consumer holds, returned every announcement as a whole.
func TestInspectionAnswersNames(t *testing.T) {
	h := newHarness(t)
	h.open(dead)
	for i := range 6 {
		h.bulky(fmt.Sprint("s", i))
	}
	h.own(dead, 6)
	i, err := NewInspector(h.Client, "shop", InspectorConfig{Partitions: 1})
	require.NoError(t, err)
	o, err := i.Owner(h.ctx, "s3")
	require.NoError(t, err)
	require.Equal(t, dead, o.Consumer)
	require.False(t, o.Since.IsZero())
	var streams []string
	for held, err := range i.Holdings(h.ctx, dead) {
		require.NoError(t, err)
		require.True(t, held.Held)
		streams = append(streams, held.Stream)
	}
	require.Equal(t, []string{"s0", "s1", "s2", "s3", "s4", "s5"}, streams)
	page, err := h.store.pendingPage(h.ctx, 0, dead, "-", 100)
	require.NoError(t, err)
	require.Len(t, page, 4)
	require.Less(t, page[0].Held(), 6000)
}

// peak returns the most memory that the server has had in use; a command's answer to a script counts.
func (h *harness) peak() int {
	h.t.Helper()
	info, err := h.server.Info(h.ctx, "memory")
	require.NoError(h.t, err)
	n, err := strconv.Atoi(info["used_memory_peak"])
	require.NoError(h.t, err)
	return n
}

// Pages grew over light announcements up to 500 entries, and then one page of heavy ones blocked the server for seconds.
func TestHeavyBehindLightIsReadAFewAtATime(t *testing.T) {
	const light, heavy, heft, most = 600, 100, 256 << 10, 8 << 20
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			h := harnessOn(t, servers.New(t, servers.On(program)), func(s *Settings) { s.SessionTTL = time.Hour })
			i, err := NewInspector(h.Client, "shop", InspectorConfig{Partitions: 1, Page: 1000, Timeout: time.Minute})
			require.NoError(t, err)
			announce := func() {
				for range light {
					h.announce("s")
				}
				for range heavy {
					h.announce("s", "more", strings.Repeat("x", heft))
				}
			}
			announce()
			var pending []string
			for len(pending) < light+heavy {
				page, err := h.leases.Read(h.ctx, 0, ann, 100, time.Millisecond)
				require.NoError(t, err)
				for n := range page {
					pending = append(pending, page[n].ID)
				}
			}
			announce()
			h.Do("XDEL", h.keys.Input, h.announce("deleted")) // the server's own number is wrong from there on
			before := h.peak()
			all, err := i.Backlog(h.ctx)
			require.NoError(t, err)
			require.Equal(t, []any{light + heavy, LagEstimated}, []any{all[0].Lag, all[0].LagBy}, "too heavy on either side")
			require.Equal(t, []int{2 * (light + heavy), light + heavy}, []int{all[0].Length, all[0].Pending})
			require.Less(t, h.peak()-before, most)

			h.Do(append([]string{"XACK", h.keys.Input, h.layout.Group()}, pending...)...)
			before = h.peak()
			var stranded []string
			for x, err := range i.Stranded(h.ctx, Selection{}) {
				require.NoError(t, err)
				stranded = append(stranded, x.ID)
			}
			require.Equal(t, pending, stranded)
			require.Less(t, h.peak()-before, most)
		})
	}
}
