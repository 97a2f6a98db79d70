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
func (w *ward) bulky(stream string) string {
	w.t.Helper()
	text, err := lease.EncodeAnnouncement(stream, json.RawMessage(`"`+strings.Repeat("x", 1<<20-2)+`"`))
	require.NoError(w.t, err)
	return w.add(lease.FieldAnnouncement, text)
}

// 300 streams with an Info of 1 MiB whose owner was killed were never recovered: a page of them did not arrive in time, and
// others' PING waited for seconds. Now each script reads a few, and answers names.
func TestHeavyStreamsOfTheDeadAreRecovered(t *testing.T) {
	const n = 60
	w := newWard(t, func(s *Settings) { s.Page, s.SessionTTL = 256, time.Hour })
	w.open(dead)
	for i := range n {
		w.bulky(fmt.Sprint("s", i))
	}
	small := w.announce("small")
	w.own(dead, n+1)
	w.kill(dead, time.Minute)
	calls := 0
	w.store.run = lease.NewRunner(w.Client, func(script string, _ time.Duration, err error) {
		if script == "claimdead" {
			calls++
		}
	})
	r := recovery{Store: w.store, me: ann, dead: dead}
	page, err := r.page(w.ctx, "-")
	require.NoError(t, err)
	require.Len(t, page, 4, "a page ends at a weight")
	for i := range page {
		require.Equal(t, fmt.Sprint("s", i), page[i].Stream)
		require.True(t, page[i].readable)
		require.Less(t, page[i].Held(), 6000, "what nobody needs is not answered")
		require.Greater(t, page[i].Size, 1<<20)
	}
	calls = 0
	done, err := w.store.Recover(w.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, n+1, done.Entries)
	require.True(t, done.Removed)
	require.Equal(t, n/4+2, calls)
	require.Empty(t, w.Text("GET", w.keys.Lease("s7")), "its lease went with it")
	require.NotEmpty(t, small)
	require.Equal(t, n+1, w.Num("XLEN", w.keys.Input))
}

// A look at the backlog read 500 announcements of any size at once.
func TestABacklogThatIsTooHeavyIsNotCounted(t *testing.T) {
	w := newWard(t) // the server's own number is wrong after a deletion
	for range 40 {
		w.bulky("s")
	}
	w.Do("XDEL", w.keys.Input, w.announce("deleted"))
	w.read(ann, 18)
	i, err := NewInspector(w.Client, "shop", InspectorConfig{Partitions: 1})
	require.NoError(t, err)
	all, err := i.Backlog(w.ctx)
	require.NoError(t, err)
	require.Equal(t, []any{-1, LagUnknown}, []any{all[0].Lag, all[0].LagBy})
	w.read(ann, 17)
	all, err = i.Backlog(w.ctx)
	require.NoError(t, err)
	require.Equal(t, []any{5, LagCounted}, []any{all[0].Lag, all[0].LagBy})
}

// Looking at one owner, or at what one holds, answered all of every announcement.
func TestInspectionAnswersNames(t *testing.T) {
	w := newWard(t)
	w.open(dead)
	for i := range 6 {
		w.bulky(fmt.Sprint("s", i))
	}
	w.own(dead, 6)
	i, err := NewInspector(w.Client, "shop", InspectorConfig{Partitions: 1})
	require.NoError(t, err)
	o, err := i.Owner(w.ctx, "s3")
	require.NoError(t, err)
	require.Equal(t, dead, o.Consumer)
	require.False(t, o.Since.IsZero())
	var streams []string
	for h, err := range i.Holdings(w.ctx, dead) {
		require.NoError(t, err)
		require.True(t, h.Held)
		streams = append(streams, h.Stream)
	}
	require.Equal(t, []string{"s0", "s1", "s2", "s3", "s4", "s5"}, streams)
	page, err := w.store.pendingPage(w.ctx, 0, dead, "-", 100)
	require.NoError(t, err)
	require.Len(t, page, 4)
	require.Less(t, page[0].Held(), 6000)
}

// peak is the most memory that the server has had in use; what a command answers a script counts.
func (w *ward) peak() int {
	w.t.Helper()
	info, err := w.server.Info(w.ctx, "memory")
	require.NoError(w.t, err)
	n, err := strconv.Atoi(info["used_memory_peak"])
	require.NoError(w.t, err)
	return n
}

// Pages grew over light announcements up to 500 entries, and one of heavy ones behind those held up the server for seconds.
func TestHeavyBehindLightIsReadAFewAtATime(t *testing.T) {
	const light, heavy, heft, most = 600, 100, 256 << 10, 8 << 20
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			w := wardOn(t, servers.New(t, servers.On(program)), func(s *Settings) { s.SessionTTL = time.Hour })
			i, err := NewInspector(w.Client, "shop", InspectorConfig{Partitions: 1, Page: 1000, Timeout: time.Minute})
			require.NoError(t, err)
			announce := func() {
				for range light {
					w.announce("s")
				}
				for range heavy {
					w.announce("s", "more", strings.Repeat("x", heft))
				}
			}
			announce()
			var pending []string
			for len(pending) < light+heavy {
				page, err := w.leases.Read(w.ctx, 0, ann, 100, time.Millisecond)
				require.NoError(t, err)
				for n := range page {
					pending = append(pending, page[n].ID)
				}
			}
			announce()
			w.Do("XDEL", w.keys.Input, w.announce("deleted")) // the server's own number is wrong from there on
			before := w.peak()
			all, err := i.Backlog(w.ctx)
			require.NoError(t, err)
			require.Equal(t, []any{-1, LagUnknown}, []any{all[0].Lag, all[0].LagBy}, "too heavy on either side")
			require.Equal(t, []int{2 * (light + heavy), light + heavy}, []int{all[0].Length, all[0].Pending})
			require.Less(t, w.peak()-before, most)

			w.Do(append([]string{"XACK", w.keys.Input, w.layout.Group()}, pending...)...)
			before = w.peak()
			var stranded []string
			for x, err := range i.Stranded(w.ctx, Selection{}) {
				require.NoError(t, err)
				stranded = append(stranded, x.ID)
			}
			require.Equal(t, pending, stranded)
			require.Less(t, w.peak()-before, most)
		})
	}
}
