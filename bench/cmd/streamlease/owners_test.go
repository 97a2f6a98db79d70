package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

func TestOwners(t *testing.T) {
	f := newFleet(t, "a")
	require.Equal(t, "Nobody owns a stream.\n", f.table("owners"))
	f.publish("bad-1", "snooze-1")
	names := f.announceHostile("")
	f.settled(len(names), 1, 1)
	id := f.engines["a"].ID()

	all := decoded[[]owned](f, statusDone, "owners")
	require.ElementsMatch(t, names, streams(all, func(o owned) string { return o.Stream }))
	require.Equal(t, id, all[0].Owner)
	require.NotZero(t, all[0].Token)
	text := f.table("owners")
	require.Contains(t, row(t, text, "help"), "help "+id+" ")
	require.Contains(t, f.table("owners", "-limit", "2"), "2 streams shown; there are more (-limit)")

	// Each is found by the name that JSON has, and no name reaches the terminal.
	for _, name := range names {
		told := decoded[[]story](f, statusDone, "owners", "--", name)
		require.Len(t, told, 1)
		require.Equal(t, []string{name, "owned", id}, []string{told[0].Stream, told[0].State, told[0].Owner}, "%.99q", name)
		f.table("owners", "--", name)
		f.table("lag", "--", name)
	}

	status, text, errs := f.call("owners", "help", "bad-1", "snooze-1", "nope")
	require.Equal(t, statusNothing, status)
	require.Contains(t, errs, "there is nothing of stream nope")
	told := strings.Split(text, "\n\n")
	require.Len(t, told, 4)
	require.True(t, strings.HasPrefix(told[0], "stream"), told[0])
	require.Contains(t, row(t, told[0], "state"), "state owned")
	require.Contains(t, row(t, told[0], "why"), "It is owned by "+id)
	require.Contains(t, row(t, told[0], "session"), "alive, ends in ")
	require.Contains(t, row(t, told[0], "process"), "shares, weight 1, holds ")
	require.Contains(t, row(t, told[0], "announced"), ": owned")
	require.Contains(t, row(t, told[1], "state"), "state dead")
	require.Contains(t, row(t, told[1], "dead letter"), `permanent: the handler\x1b[31m says no`)
	require.Contains(t, row(t, told[2], "delayed"), "delayed until in ")
	require.Contains(t, row(t, told[3], "state"), "state unknown")
	require.Len(t, decoded[[]story](f, statusNothing, "owners", "help", "nope"), 2)

	for _, args := range [][]string{{"owners", ""}, {"owners", strings.Repeat("x", 70_000)}, {"owners", "--", "\xff"}} {
		status, out, errs := f.call(args...)
		require.Contains(t, []int{statusUsage, statusNothing}, status, out+errs)
	}
	f.Do("FLUSHALL")
}

// All that a story may have is shown, and only that.
func TestAllOfAStory(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	s := scan.Story{
		Ownership: scan.Ownership{
			Stream: "x\x1b", Partition: 3, At: now, Consumer: "a.X", Token: 7, Entry: "5-0", Waiting: "9-0", Since: now.Add(-time.Minute),
			Until: now.Add(30 * time.Second), Session: scan.Session{State: scan.SessionDead, Until: now.Add(-time.Second)}, Retries: 2, Crashes: 1,
		},
		State: scan.StreamOwned, Why: strings.Repeat("because ", 30),
		Owner: &scan.Process{
			Name: "a.X", State: scan.BalanceBehind, Weight: 2, Held: 5, Over: now.Add(-time.Hour),
			Wishes: []scan.Wish{{Kind: scan.WishPause, Left: time.Minute}},
		},
		Entries: []scan.StreamEntry{
			{ID: "5-0", Announced: now.Add(-2 * time.Minute), Consumer: "a.X", Retries: 2, Crashes: 1},
			{ID: "6-0", Announced: now, Consumer: "b.X", Idle: time.Second}, {ID: "7-0", Stranded: true}, {ID: "9-0"},
		},
		Delayed:    []scan.Delayed{{ID: "8-0", Due: now.Add(time.Hour), Retries: 1}},
		Letters:    []scan.DeadLetter{{ID: "4-0", Reason: "crashes: \x1b", At: now.Add(-time.Hour)}},
		Checkpoint: &scan.StoredCheckpoint{Token: 6, Value: "mine\xff", DoneAt: now.Add(-2 * time.Hour)},
		Settling:   now.Add(5 * time.Second), Ahead: 12, Unread: []string{"dead letters"},
	}
	text := flat(storyFields(&s, now))
	safe(t, text)
	for _, want := range []string{
		`"x\x1b"`, "nobody takes a stream there until in 5 s", "dead, ends 1 s ago", "behind, weight 2, holds 5, holds too much since 1 h 0 m ago; wished: pause for 1 m 0 s",
		"1 m 0 s ago", "unless it is renewed", "5-0 after 2 failures and 1 crash", "waits behind 9-0", "5-0, 2 m 0 s ago after 2 failures and 1 crash: owned",
		"6-0, 0 ms ago: pending for b.X for 1 s", "7-0, -: stranded, nobody gets it", "9-0, -: waits, no consumer was given it yet", "12 announcements",
		"until in 1 h 0 m", "ID 8-0 after 1 failure", `1 h 0 m ago, ID 4-0: crashes:`, `mine\xff`, "token 6", "2 h 0 m ago", "not seen", "dead letters",
	} {
		require.Contains(t, strings.Join(strings.Fields(text), " "), want)
	}
	for line := range strings.Lines(text) {
		require.Less(t, len(line), 140, line)
	}
	j := storyOf(&s)
	require.Equal(t, "mine\xff", string(j.Checkpoint.Bytes))
	require.Equal(t, []int{4, 1, 1, 12}, []int{len(j.Entries), len(j.Delayed), len(j.Letters), *j.Ahead})
	require.Equal(t, "pause", j.Process.Wishes[0].Kind)
	require.Contains(t, strings.Join(strings.Fields(flat(storyFields(&scan.Story{Ahead: -1}, now))), " "), "owner - announced - checkpoint -")
}

