package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

func TestPut(t *testing.T) {
	for _, p := range servers.Available(t, servers.Programs()...) {
		t.Run(p.String(), func(t *testing.T) {
			w := newTableWorld(t, servers.On(p))
			a, b := Spec{Name: "a", Every: time.Minute}, Spec{Name: `b "{x}`, Cron: "0 3 * * *", Zone: "Europe/Berlin", Info: map[string]int{"x": 1}}
			began := time.Now().Add(-time.Second).UnixMilli()
			require.Equal(t, "created created", w.puts(a, b))
			require.Equal(t, []string{`{"DataStreamName":"a"}`, `{"DataStreamName":"b \"{x}"}`}, w.announced())
			require.Empty(t, w.told(), "nobody has them")
			first := w.row("a")
			require.Greater(t, first.Born, began)
			require.Equal(t, first.Born, first.Since)
			require.InDelta(t, first.Born, first.Rev/1000, 1)

			require.Equal(t, "unchanged unchanged", w.puts(a, b))
			require.Empty(t, w.announced())
			require.Empty(t, w.told())
			require.Equal(t, first, w.row("a"))

			a.Info = "new"
			require.Equal(t, "edited unchanged", w.puts(a, b))
			require.Equal(t, "a", w.told())
			second := w.row("a")
			require.Equal(t, []int64{first.Born, first.Since}, []int64{second.Born, second.Since}, "the times of its ticks are as they were")
			require.Greater(t, second.Rev, first.Rev)

			w.setRow("a", func(r *record.Row) {
				r.Paused, r.Note, r.Trigger, r.Since, r.Rev, r.Born = true, "why\nnot", 5, 6, 1<<52, 4
			})
			a.Every = time.Hour
			require.Equal(t, "edited", w.puts(a))
			require.Equal(t, "a", w.told())
			third := w.row("a")
			require.Equal(t, []int64{4, 5, 1<<52 + 1}, []int64{third.Born, third.Trigger, third.Rev}, "it rises, whatever the clock says")
			require.GreaterOrEqual(t, third.Since, first.Since)
			require.True(t, third.Paused)
			require.Equal(t, "why\nnot", third.Note)
			require.Empty(t, w.announced())
		})
	}
}

// A put that changes nothing writes nothing, and ten thousand take forty calls.
func TestPutOfEqualSpecsWritesNothing(t *testing.T) {
	w := newTableWorld(t)
	specs := many(0, 10_000)
	_, err := w.Put(w.ctx, specs...)
	require.NoError(t, err)
	require.EqualValues(t, len(specs), w.num("XLEN", w.keys.Input))
	changes := func() string {
		info, err := w.server.Info(w.ctx, "persistence")
		require.NoError(t, err)
		return info["rdb_changes_since_last_save"]
	}
	before := changes()
	require.NoError(t, w.server.ResetStats(w.ctx))
	began := time.Now()
	results, err := w.Put(w.ctx, specs...)
	require.NoError(t, err)
	for _, r := range results {
		require.Equal(t, Unchanged, r.Outcome)
	}
	t.Logf("10,000 unchanged in %v", time.Since(began))
	stats, err := w.server.CommandStats(w.ctx)
	require.NoError(t, err)
	require.EqualValues(t, 40, stats["evalsha"].Calls)
	require.Equal(t, before, changes())
	for _, write := range []string{"hset", "xadd"} {
		require.Zero(t, stats[write].Calls, write)
	}
}

