package scan_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// later has announcements of streams called prefix-0 and so on delayed in partition 0, by as long as in says.
func (f *fleet) later(prefix string, n int, in func(i int) time.Duration, more ...string) {
	f.t.Helper()
	_, err := f.leases.Open(f.ctx, 0, "worker.1", 0)
	require.NoError(f.t, err)
	for i := range n {
		f.announce(0, fmt.Sprintf("%s-%d", prefix, i), more...)
	}
	for read := 0; read < n; {
		for _, e := range f.read(0, "worker.1", n) {
			r := moveTo(e, lease.ToLater, "")
			r.Retries, r.Crashes, r.At = 2, 1, f.Now()+in(read).Milliseconds()
			f.requeue(0, "worker.1", r)
			read++
		}
	}
}

// sameTime gives everything that is delayed the same due time.
func (f *fleet) sameTime(at int64) {
	f.t.Helper()
	members, err := f.Try("ZRANGE", f.layout.Keys(0).Later, "0", "-1").AsStrSlice()
	require.NoError(f.t, err)
	for _, m := range members {
		f.Do("ZADD", f.layout.Keys(0).Later, strconv.FormatInt(at, 10), m)
	}
}

func (f *fleet) listDelayed(i *scan.Inspector, s scan.Selection) (all []scan.Delayed) {
	f.t.Helper()
	for d, err := range i.Delayed(f.ctx, s) {
		require.NoError(f.t, err)
		all = append(all, d)
	}
	return all
}

func streamsOf(all []scan.Delayed) (names []string) {
	for _, d := range all {
		names = append(names, d.Stream)
	}
	return names
}

func TestDelayedAreListedAsTheyAreDue(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		i := f.inspector()
		k := f.layout.Keys(0)
		require.Empty(t, f.listDelayed(i, scan.Selection{}))
		f.later("s", 10, func(i int) time.Duration { return time.Hour - time.Duration(i)*time.Minute })
		before := f.Now()
		f.Do("ZADD", k.Later, "1e18", "nonsense")
		all := f.listDelayed(i, scan.Selection{})
		require.Len(t, all, 11)
		require.Equal(t, []string{"s-9", "s-8", "s-7", "s-6", "s-5", "s-4", "s-3", "s-2", "s-1", "s-0", ""}, streamsOf(all))
		d := all[0]
		require.WithinDuration(t, time.UnixMilli(before).Add(51*time.Minute), d.Due, 10*time.Second)
		require.Equal(t, []int{2, 1, 0}, []int{d.Retries, d.Crashes, d.Partition})
		require.JSONEq(t, "{}", string(d.Info))
		require.Regexp(t, `^\d+-\d+$`, d.ID)
		require.Greater(t, d.Size, 50)
		require.Nil(t, all[10].Info)

		// Those that are due at the same time come in their order in Redis, and none twice.
		f.Do("ZREM", k.Later, "nonsense")
		f.sameTime(f.Now() + time.Hour.Milliseconds())
		names := streamsOf(f.listDelayed(i, scan.Selection{}))
		slices.Sort(names)
		require.Equal(t, []string{"s-0", "s-1", "s-2", "s-3", "s-4", "s-5", "s-6", "s-7", "s-8", "s-9"}, names)
		require.Equal(t, []string{"s-7"}, streamsOf(f.listDelayed(i, scan.Selection{Stream: "s-7"})))
		require.Empty(t, f.listDelayed(i, scan.Selection{Stream: "s-77"}))
		require.Empty(t, f.listDelayed(i, scan.Selection{Partitions: []int{}}))
	})
}