func TestMoves(t *testing.T) {
	f := newFleet(t, "a", "b")
	require.Equal(t, "Nobody holds anything.\nNothing was taken in the last 15 m 0 s.\n", f.table("moves"))
	f.publish("1", "2", "3", "4", "5", "6")
	f.settled(6, 0, 0)
	moved := decoded[turnover](f, statusDone, "moves", "-since", "1h")
	require.Len(t, moved.Processes, 2)
	require.Equal(t, 6, moved.Processes[0].Taken+moved.Processes[1].Taken)
	require.True(t, moved.Whole)
	require.InDelta(t, 3600, moved.Window, 0)
	text := f.table("moves", "-since", "1h")
	require.Contains(t, row(t, text, "2 processes"), "2 processes 6 6")
	require.Contains(t, text, "Streams taken in each 2 m 0 s:\n")
	require.Contains(t, text, "  6  █")
	status, _, errs := f.call("moves", "-since", "1ms")
	require.Equal(t, statusUsage, status, errs)
}

func TestHistogram(t *testing.T) {
	at := time.Date(2026, 11, 27, 3, 0, 0, 0, time.Local)
	moved := scan.Turnover{At: at, Window: 5 * time.Minute, Step: time.Minute, Steps: []int{0, 1, 0, 2000, 0}}
	require.Equal(t, []string{"02:56:00      1  ▏", "02:57:00      0", "02:58:00  2,000  " + strings.Repeat("█", widestBar)}, histogram(&moved))
	moved.Steps = []int{0}
	require.Empty(t, histogram(&moved))
	require.Equal(t, "█████▌", histogramBar(11, 100))
}

func TestLagOfStreams(t *testing.T) {
	f := newFleet(t)
	f.publish("read", "new", "hash", "own", "none")
	add := func(name string, from, to int) {
		var calls []string
		for n := from; n <= to; n++ {
			calls = append(calls, strconv.Itoa(n))
		}
		f.Do(append([]string{"EVAL", "for _, n in ipairs(ARGV) do redis.call('XADD', KEYS[1], n .. '-0', 'f', 'v') end", "1", name}, calls...)...)
	}
	const begin = 1_700_000_000_000
	add("read", begin+1, begin+10)
	add("new", begin+1, begin+3)
	add("own", begin+1, begin+3)
	f.Do("HSET", "hash", "a", "b")
	f.checkpoint("read", fmt.Sprintf("f1 %d-0", begin+4))
	f.checkpoint("own", "something else")
	all := decoded[[]behind](f, statusDone, "lag", "read", "new", "hash", "own", "none")
	require.Equal(t, fmt.Sprintf("%d-0", begin+4), all[0].Handled, "%+v", all[0])
	require.Equal(t, []any{6, true, 10}, []any{*all[0].Behind, all[0].Exact, *all[0].Length})
	require.InDelta(t, 0.006, *all[0].BehindFor, 1e-9)
	require.Equal(t, "no position is stored", all[1].Note)
	require.Nil(t, all[1].Behind)
	require.Equal(t, "no position is stored; the key of that name is a hash", all[2].Note)
	require.Equal(t, "its checkpoint is not that of a feed", all[3].Note)
	require.Equal(t, "no position is stored; no key of that name is in this Redis", all[4].Note)
	text := f.table("lag", "read", "hash")
	require.Contains(t, row(t, text, "read"), fmt.Sprintf("read waiting - %d-0 (", begin+4))
	require.Contains(t, row(t, text, "read"), " 6 6 ms")

	// Too many to be counted: their IDs tell about how many there are.
	add("read", begin+11, begin+5000)
	one := decoded[[]behind](f, statusDone, "lag", "read")[0]
	require.False(t, one.Exact)
	require.InDelta(t, 4996, *one.Behind, 5)
	require.Contains(t, row(t, f.table("lag", "read"), "read"), "≈ 4,99")

	// What somebody stored by hand keeps nothing else from being shown.
	f.Do("HSET", "{shop-input}:checkpoints", "snew", "odd")
	f.Do("HSET", "{shop-input-1}:checkpoints", "snew", "odd")
	one = decoded[[]behind](f, statusFailed, "lag", "new")[0]
	require.Equal(t, []any{"waiting", 3}, []any{one.State, *one.Length})

	f.Do("XTRIM", "read", "MAXLEN", "3")
	one = decoded[[]behind](f, statusDone, "lag", "read")[0]
	require.Equal(t, []any{3, true}, []any{*one.Behind, one.Exact}, "what is gone is behind nobody")
	require.Equal(t, "unknown", decoded[[]behind](f, statusNothing, "lag", "nope")[0].State)
}

// checkpoint stores a checkpoint as an owner would.
func (f *fleet) checkpoint(stream, value string) {
	input := "shop-input"
	if p := cluster.Partition(stream, shopPartition); p > 0 {
		input += "-" + strconv.Itoa(p)
	}
	f.Do("HSET", "{"+input+"}:checkpoints", "s"+stream, "7 v "+value)
}