// One spec that cannot be put holds up no other, and the errors say what is wrong with which.
func TestPutOfBadSpecs(t *testing.T) {
	w := newTableWorld(t)
	_, err := w.Put(w.ctx)
	require.NoError(t, err)
	results, err := w.Put(w.ctx, Spec{Name: "good", Every: time.Second}, Spec{Name: "bad"}, Spec{Name: "", Every: time.Second},
		Spec{Name: tableService + "-input", Every: time.Second}, Spec{Name: "{" + tableService + "-input}:schedules", Every: time.Second},
		Spec{Name: "\xff", Every: time.Second}, Spec{Name: strings.Repeat("x", 70_000), Every: time.Second},
		Spec{Name: "good", Every: time.Minute}, Spec{Name: "{braces}", Cron: "@daily"})
	require.Equal(t, "created failed failed failed failed failed failed failed created", outcomes(results))
	require.ErrorIs(t, err, ErrSpec)
	require.ErrorContains(t, err, `putting schedule "bad": schedule: invalid spec: it has neither Every nor Cron`)
	for i, matches := range []error{nil, ErrSpec, api.ErrInvalidStream, api.ErrInvalidStream, api.ErrInvalidStream, api.ErrInvalidStream,
		api.ErrInvalidStream, ErrSpec, nil} {
		require.ErrorIs(t, results[i].Err, matches)
	}
	require.Equal(t, []string{"good", "{braces}"}, w.names())

	var bad []Spec
	for n := range 30 {
		bad = append(bad, Spec{Name: fmt.Sprint(n)})
	}
	_, err = w.Put(w.ctx, bad...)
	require.ErrorContains(t, err, "20 more failed")
}

// Whatever is refused, no schedule is left without an announcement, and none is edited without its owner hearing of it.
func TestPutWhereAKeyHasAnotherType(t *testing.T) {
	w := newTableWorld(t)
	a, b := Spec{Name: "a", Every: time.Minute}, Spec{Name: "b", Every: time.Minute}
	require.Equal(t, "created", w.puts(a))
	w.announced()
	before := w.row("a")
	edited := a
	edited.Every = time.Hour
	put := func(broken string) string {
		w.do("RENAME", broken, "aside")
		w.do("SET", broken, "x")
		results, err := w.Put(w.ctx, a, b)
		require.ErrorContains(t, err, "WRONGTYPE")
		require.ErrorContains(t, err, "delete or rename it")
		require.ErrorContains(t, err, broken)
		w.do("DEL", broken)
		w.do("RENAME", "aside", broken)
		return outcomes(results)
	}
	require.Equal(t, "unchanged failed", put(w.keys.Input), "it could not be announced")
	require.Equal(t, []string{"a"}, w.names())
	require.Equal(t, "failed failed", put(w.keys.Schedules))

	a = edited
	w.do("XADD", w.keys.Signals, "*", "f", "v")
	require.Equal(t, "failed created", put(w.keys.Signals), "its owner could not be told")
	require.Equal(t, before, w.row("a"))
	w.do("DEL", w.keys.Signals)
	require.Equal(t, "edited unchanged", w.puts(a, b))
	require.Equal(t, "a", w.told())
}

func TestPutAtMaxmemory(t *testing.T) {
	w := newTableWorld(t, servers.Args("--maxmemory-policy", "noeviction"))
	a, b, c := Spec{Name: "a", Every: time.Minute}, Spec{Name: "b", Every: time.Minute}, Spec{Name: "c", Every: time.Minute}
	require.Equal(t, "created created", w.puts(a, c))
	w.announced()
	w.do("CONFIG", "SET", "maxmemory", "1")
	a.Every = time.Hour
	results, err := w.Put(w.ctx, a, b, c)
	require.ErrorContains(t, err, "OOM")
	require.Equal(t, "failed failed unchanged", outcomes(results))
	require.NoError(t, w.Pause(w.ctx, "no memory", "a"), "operators can do something about it")
	require.NoError(t, w.Trigger(w.ctx, "a"))
	require.NoError(t, w.Resume(w.ctx, "a"))
	n, err := w.Delete(w.ctx, []string{"c"})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	w.do("CONFIG", "SET", "maxmemory", "0")
	require.Equal(t, []string{"a"}, w.names())
	require.Empty(t, w.announced())
	require.Equal(t, "a|a|a|c", w.told())
}

