package schedule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

func at(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

func TestStatus(t *testing.T) {
	row := record.Row{Rev: 9, Born: 100_000, Since: 100_000, Trigger: 8, Definition: record.Definition{Every: 60_000, Phase: 5_000, First: uint8(OnGrid)}}
	status := func(checkpoint, owner string, now int64) Status {
		return statusOf("a", row.Encode(), checkpoint, owner, now*1000)
	}
	s := status("", "", 101)
	require.Equal(t, Status{Spec: Spec{Name: "a", Every: time.Minute, Offset: 5 * time.Second, First: OnGrid}, Rev: 9, Created: at(100), Next: at(125),
		Following: [3]time.Time{at(185), at(245), at(305)}, Triggered: true}, s)

	c := record.Checkpoint{Born: 100_000, Last: 185_000, Number: 2, Trigger: 8, Missed: 3, State: []byte("x")}
	s = status("7 v "+c.Encode(), "alice.1 7 1-1", 186)
	require.Equal(t, []any{at(185), at(245), uint64(2), 3, false, "x", "alice.1", api.Token(7)},
		[]any{s.Last, s.Next, s.Number, s.Missed, s.Triggered, string(s.State), s.Owner, s.Token})

	c.Born = 1
	s = status("7 v "+c.Encode(), "?", 500)
	require.Equal(t, []any{time.Time{}, at(545), uint64(0), ""}, []any{s.Last, s.Next, s.Number, s.Owner}, "a checkpoint of another incarnation")

	s = status("7 v ", "", 101)
	require.NoError(t, s.Err)
	s = status("7 v other", "", 101)
	require.ErrorContains(t, s.Err, `the checkpoint of "a" cannot be read`)
	require.ErrorContains(t, status("what", "", 101).Err, "BADCHECKPOINT")

	row.Paused, row.Note, row.Dead = true, "note", true
	s = status("", "", 101)
	require.Equal(t, []any{true, "note", true, time.Time{}}, []any{s.Paused, s.Note, s.DeadLetter, s.Next})
	require.False(t, status("", "alice.1 7 1-1", 101).DeadLetter, "it is owned")

	row.Paused, row.Definition = false, record.Definition{Cron: "never", Info: json.RawMessage("1")}
	s = status("", "", 101)
	require.ErrorIs(t, s.Err, ErrSpec)
	require.Equal(t, "never", s.Spec.Cron)
	row.Definition = record.Definition{Every: 60_000, End: 200_000, First: uint8(OnGrid)}
	s = status("", "", 101)
	require.Equal(t, []any{at(120), [3]time.Time{at(180)}}, []any{s.Next, s.Following})
	row.First = 0
	s = status("", "", 100)
	require.True(t, s.Next.Before(at(110)), "the first tick comes soon")
}

// Everything that is shown, on a real server.
func TestGet(t *testing.T) {
	w := newTableWorld(t)
	w.puts(Spec{Name: "a", Every: time.Minute, Info: map[string]int{"x": 1}})
	r := w.row("a")
	c := record.Checkpoint{Born: r.Born, Last: r.Born, Number: 1, State: []byte("\x00state")}
	w.do("HSET", w.keys.Checkpoints, "sa", "7 v "+c.Encode())
	w.do("SET", w.keys.Lease("a"), "alice.1 7 1-1")
	s, err := w.Get(w.ctx, "a")
	require.NoError(t, err)
	require.Equal(t, []any{"alice.1", api.Token(7), "\x00state", timeOf(r.Born)}, []any{s.Owner, s.Token, string(s.State), s.Last})
	require.True(t, s.Next.After(s.Last))
	x, err := DecodeInfo[map[string]int](&s.Spec)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"x": 1}, x)
	require.Equal(t, "unchanged", w.puts(s.Spec))
	_, err = w.Get(w.ctx, "")
	require.ErrorIs(t, err, api.ErrInvalidStream)
}

// While a slot migrates, a script with several leases is refused.
func TestOwnersWhileASlotMigrates(t *testing.T) {
	w := newTableWorld(t)
	w.puts(many(0, 3)...)
	w.do("SET", w.keys.Lease("s000001"), "alice.1 7 1-1")
	p := w.behindProxy()
	defer p.Inject(proxy.Fault{Command: "owners", Action: proxy.ReplyError, Error: "TRYAGAIN Multiple keys request during rehashing of slot",
		Match: func(args [][]byte) bool { return string(args[2]) != "1" }})()
	page, next, err := w.Page(w.ctx, "", 0)
	require.NoError(t, err)
	require.Empty(t, next)
	owners := map[string]string{}
	for _, s := range page {
		owners[s.Spec.Name] = s.Owner
	}
	require.Equal(t, map[string]string{"s000000": "", "s000001": "alice.1", "s000002": ""}, owners)
}