// A stream is found however its name is written in JSON, and whatever it consists of.
func TestDelayedAreFoundByName(t *testing.T) {
	f := newFleet(t, 1)
	f.open(0, "worker.1")
	names := map[string]string{"päivä": `p\u00e4iv\u00e4`, "plain": `pl\u0061in`, "a/b": `a\/b`, "-_-": "-_-", "日本": "日本", "ABCdef": `\u0041B\u0043def`, "..": ".."}
	for _, text := range names {
		f.add(f.layout.Keys(0).Input, lease.FieldAnnouncement, `{"Info":{"x":"plain ABCdef"},"DataStreamName":"`+text+`"}`)
	}
	for range names {
		r := moveTo(f.read(0, "worker.1", 1)[0], lease.ToLater, "")
		r.Delay = time.Hour
		f.requeue(0, "worker.1", r)
	}
	for name := range names {
		require.Equal(t, []string{name}, streamsOf(f.listDelayed(f.inspector(), scan.Selection{Stream: name})))
	}
}

// What is handed out while somebody lists what is delayed shifts the ranks of what comes after it; nothing is left out.
func TestDelayedAreListedWhileTheyAreHandedOut(t *testing.T) {
	for name, same := range map[string]bool{"at one time": true, "one after the other": false} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 1)
			k := f.layout.Keys(0)
			f.later("s", 30, func(i int) time.Duration { return time.Duration(i+1) * time.Hour })
			if same {
				f.sameTime(f.Now() + time.Hour.Milliseconds())
			}
			order := streamsOf(f.listDelayed(f.inspector(), scan.Selection{}))
			require.Len(t, order, 30)
			var names []string
			for d, err := range f.inspector().Delayed(f.ctx, scan.Selection{}) {
				require.NoError(t, err)
				names = append(names, d.Stream)
				if n := len(names); n%2 == 0 { // the first one, which was listed already, is promoted
					f.Do("ZPOPMIN", k.Later)
				}
			}
			require.Equal(t, order, names)
		})
	}
}

func TestBringForwardAndCancel(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		i := f.inspector()
		k := f.layout.Keys(0)
		f.later("s", 10, func(i int) time.Duration { return time.Hour + time.Duration(i)*time.Minute }, "color", "red")
		f.Do("ZADD", k.Later, "9e15", "nonsense")

		moved, gone, err := i.BringForward(f.ctx, scan.Selection{Stream: "s-3"})
		require.NoError(t, err)
		require.Equal(t, []int{1, 0}, []int{moved, gone})
		require.Equal(t, map[string]string{lease.FieldAnnouncement: `{"DataStreamName":"s-3"}`, "color": "red",
			lease.FieldRetries: "2", lease.FieldCrashes: "1"}, f.fields(0))
		moved, gone, err = i.BringForward(f.ctx, scan.Selection{Stream: "s-3"})
		require.NoError(t, err)
		require.Equal(t, []int{0, 0}, []int{moved, gone}, "it is not delayed any more")

		cancelled, gone, err := i.CancelDelayed(f.ctx, scan.Selection{Stream: "s-4"})
		require.NoError(t, err)
		require.Equal(t, []int{1, 0}, []int{cancelled, gone})

		moved, gone, err = i.BringForward(f.ctx, scan.Selection{})
		require.ErrorContains(t, err, "is no announcement: not moved")
		require.Equal(t, []int{8, 0}, []int{moved, gone})
		require.Equal(t, 9, f.Num("XLEN", k.Input))
		require.Equal(t, 1, f.Num("ZCARD", k.Later))
		require.Equal(t, `{"DataStreamName":"s-9"}`, f.fields(8)[lease.FieldAnnouncement], "in the order in which they were due")
		cancelled, gone, err = i.CancelDelayed(f.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, []int{1, 0}, []int{cancelled, gone})
		require.Zero(t, f.Num("ZCARD", k.Later))
	})
}