// A row that nobody can read is made again: its owner sees another birth.
func TestPutOverARowThatCannotBeRead(t *testing.T) {
	w := newTableWorld(t)
	a := Spec{Name: "a", Every: time.Minute}
	for _, text := range []string{"", "x", "1 1 1 0 0 60000 0 0 0 - -", "99999999999999999999 1 1 0 0 60000 0 0 0 - -\n\n", "1 0 1 0 0 60000 0 0 0 - -\n\n",
		"1 1 1 99999999999999999999 0 60000 0 0 0 - -\n\n", strings.Repeat("x", 100_000)} {
		w.do("HSET", w.keys.Schedules, "a", text)
		require.ErrorIs(t, w.Pause(w.ctx, "", "a"), ErrSpec)
		s, err := w.Get(w.ctx, "a")
		if text == "" {
			require.ErrorIs(t, err, ErrNoSchedule)
		} else {
			require.NoError(t, err)
			require.ErrorIs(t, s.Err, ErrSpec)
			require.ErrorContains(t, s.Err, "put it again")
		}
		require.Equal(t, "created", w.puts(a))
		require.Equal(t, []string{`{"DataStreamName":"a"}`}, w.announced())
		require.Equal(t, "a", w.told())
		require.Greater(t, w.row("a").Born, int64(1))
	}
	w.do("HSET", w.keys.Schedules, "a", "1 1 1 0 0 a later version\n\n")
	require.Equal(t, "edited", w.puts(a), "only its definition cannot be read")
	require.EqualValues(t, 1, w.row("a").Born)
}

// An equal put announces again what is among the dead letters. If that is refused, the mark stays.
func TestPutOfADeadLetter(t *testing.T) {
	w := newTableWorld(t)
	a := Spec{Name: "a", Every: time.Minute}
	require.Equal(t, "created", w.puts(a))
	w.announced()
	w.setRow("a", func(r *record.Row) { r.Dead = true })
	s, err := w.Get(w.ctx, "a")
	require.NoError(t, err)
	require.True(t, s.DeadLetter)
	for _, edit := range []bool{false, true} {
		if edit {
			a.Every = time.Hour
		}
		w.setRow("a", func(r *record.Row) { r.Dead = true })
		w.do("RENAME", w.keys.Input, "aside")
		w.do("SET", w.keys.Input, "x")
		before := w.row("a")
		results, err := w.Put(w.ctx, a)
		require.ErrorContains(t, err, "WRONGTYPE")
		require.Equal(t, Failed, results[0].Outcome)
		require.Equal(t, before, w.row("a"))
		w.do("RENAME", "aside", w.keys.Input)
		require.Equal(t, "edited", w.puts(a))
		require.Len(t, w.announced(), 1)
		require.False(t, w.row("a").Dead)
		require.Equal(t, "unchanged", w.puts(a))
	}
}

// Whatever becomes of a call, to put again brings it to an end, with one announcement.
func TestPutThatIsNotAnswered(t *testing.T) {
	for _, action := range []proxy.Action{proxy.DropRequest, proxy.DropReply, proxy.CutBefore, proxy.CutAfter} {
		t.Run(action.String(), func(t *testing.T) {
			t.Parallel()
			w := newTableWorld(t)
			p := w.behindProxy()
			specs := many(0, 20)
			w.puts(specs...) // so that the server knows the script
			w.do("DEL", w.keys.Schedules, w.keys.Input)
			remove := p.Inject(proxy.Fault{Command: "put", Action: action})
			ctx, cancel := contextOf(t, action)
			results, err := w.Put(ctx, specs...)
			cancel()
			remove()
			w.relink(p)
			require.Error(t, err)
			for _, r := range results {
				require.Equal(t, Failed, r.Outcome)
				require.ErrorContains(t, r.Err, "it may have been done all the same")
			}
			want := "created"
			if action == proxy.DropReply || action == proxy.CutAfter {
				want = "unchanged"
			}
			require.Equal(t, strings.TrimSpace(strings.Repeat(want+" ", len(specs))), w.puts(specs...))
			require.Len(t, w.announced(), len(specs))
			require.Len(t, w.names(), len(specs))
		})
	}
}