func TestPagesOfAnEmptyTable(t *testing.T) {
	w := newTableWorld(t)
	page, next, err := w.Page(w.ctx, "", 10)
	require.NoError(t, err)
	require.Empty(t, page)
	require.Empty(t, next)
	for range w.List(w.ctx, Filter{}) {
		t.Fatal("there is none")
	}
	for _, cursor := range []string{"x", "1.0", "-1.0", "0", "0.", "0.x", "0.-1"} {
		_, _, err := w.Page(w.ctx, cursor, 10)
		require.ErrorIs(t, err, api.ErrInvalidConfig, cursor)
	}
	for _, count := range []int{-1, MaxPage + 1} {
		_, _, err := w.Page(w.ctx, "", count)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
	}
}

// Twenty thousand schedules in three partitions are listed page by page, each at least once, whatever is deleted and put meanwhile.
func TestListOfTwentyThousand(t *testing.T) {
	const total, chunk = 20_000, 200
	w := newTableWorld(t)
	w.Table = newTestTable(t, w.client, engine.WithPartitions(3))
	began := time.Now()
	_, err := w.Put(w.ctx, many(0, total)...)
	require.NoError(t, err)
	t.Logf("put in %v", time.Since(began))
	began = time.Now()
	seen := make(map[string]bool, total)
	for s, err := range w.List(w.ctx, Filter{}) {
		require.NoError(t, err)
		require.NoError(t, s.Err)
		seen[s.Spec.Name] = true
	}
	t.Logf("listed in %v", time.Since(began))
	require.Len(t, seen, total)

	clear(seen)
	pages, deleted := 0, many(0, total/10)
	for cursor := ""; ; {
		page, next, err := w.Page(w.ctx, cursor, MaxPage)
		require.NoError(t, err)
		for _, s := range page {
			seen[s.Spec.Name] = true
		}
		if pages++; pages < 10 {
			names := make([]string, chunk)
			for i, s := range deleted[(pages-1)*chunk : pages*chunk] {
				names[i] = s.Name
			}
			_, err := w.Delete(w.ctx, names)
			require.NoError(t, err)
			_, err = w.Put(w.ctx, many(total*pages, total*pages+chunk)...)
			require.NoError(t, err)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	for _, s := range many(total/10, total) {
		require.True(t, seen[s.Name], s.Name)
	}
}

func TestFilters(t *testing.T) {
	w := newTableWorld(t)
	w.puts(Spec{Name: "a1", Every: time.Minute}, Spec{Name: "a2", Every: time.Minute}, Spec{Name: "b", Every: time.Minute}, Spec{Name: "bad", Every: time.Minute})
	require.NoError(t, w.Pause(w.ctx, "", "a2", "b"))
	w.do("SET", w.keys.Lease("a2"), "alice.1 7 1-1")
	w.do("HSET", w.keys.Schedules, "bad", "x")
	for want, f := range map[string]Filter{
		"a1 a2 b bad": {}, "a1 a2": {Prefix: "a"}, "a2 b": {Paused: true}, "a1 b bad": {Unowned: true}, "b": {Prefix: "b", Paused: true, Unowned: true},
		"bad": {Failing: true},
	} {
		found := map[string]bool{}
		for s, err := range w.List(w.ctx, f) {
			require.NoError(t, err)
			found[s.Spec.Name] = true
		}
		require.Len(t, found, len(strings.Fields(want)), want)
		for _, name := range strings.Fields(want) {
			require.True(t, found[name], "%s of %s", name, want)
		}
	}
	for range w.List(w.ctx, Filter{}) {
		break
	}
	require.NoError(t, w.server.Kill())
	n := 0
	for _, err := range w.List(w.ctx, Filter{}) {
		require.Error(t, err)
		n++
	}
	require.Equal(t, 1, n)
}

func TestSync(t *testing.T) {
	w := newTableWorld(t)
	specs := many(0, 6000)
	sync := func(specs []Spec, opts ...SyncOption) Synced {
		t.Helper()
		done, err := w.Sync(w.ctx, slices.Values(specs), opts...)
		require.NoError(t, err)
		return done
	}
	require.Equal(t, Synced{Created: 6000}, sync(specs))
	specs = specs[:5000]
	specs[7].Every = time.Hour
	require.Equal(t, Synced{Edited: 1, Unchanged: 4999}, sync(specs))
	require.Equal(t, Synced{Unchanged: 5000, Deleted: 1000}, sync(specs, Prune()))
	require.Len(t, w.names(), 5000)
	require.Equal(t, Synced{Unchanged: 99, Edited: 1}, sync(append(specs[:100:100], Spec{Name: specs[9].Name, Every: time.Hour})), "the last one counts")

	_, err := w.Sync(w.ctx, slices.Values([]Spec(nil)), Prune())
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	_, err = w.Sync(w.ctx, slices.Values(specs), nil)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.Equal(t, Synced{}, sync(nil))

	done, err := w.Sync(w.ctx, slices.Values([]Spec{{Name: specs[0].Name}, {Name: "new", Every: time.Second}}), Prune())
	require.ErrorIs(t, err, ErrSpec)
	require.Equal(t, Synced{Created: 1, Deleted: 4999}, done)
	require.Equal(t, []string{"new", specs[0].Name}, w.names(), "what was refused stays as it was")
}

// After calls without an answer nothing is deleted.
func TestSyncThatIsNotAnsweredDeletesNothing(t *testing.T) {
	w := newTableWorld(t)
	w.puts(many(0, 10)...)
	p := w.behindProxy()
	require.NoError(t, w.publisher.Agree(w.ctx))
	remove := p.Inject(proxy.Fault{Command: "put", Action: proxy.CutBefore})
	done, err := w.Sync(w.ctx, slices.Values(many(100, 100+2*putChunk)), Prune())
	require.ErrorContains(t, err, "nothing was deleted")
	require.Zero(t, done)
	remove()
	w.relink(p)
	require.Len(t, w.names(), 10)
	defer p.Inject(proxy.Fault{Command: "remove", Action: proxy.ReplyError, Error: "OOM command not allowed"})()
	_, err = w.Sync(w.ctx, slices.Values(many(100, 101)), Prune())
	require.ErrorContains(t, err, "deleting 10 schedules")
}

// A stopped service, and one with another number of partitions, are found before anything is written.
func TestTableOfAnotherService(t *testing.T) {
	w := newTableWorld(t)
	w.puts(Spec{Name: "a", Every: time.Minute})
	other := newTestTable(t, w.client, engine.WithPartitions(7))
	for name, call := range map[string]func() error{
		"put":    func() error { _, err := other.Put(w.ctx, Spec{Name: "b", Every: time.Minute}); return err },
		"sync":   func() error { _, err := other.Sync(w.ctx, slices.Values(many(0, 1))); return err },
		"pause":  func() error { return other.Pause(w.ctx, "", "a") },
		"get":    func() error { _, err := other.Get(w.ctx, "a"); return err },
		"page":   func() error { _, _, err := other.Page(w.ctx, "", 0); return err },
		"delete": func() error { _, err := other.Delete(w.ctx, []string{"a"}); return err },
	} {
		require.ErrorIs(t, call(), api.ErrPartitionMismatch, name)
	}
	_, err := NewTable(nil, tableService)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	_, err = NewTable(w.client, "{x}")
	require.ErrorIs(t, err, api.ErrInvalidConfig)
}

// All keys are in one slot of a cluster, whatever the names.
func TestTableOnACluster(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	client := c.Client(t)
	table := newTestTable(t, client, engine.WithPartitions(16))
	var specs []Spec
	for n := range 500 {
		specs = append(specs, Spec{Name: fmt.Sprintf("{tag}%d", n), Every: time.Minute}, Spec{Name: fmt.Sprintf("x%d{}", n), Cron: "@daily"})
	}
	ctx := t.Context()
	results, err := table.Put(ctx, specs...)
	require.NoError(t, err)
	for _, r := range results {
		require.Equal(t, Created, r.Outcome)
	}
	done, err := table.Sync(ctx, slices.Values(specs[:900]), Prune())
	require.NoError(t, err)
	require.Equal(t, Synced{Unchanged: 900, Deleted: 100}, done)
	require.NoError(t, table.Pause(ctx, "", specs[0].Name, specs[1].Name))
	require.NoError(t, table.Trigger(ctx, specs[0].Name))
	require.NoError(t, table.Resume(ctx, specs[0].Name))
	n := 0
	for s, err := range table.List(ctx, Filter{}) {
		require.NoError(t, err)
		require.NoError(t, s.Err)
		n++
	}
	require.Equal(t, 900, n)

	// A slot that migrates: what is still together works, the rest says so.
	p := table.layout.Of("{tag}0")
	keys := table.layout.Keys(p)
	to := c.Nodes()[0]
	from, err := c.Owner(ctx, keys.Slot)
	require.NoError(t, err)
	if from == to {
		to = c.Nodes()[1]
	}
	move, err := c.BeginMove(ctx, keys.Slot, to)
	require.NoError(t, err)
	require.NoError(t, move.Keys(ctx, keys.Input))
	results, err = table.Put(ctx, specs[0])
	require.ErrorContains(t, err, "the slot is migrating", outcomes(results))
	s, err := table.Get(ctx, "{tag}0")
	require.NoError(t, err)
	require.NoError(t, s.Err)
	require.NoError(t, move.Finish(ctx))
	results, err = table.Put(ctx, specs[0])
	require.NoError(t, err)
	require.Equal(t, "unchanged", outcomes(results))
}