// Whoever asks for the same announcements at the same time: each is handed out once or deleted, and everybody learns what became of
// those that came to them.
func TestBringForwardCancelAndPromotionRace(t *testing.T) {
	const n = 400
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.later("s", n, func(int) time.Duration { return time.Hour })
	f.sameTime(f.Now() + 300)
	var mu sync.Mutex
	var moved, cancelled int
	var group sync.WaitGroup
	for range 2 {
		i := f.inspector(func(c *scan.InspectorConfig) { c.Page = 7 })
		group.Go(func() {
			m, _, err := i.BringForward(f.ctx, scan.Selection{})
			mu.Lock()
			defer mu.Unlock()
			moved += m
			require.NoError(t, err)
		})
		group.Go(func() {
			c, _, err := i.CancelDelayed(f.ctx, scan.Selection{})
			mu.Lock()
			defer mu.Unlock()
			cancelled += c
			require.NoError(t, err)
		})
		group.Go(func() {
			for f.Num("ZCARD", k.Later) > 0 {
				done, err := f.leases.Promote(f.ctx, 0, 5)
				mu.Lock()
				moved += done.Moved
				mu.Unlock()
				require.NoError(t, err)
			}
		})
	}
	group.Wait()
	require.Equal(t, n, moved+cancelled)
	require.Equal(t, moved, f.Num("XLEN", k.Input))
	names := make(map[string]bool)
	for _, e := range f.Stream(k.Input) {
		names[e.FieldValues[lease.FieldAnnouncement]] = true
	}
	require.Len(t, names, moved, "none twice")
}

// intercepted is a client that does something before the n-th call of a script.
type intercepted struct {
	rueidis.Client
	sha    string
	before func()
}

func (c *intercepted) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	if args := cmd.Commands(); len(args) > 1 && (args[1] == c.sha || strings.EqualFold(args[0], "EVAL")) && c.before != nil {
		before := c.before
		c.before = nil
		before()
	}
	return c.Client.Do(ctx, cmd)
}

// What is handed out between being listed and being moved is gone, and is counted so: nothing was done to it.
func TestWhatWasHandedOutMeanwhileIsGone(t *testing.T) {
	for _, script := range []string{"hasten", "cancel"} {
		t.Run(script, func(t *testing.T) {
			f := newFleet(t, 1)
			k := f.layout.Keys(0)
			f.later("s", 3, func(i int) time.Duration { return time.Hour + time.Duration(i)*time.Minute })
			sha := ""
			for _, s := range scan.Scripts() {
				if s.Name() == script {
					sha = s.SHA()
				}
			}
			client := &intercepted{Client: f.Client, sha: sha, before: func() { f.Do("ZPOPMIN", k.Later) }}
			require.Len(t, f.listDelayed(f.inspector(), scan.Selection{}), 3) // loads the script that lists
			i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
			require.NoError(t, err)
			call := i.BringForward
			if script == "cancel" {
				call = i.CancelDelayed
			}
			// The script that reads the layout is known, the one that is called is not.
			_, err = i.Partitions(f.ctx)
			require.NoError(t, err)
			done, gone, err := call(f.ctx, scan.Selection{})
			require.NoError(t, err)
			require.Equal(t, []int{2, 1}, []int{done, gone})
		})
	}
}

// A copy is not left behind where later does not let go of its member; where the input stream refuses it, nothing is lost.
func TestBringForwardThatIsRefused(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		k := f.layout.Keys(0)
		f.later("s", 3, func(i int) time.Duration { return time.Hour })
		f.Do("ACL", "SETUSER", "limited", "on", ">secret", "~*", "+@all", "-zrem")
		limited := dial(t, rueidis.ClientOption{InitAddress: []string{f.server.Addr()}, Username: "limited", Password: "secret", DisableCache: true})
		i, err := scan.NewInspector(limited, "shop", scan.InspectorConfig{})
		require.NoError(t, err)
		moved, _, err := i.BringForward(f.ctx, scan.Selection{})
		require.Zero(t, moved)
		require.ErrorContains(t, err, "grant the user the command")
		require.Zero(t, f.Num("XLEN", k.Input))
		_, _, err = i.CancelDelayed(f.ctx, scan.Selection{})
		require.ErrorContains(t, err, "grant the user the command")
		require.Equal(t, 3, f.Num("ZCARD", k.Later))

		f.Do("DEL", k.Input)
		f.Do("SET", k.Input, "x")
		moved, _, err = f.inspector().BringForward(f.ctx, scan.Selection{})
		require.Zero(t, moved)
		require.ErrorContains(t, err, "WRONGTYPE")
		require.Equal(t, 3, f.Num("ZCARD", k.Later))
	})
}