// After a pipeline without an answer the rest is not sent.
func TestPutEndsWhereNobodyAnswers(t *testing.T) {
	w := newTableWorld(t)
	p := w.behindProxy()
	require.NoError(t, w.publisher.Agree(w.ctx))
	specs := many(0, 3*putChunk+5)
	defer p.Inject(proxy.Fault{Command: "put", Action: proxy.CutBefore})()
	results, err := w.Put(w.ctx, specs...)
	require.ErrorContains(t, err, fmt.Sprintf("%d more failed", len(specs)-listedErrors))
	require.ErrorIs(t, results[len(specs)-1].Err, errNotSent)
	require.LessOrEqual(t, p.Seen("put"), pipelined)
	require.Empty(t, w.names())
}

// A demoted server refuses a put that changes nothing, too: it would say so of what is not so any more.
func TestTableOnAReplica(t *testing.T) {
	w := newTableWorld(t)
	a := Spec{Name: "a", Every: time.Minute}
	require.Equal(t, "created", w.puts(a))
	replica := servers.New(t, servers.ReplicaOf(w.server))
	opt := replica.ClientOption()
	opt.DisableCache, opt.DisableRetry = true, true
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	defer client.Close()
	table := newTestTable(t, client)
	require.Error(t, table.publisher.Agree(w.ctx), "that has to be answered by a master, too")
	for _, call := range []func() error{
		func() error { var r [1]Result; table.putSome(w.ctx, []Spec{a}, r[:], nil); return r[0].Err },
		func() error { _, err := table.store.Rows(w.ctx, 0, []string{"a"}); return err },
		func() error { _, err := table.store.page(w.ctx, 0, "0", 10); return err },
		func() error { _, err := table.store.owners(w.ctx, 0, []string{"a"}); return err },
		func() error { _, err := table.remove(w.ctx, []string{"b"}); return err },
	} {
		require.ErrorContains(t, call(), "READONLY")
	}
}

// Names are cut into signals of a few KB each, whatever there are; long rows into calls that weigh not too much.
func TestPutOfManyAndOfLongOnes(t *testing.T) {
	w := newTableWorld(t)
	specs := many(0, 300)
	for i := range specs {
		specs[i].Name = strings.Repeat("n", 100+i%100) + strconv.Itoa(i)
	}
	_, err := w.Put(w.ctx, specs...)
	require.NoError(t, err)
	w.announced()
	for i := range specs {
		specs[i].Info = strings.Repeat("x", 60_000)
	}
	results, err := w.Put(w.ctx, specs...)
	require.NoError(t, err)
	signals := strings.Split(w.told(), "|")
	heard := 0
	for _, s := range signals {
		require.LessOrEqual(t, len(s), 3072+200)
		heard += len(strings.Fields(s))
	}
	require.Equal(t, len(specs), heard)
	for _, r := range results {
		require.Equal(t, Edited, r.Outcome)
	}
	names := make([]string, callItems)
	for i := range names {
		names[i] = specs[i].Name
	}
	names[7] = "absent"
	rows, err := w.store.Rows(w.ctx, 0, names)
	require.NoError(t, err)
	for i, text := range rows {
		if i == 7 {
			require.Empty(t, text)
			continue
		}
		r, err := record.ParseRow(text)
		require.NoError(t, err)
		require.Len(t, r.Info, 60_002)
	}
	results, err = w.Put(w.ctx, specs...)
	require.NoError(t, err)
	require.Equal(t, Unchanged, results[299].Outcome)
}

func TestOutcomesHaveNames(t *testing.T) {
	require.Equal(t, "failed created edited unchanged failed", strings.TrimSpace(fmt.Sprintln(Failed, Created, Edited, Unchanged, Outcome(9))))
	_, err := putVerdict{"?", ""}.outcome()
	require.True(t, errors.Is(err, errAnswer))
}