// Pages end at a weight, and so does what one script moves.
func TestDelayedPagesAreBoundedInBytes(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.later("light", 40, func(i int) time.Duration { return time.Hour })
	f.later("heavy", 12, func(i int) time.Duration { return 2 * time.Hour }, "more", strings.Repeat("x", 900<<10))
	calls := func() int {
		_, rest, _ := strings.Cut(f.Text("INFO", "commandstats"), "cmdstat_evalsha:calls=")
		n, err := strconv.Atoi(rest[:strings.IndexByte(rest, ',')])
		require.NoError(t, err)
		return n
	}
	i := f.inspector(func(c *scan.InspectorConfig) { c.Page = 1000 })
	require.Len(t, f.listDelayed(i, scan.Selection{}), 52)
	before := calls()
	require.Len(t, f.listDelayed(i, scan.Selection{}), 52)
	require.GreaterOrEqual(t, calls()-before, 6, "no more than two of the heavy ones a page")
	moved, gone, err := i.BringForward(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, []int{52, 0}, []int{moved, gone})
	require.Equal(t, 52, f.Num("XLEN", k.Input))
}

// Pages of 20,000 announcements that are due at one time: each is listed once, in few questions by rank. With LIMIT the server
// walked past all that were listed before, once for each of some 20 questions a page; 100,000 blocked it for 20 ms and more.
func TestManyDelayedUntilOneTimeAreListedOnce(t *testing.T) {
	const n, page = 20000, 1000
	f := newFleet(t, 1)
	f.Do("EVAL", `for i = 1, ARGV[1] do
		redis.call('ZADD', KEYS[1], 4000000000000, cmsgpack.pack({i .. '-1', {'lbs-input', '{"DataStreamName":"s-' .. i .. '"}'}}))
	end`, "1", f.layout.Keys(0).Later, strconv.Itoa(n))
	i := f.inspector(func(c *scan.InspectorConfig) { c.Page = page })
	require.NoError(t, f.server.ResetStats(f.ctx))
	seen := make(map[string]bool)
	for _, name := range streamsOf(f.listDelayed(i, scan.Selection{})) {
		require.False(t, seen[name], name)
		seen[name] = true
	}
	require.Len(t, seen, n)
	stats, err := f.server.CommandStats(f.ctx)
	require.NoError(t, err)
	require.LessOrEqual(t, stats["zrangebyscore"].Calls, int64(1), "none of later")
	const questions = page/16 + 5 + 15 // chunks that grow to 16 and probes
	require.LessOrEqual(t, stats["zrange"].Calls, int64(n/page*questions))
}

// Requeue said "not announced" of a stream that was delayed.
func TestRequeueTellsUntilWhenAStreamIsDelayed(t *testing.T) {
	f, s := requeueFleet(t)
	f.later("s", 20, func(i int) time.Duration { return time.Hour + time.Duration(i)*time.Minute })
	err := s.Requeue(f.ctx, 0, asker, "s-13", nil)
	var delayed *scan.DelayedError
	require.ErrorAs(t, err, &delayed)
	require.ErrorIs(t, err, api.ErrNotAnnounced)
	require.NotErrorIs(t, err, scan.ErrRequeued)
	require.Equal(t, "s-13", delayed.Stream)
	require.WithinDuration(t, time.UnixMilli(f.Now()).Add(73*time.Minute), delayed.Until, 10*time.Second)
	require.ErrorContains(t, err, `stream "s-13" is announced, and delayed until `+delayed.Until.UTC().Format("2006-01-02T15:04:"))
	require.Equal(t, 20, f.Num("ZCARD", f.layout.Keys(0).Later), "nothing was changed")

	_, _, err = f.inspector().BringForward(f.ctx, scan.Selection{Stream: "s-13"})
	require.NoError(t, err)
	err = s.Requeue(f.ctx, 0, asker, "s-13", nil)
	require.ErrorIs(t, err, api.ErrNotAnnounced)
	require.NotErrorAs(t, err, &delayed)
}
