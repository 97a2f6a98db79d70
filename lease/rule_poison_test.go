package lease

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
)

// everyServer runs a test on each kind of server.
func everyServer(t *testing.T, f func(t *testing.T, w *world), changes ...func(*Settings)) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			w := worldOn(t, servers.New(t, servers.On(program)), changes...)
			w.open(alice)
			f(t, w)
		})
	}
}

// raw adds an entry with these fields, and has it read by alice after all others. What nobody can parse has the key of the empty name.
func (w *world) raw(fields ...string) Disposition {
	w.t.Helper()
	id := w.Text(append([]string{"XADD", w.keys.Input, "*"}, fields...)...)
	got, err := w.store.Read(w.ctx, 0, alice, 100, time.Millisecond)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, got)
	last := got[len(got)-1]
	require.Equal(w.t, id, last.ID)
	x, err := ParseEntry(w.layout, 0, id, last.Body)
	r := RequeueEntry(&x, err, w.keys.Lease(""))
	r.Dest, r.Reason, r.Size, r.Cut = ToInput, "", 0, ""
	return r
}

// times are fields with one name.
func times(n int, field, value string) (fields []string) {
	for range n {
		fields = append(fields, field, value)
	}
	return fields
}

// Trace: XADD with 5,000 fields that have one name, and it is a name that dead letters keep: the dead letter had all 5,000
// of them, which Lua cannot unpack. It was refused on every way there was, for ever.
func TestOneFieldThousandsOfTimesStillMakesADeadLetter(t *testing.T) {
	everyServer(t, func(t *testing.T, w *world) {
		good := `{"DataStreamName":"s"}`
		for name, fields := range map[string][]string{
			"the announcement, good":      times(5000, FieldAnnouncement, good),
			"the announcement, malformed": append([]string{FieldAnnouncement, "x"}, times(5000, FieldAnnouncement, good)...),
			"a producer's":                append([]string{FieldAnnouncement, good}, times(5000, "mine", "x")...),
			"20,000 of them":              append([]string{FieldAnnouncement, good}, times(20_000, "m", "")...),
		} {
			r := w.raw(fields...)
			for _, dest := range []Dest{ToInput, ToLater} {
				require.Equal(t, "u", verdicts(w.requeue(alice, r.to(dest))), name)
			}
			require.Equal(t, "m", verdicts(w.requeue(alice, r.to(ToDeadLetters))), name)
			letter := w.letter()
			require.Len(t, letter, 2*5, name)
			require.Equal(t, []string{FieldAnnouncement, fields[1]}, letter[:2], name)
		}
	})
}

// letter takes the only dead letter out, with its fields as they stand there.
func (w *world) letter() (fields []string) {
	w.t.Helper()
	entries, err := w.Try("XRANGE", w.keys.DeadLetters, "-", "+").ToArray()
	require.NoError(w.t, err)
	require.Len(w.t, entries, 1)
	parts, err := entries[0].ToArray()
	require.NoError(w.t, err)
	fields, err = parts[1].AsStrSlice()
	require.NoError(w.t, err)
	w.Do("DEL", w.keys.DeadLetters)
	return fields
}

// valueOf is that of the only field with a name.
func valueOf(t *testing.T, fields []string, name string) (value string) {
	t.Helper()
	n := 0
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == name {
			value = fields[i+1]
			n++
		}
	}
	require.Equal(t, 1, n, "%s is there once", name)
	return value
}

// Fields of ours are written by ours alone, once, however often a producer wrote them; and they make no entry too wide.
func TestOurFieldsThousandsOfTimesAreDropped(t *testing.T) {
	everyServer(t, func(t *testing.T, w *world) {
		fields := []string{FieldAnnouncement, `{"DataStreamName":"s"}`}
		for _, ours := range []string{
			FieldRetries, FieldCrashes, FieldReason, FieldOriginalID, FieldLastOwner, FieldDeadAt, FieldReference, FieldSize,
		} {
			fields = append(fields, times(1000, ours, "1")...)
		}
		require.Equal(t, "m", verdicts(w.requeue(alice, w.raw(fields...))))
		got, err := w.store.Read(w.ctx, 0, alice, 1, time.Millisecond)
		require.NoError(t, err)
		require.Len(t, got[0].Body, 3, "the announcement and the counts: %v", got[0].Body)

		r := w.raw(fields...)
		r.Retries, r.Crashes = 2, 3
		require.Equal(t, "m", verdicts(w.requeue(alice, r.to(ToDeadLetters))))
		letter := w.letter()
		require.Len(t, letter, 2*(1+2+4))
		require.Equal(t, "2", valueOf(t, letter, FieldRetries))
		require.Equal(t, "3", valueOf(t, letter, FieldCrashes))
		require.Equal(t, "because", valueOf(t, letter, FieldReason))
		require.Equal(t, r.Entry, valueOf(t, letter, FieldOriginalID))
	})
}

// Trace: XADD svc-input * _reason x. Every way back copies no field, and XADD without fields is an error.
func TestEntryWithNoFieldOfAProducerIsADeadLetter(t *testing.T) {
	everyServer(t, func(t *testing.T, w *world) {
		for _, fields := range [][]string{
			{FieldReason, "x"}, times(5000, FieldReason, "x"), {FieldRetries, "3", FieldCrashes, "4"}, {FieldReference, "1-1"},
		} {
			r := w.raw(fields...)
			neighbour := w.raw(FieldAnnouncement, `{"DataStreamName":"s"}`)
			for _, dest := range []Dest{ToInput, ToLater} {
				other := r.to(dest)
				out := w.requeue(alice, other)
				require.Equal(t, "z", verdicts(out))
				require.True(t, other.Redirect(out[0]))
				require.Equal(t, ToDeadLetters, other.Dest)
			}
			require.Equal(t, "mm", verdicts(w.requeue(alice, r.to(ToDeadLetters), neighbour)))
			require.Equal(t, r.Entry, valueOf(t, w.letter(), FieldOriginalID))
			require.NotContains(t, w.pendingIDs(alice), r.Entry)
		}
	})
}

// Trace: a script stepped over an announcement unread, and gave it back as one for which nobody has to wait.
func TestNothingIsGivenBackBeforeItsTime(t *testing.T) {
	const hour, year = int64(time.Hour / time.Millisecond), int64(365 * 24 * time.Hour / time.Millisecond)
	everyServer(t, func(t *testing.T, w *world) {
		now := w.Now()
		for _, c := range []struct {
			says  string
			later int64 // 0: at once
			kept  bool  // as nobody can read it
		}{
			{strconv.FormatInt(now+hour, 10), now + hour, false},
			{"+" + strconv.FormatInt(now+hour, 10), now + hour, false},
			{strconv.FormatInt(now+9*year, 10), now + 9*year, false},
			{strconv.FormatInt(now-hour, 10), 0, false},
			{"0", 0, false},
			{"", 0, false},
			{strconv.FormatInt(now+11*year, 10), 0, true},
			{strconv.FormatInt(now/1000+hour, 10), 0, true},
			{"0x1p60", 0, true},
			{"inf", 0, true},
			{"nan", 0, true},
			{"-1", 0, true},
			{strings.Repeat("9", 400), 0, true},
			{"soon", 0, true},
		} {
			for _, dest := range []Dest{ToInput, ToLater} {
				w.Do("DEL", w.keys.Later)
				r := w.raw(FieldAnnouncement, `{"DataStreamName":"s"}`, FieldNotBefore, c.says)
				r.Dest, r.At = dest, 0
				require.Equal(t, "m", verdicts(w.requeue(alice, r)), c.says)
				if c.later > 0 {
					at := strconv.FormatInt(c.later, 10)
					require.Equal(t, 1, w.Num("ZCOUNT", w.keys.Later, at, at), c.says)
					continue
				}
				require.Zero(t, w.Num("ZCARD", w.keys.Later), c.says)
				got, err := w.store.Read(w.ctx, 0, alice, 1, time.Millisecond)
				require.NoError(t, err)
				require.Len(t, got, 1)
				_, err = Parse(w.layout, &got[0])
				require.Equal(t, c.kept, err != nil, c.says)
			}
		}
		r := w.raw(FieldAnnouncement, `{"DataStreamName":"s"}`, FieldNotBefore, strconv.FormatInt(now+hour, 10))
		r.Dest, r.At = ToLater, now+2*hour
		require.Equal(t, "m", verdicts(w.requeue(alice, r)), "what is later counts")
		at := strconv.FormatInt(now+2*hour, 10)
		require.Equal(t, 1, w.Num("ZCOUNT", w.keys.Later, at, at))
	})
}

func small(s *Settings) { s.MaxMove = 1000 }

// An entry that is too large to be copied stays where it is, and a dead letter says so.
func TestEntryTooLargeToBeCopiedIsReferredTo(t *testing.T) {
	everyServer(t, func(t *testing.T, w *world) {
		text := `{"DataStreamName":"s","Info":"` + strings.Repeat("x", 10_000) + `"}`
		for _, dest := range []Dest{ToInput, ToLater, ToDeadLetters} {
			for _, known := range []bool{false, true} {
				w.Do("DEL", w.keys.Input)
				w.Do("XGROUP", "CREATE", w.keys.Input, w.layout.Group(), "0", "MKSTREAM")
				w.Text("XADD", w.keys.Input, "*", FieldAnnouncement, text, FieldRetries, "2", "_reference", "1-1")
				l := w.take(alice, w.read(alice, 1)[0])
				r := back(l).to(dest)
				if known {
					r.Size, r.Cut = 10_500, "the start"
				} else {
					out := w.requeue(alice, r)
					require.Equal(t, "b", verdicts(out))
					require.Equal(t, "k", w.renew(alice, l).Verdicts, "nothing has changed")
					require.True(t, r.Redirect(out[0]))
					require.Equal(t, text[:MaxCut], r.Cut)
				}
				require.Equal(t, "r", verdicts(w.requeue(alice, r)))
				letter := w.letter()
				require.Equal(t, r.Cut, valueOf(t, letter, FieldAnnouncement)+map[bool]string{known: ""}[known])
				require.Equal(t, l.Entry(), valueOf(t, letter, FieldReference))
				require.Equal(t, l.Entry(), valueOf(t, letter, FieldOriginalID))
				require.Equal(t, strconv.Itoa(r.Size), valueOf(t, letter, FieldSize))
				require.Equal(t, alice, valueOf(t, letter, FieldLastOwner))
				switch reason := valueOf(t, letter, FieldReason); dest {
				case ToDeadLetters:
					require.Equal(t, "because", reason, "why it became one")
				default:
					require.Contains(t, reason, DeadTooLarge)
				}
				if !known {
					require.Equal(t, len(FieldAnnouncement)+len(text)+len(FieldRetries)+1+len("_reference")+3+3*FieldWeight, r.Size)
				}
				require.Empty(t, w.pendingIDs(alice))
				require.Empty(t, w.value("s"))
				require.Len(t, w.Stream(w.keys.Input), 1, "nothing is deleted that is not kept elsewhere")
				require.Empty(t, w.read(alice, 1))
				require.Equal(t, "n", verdicts(w.requeue(alice, r)), "asked again after a lost answer")
				require.Zero(t, w.Num("XLEN", w.keys.DeadLetters))
			}
		}
	}, small)
}

// What may come between, when an entry is referred to.
func TestReferringToAnEntryIsWholeOrNotAtAll(t *testing.T) {
	everyServer(t, func(t *testing.T, w *world) {
		refer := func() Disposition {
			r := w.raw(FieldAnnouncement, `{"DataStreamName":"s"}`)
			r.Dest, r.Reason, r.Size, r.Cut = ToReference, "too_large: because", 5000, "cut"
			return r
		}
		r := refer()
		limited := w.as(w.user("-xack"))
		require.Equal(t, "x", verdicts(limited.requeue(alice, r)))
		require.Zero(t, w.Num("XLEN", w.keys.DeadLetters), "the acknowledgement was refused: the letter is taken back")
		require.Equal(t, []string{r.Entry}, w.pendingIDs(alice))

		w.Do("SET", w.keys.DeadLetters, "x")
		out := w.requeue(alice, r)
		require.Equal(t, "x", verdicts(out))
		require.False(t, Blames(out[0].Err()), "that is the server's fault")
		require.Equal(t, []string{r.Entry}, w.pendingIDs(alice))
		w.Do("DEL", w.keys.DeadLetters)

		w.Do("XDEL", w.keys.Input, r.Entry)
		if redisOf(w) >= 7 {
			require.Equal(t, "g", verdicts(w.requeue(alice, r)), "there is nothing to refer to")
			require.Zero(t, w.Num("XLEN", w.keys.DeadLetters))
		}

		// Trace: a script that looks at it is not answered in time. So none does.
		r = refer()
		r.Size, r.Cut = Unweighed, ""
		require.NoError(t, w.server.ResetStats(w.ctx))
		require.Equal(t, "r", verdicts(w.requeue(alice, r)))
		stats, err := w.server.CommandStats(w.ctx)
		require.NoError(t, err)
		require.Zero(t, stats["xrange"].Calls)
		letter := w.letter()
		require.Equal(t, r.Entry, valueOf(t, letter, FieldReference))
		require.NotContains(t, letter, FieldSize)
		require.NotContains(t, letter, FieldAnnouncement)

		w.Do("EVAL", "for i = 1, 100 do redis.call('XADD', KEYS[1], '*', 'f', 'v') end", "1", w.keys.DeadLetters)
		r = refer()
		out = w.requeue(alice, r)
		require.Equal(t, "x", verdicts(out))
		require.Contains(t, out[0].Reason, "DLQFULL")
		require.False(t, Blames(out[0].Err()))
		require.ErrorContains(t, Explain(out[0].Err()), "send dead letters back")
		require.Equal(t, []string{r.Entry}, w.pendingIDs(alice), "it cannot be put off, so it waits here")
		w.set.DeadTrim = true
		require.Equal(t, "r", verdicts(w.as(w.Client).requeue(alice, r)))

		letters := w.Num("XLEN", w.keys.DeadLetters)
		w.set.DeadLimit = 0
		require.Equal(t, "r", verdicts(w.as(w.Client).requeue(alice, refer())))
		require.Equal(t, letters+1, w.Num("XLEN", w.keys.DeadLetters), "without a limit nothing is trimmed")
	})
}

// redisOf is the major version that scripts go by.
func redisOf(w *world) int {
	return w.Num("EVAL", "return redis.REDIS_VERSION_NUM and math.floor(redis.REDIS_VERSION_NUM / 65536) or 6", "0")
}

// Trace: 300 held streams with an Info of 1 MiB go back, and the script that copies them holds up the server for a second.
func TestOneScriptCopiesNoMoreThanItsShare(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	body := strings.Repeat("x", 1<<20)
	var items []Disposition
	for i := range 12 {
		items = append(items, w.raw(FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":"s%d"}`, i), "f", body))
	}
	require.Equal(t, "mmmm"+strings.Repeat("t", 8), verdicts(w.requeue(alice, items...)), "what it weighs was not known")
	require.Len(t, w.pendingIDs(alice), 8)

	size := NewPageSize(100)
	calls, moved := 0, 0
	require.NoError(t, Move(items, &size, func(items []Disposition) ([]Outcome, error) {
		calls++
		return w.store.Requeue(w.ctx, 0, alice, items)
	}, func(_ Disposition, o Outcome) {
		if o.Verdict == Moved {
			moved++
		}
	}))
	require.Equal(t, []int{2, 8}, []int{calls, moved})
	require.Len(t, w.Stream(w.keys.Input), 12)
}

// Promotion, likewise: 12 members of 1 MiB that are due together.
func TestPromoteMovesNoMoreThanItsShare(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	body := strings.Repeat("x", 1<<20)
	for i := range 12 {
		r := w.raw(FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":"s%d"}`, i), "f", body)
		require.Equal(t, "m", verdicts(w.requeue(alice, r.to(ToLater))))
	}
	w.dueNow()
	var all []int
	for due := 12; due > 0; {
		moved, left, err := w.store.Promote(w.ctx, 0, 100)
		require.NoError(t, err)
		require.Equal(t, due-moved, left)
		all, due = append(all, moved), left
	}
	require.Equal(t, []int{4, 4, 4}, all)
}

// Trace: the input stream refuses what is due, or later does not let go of it. Each call began with the same member again,
// and where it was copied and not removed there was one copy more each time.
func TestPromoteStandsAsideFromWhatIsRefused(t *testing.T) {
	everyServer(t, func(t *testing.T, w *world) {
		for i := range 3 {
			require.Equal(t, "m", verdicts(w.requeue(alice, back(w.own(alice, "s"+strconv.Itoa(i))).to(ToLater))))
		}
		w.Do("ZADD", w.keys.Later, "0", "unreadable")
		w.dueNow()
		w.Do("RENAME", w.keys.Input, "elsewhere")
		w.Do("SET", w.keys.Input, "x")
		w.Do("SET", w.keys.DeadLetters, "x")
		moved, due, err := w.store.Promote(w.ctx, 0, 2)
		require.ErrorIs(t, err, ErrSetAside)
		require.ErrorContains(t, err, "WRONGTYPE")
		require.Equal(t, []int{0, 1}, []int{moved, due}, "one refused, one unreadable, and the dead letters refuse that; then the others")
		_, due, err = w.store.Promote(w.ctx, 0, 10)
		require.ErrorIs(t, err, ErrSetAside)
		require.Zero(t, due)
		require.Equal(t, 4, w.Num("ZCARD", w.keys.Later), "nothing is lost")
		score, err := strconv.ParseFloat(w.Text("ZSCORE", w.keys.Later, "unreadable"), 64)
		require.NoError(t, err)
		require.InDelta(t, w.Now()+60_000, score, 30_000)

		w.Do("DEL", w.keys.DeadLetters)
		w.Do("RENAME", "elsewhere", w.keys.Input)
		w.dueNow()
		limited := w.as(w.user("-zrem"))
		_, _, err = limited.store.Promote(w.ctx, 0, 10)
		require.ErrorIs(t, err, ErrSetAside)
		require.Empty(t, w.Stream(w.keys.Input), "no copy is left behind")
		require.Zero(t, w.Num("XLEN", w.keys.DeadLetters))

		w.dueNow()
		moved, due, err = w.store.Promote(w.ctx, 0, 10)
		require.NoError(t, err)
		require.Equal(t, []int{4, 0}, []int{moved, due})
		require.Len(t, w.Stream(w.keys.Input), 3)
		require.Equal(t, 1, w.Num("XLEN", w.keys.DeadLetters))
	})
}

// Trace: somebody's tool writes thousands of members into the session set, called as the notes on servers are. A change of
// server removed them in one call, which Lua refuses, and with it every beat.
func TestThousandsOfServersOnRecordDoNotEndBeating(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	w.Do("EVAL", "for i = 1, 9000 do redis.call('ZADD', KEYS[1], -i, '!run:' .. i) end", "1", w.keys.Sessions)
	require.Equal(t, SessionLive, w.beat(alice).Status)
	require.Len(t, w.runs(), 1)
}

// Of a batch one item cannot be carried. The call fails as a whole, is halved, and all others get through.
func TestMoveFindsTheOneThatIsToBlame(t *testing.T) {
	items := make([]Disposition, 100)
	for i := range items {
		items[i].Entry = strconv.Itoa(i)
	}
	size := NewPageSize(64)
	calls := 0
	got := make(map[string]string)
	err := Move(items, &size, func(batch []Disposition) ([]Outcome, error) {
		calls++
		require.LessOrEqual(t, len(batch), 64)
		if slices.ContainsFunc(batch, func(r Disposition) bool { return r.Entry == "37" }) {
			return nil, refusedItem("ERR user_script:1: too many results to unpack")
		}
		return slices.Repeat([]Outcome{{Verdict: Moved}}, len(batch)), nil
	}, func(r Disposition, o Outcome) { got[r.Entry] += string(rune(o.Verdict)) + o.Reason })
	require.NoError(t, err)
	require.Len(t, got, 100)
	for entry, what := range got {
		if entry == "37" {
			require.Contains(t, what, "too many results")
		} else {
			require.Equal(t, "m", what, "once")
		}
	}
	require.Less(t, calls, 40)
}

// What has nothing to do with the items ends it, with the rest undone.
func TestMoveEndsAtWhatIsNobodysFault(t *testing.T) {
	for name, failure := range map[string]error{"refused": refusedItem("OOM command not allowed"), "no answer": context.DeadlineExceeded} {
		size := NewPageSize(2)
		calls, told := 0, 0
		err := Move(make([]Disposition, 10), &size, func(batch []Disposition) ([]Outcome, error) {
			if calls++; calls == 2 {
				return nil, failure
			}
			return slices.Repeat([]Outcome{{Verdict: Moved}}, len(batch)), nil
		}, func(Disposition, Outcome) { told++ })
		require.ErrorIs(t, err, failure, name)
		require.Equal(t, []int{2, 2}, []int{calls, told}, name)
		want := 2
		if name == "no answer" {
			want = 1 // the next time fewer are tried
		}
		require.Equal(t, want, size.Size(), name)
	}
	size := NewPageSize(2)
	require.Error(t, Move(make([]Disposition, 2), &size, func(batch []Disposition) ([]Outcome, error) {
		return slices.Repeat([]Outcome{{Verdict: Left}}, len(batch)), nil
	}, func(Disposition, Outcome) {}), "a script that never looks at anything would be asked for ever")
}

// An entry goes from one way to the next until one of them takes it.
func TestMoveRedirects(t *testing.T) {
	size := NewPageSize(10)
	var asked []string
	answers := map[Dest]Outcome{ToInput: {Verdict: TooWide}, ToDeadLetters: {Verdict: TooHeavy, Reason: `17 {"DataS`}, ToReference: {Verdict: Referred}}
	var ended []Disposition
	require.NoError(t, Move([]Disposition{{Dest: ToInput}}, &size, func(batch []Disposition) ([]Outcome, error) {
		asked = append(asked, string(rune(batch[0].Dest)))
		return []Outcome{answers[batch[0].Dest]}, nil
	}, func(r Disposition, _ Outcome) { ended = append(ended, r) }))
	require.Equal(t, []string{"q", "d", "r"}, asked)
	require.Equal(t, 17, ended[0].Size)
	require.Equal(t, `{"DataS`, ended[0].Cut)
	require.Contains(t, ended[0].Reason, DeadTooWide, "why it became a dead letter at all")
}

func TestOnlyTheEntryIsBlamedForWhatLiesInIt(t *testing.T) {
	for text, blames := range map[string]bool{
		"ERR user_script:90: too many results to unpack script: 0123, on @user_script:90.":       true,
		"ERR Error running script (call to f_0123): @user_script:90: too many results to unpack": true,
		"ERR wrong number of arguments for 'xadd' command":                                       true,
		"stack overflow": true,
		"ERR Error running script (call to f_0123): @user_script:1: OOM command not allowed when used memory > 'maxmemory'.": false,
		"OOM command not allowed when used memory > 'maxmemory'.":                                                            false,
		"READONLY You can't write against a read only replica.":                                                              false,
		"MISCONF Redis is configured to save RDB snapshots":                                                                  false,
		"LOADING Redis is loading the dataset in memory":                                                                     false,
		"CLUSTERDOWN Hash slot not served":                                                                                   false,
		"TRYAGAIN Multiple keys request during rehashing of slot":                                                            false,
		"NOPERM this user has no permissions to run the 'xack' command":                                                      false,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                                                  false,
		"NOGROUP No such key 'x' or consumer group 'y'":                                                                      false,
		"MOVED 3999 127.0.0.1:6381":                                                                                          false,
		"DLQFULL x is at its limit":                                                                                          false,
		"ERR The stream has exhausted the last possible ID, unable to add more items":                                        false,
		"ERR The ID specified in XADD is equal or smaller than the target stream top item":                                   false,
	} {
		require.Equal(t, blames, Blames(refusedItem(text)), text)
	}
	require.False(t, Blames(context.DeadlineExceeded), "no answer says nothing of an entry")
	require.False(t, Blames(nil))
}

func TestSetbacksGiveUpOnWhatIsToBlameOnly(t *testing.T) {
	var s Setbacks
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	blamed, full := refusedItem("stack overflow"), refusedItem("OOM full")
	for n := range MoveTries {
		_, ok := s.Exhausted("a")
		require.False(t, ok)
		s.Refused("a", blamed, 100, second)
		s.Refused("b", full, 100, second)
		require.Equal(t, n < MoveTries-1, s.Waits("a", 100), "once given up it is moved at once")
		require.True(t, s.Waits("b", 100))
	}
	why, ok := s.Exhausted("a")
	require.True(t, ok)
	require.Equal(t, blamed, why)
	_, ok = s.Exhausted("b")
	require.False(t, ok, "a full server makes no dead letters")
	at, ok := s.Next()
	require.True(t, ok)
	require.EqualValues(t, 100, at)
	s.Retain(func(id string) bool { return id == "b" })
	require.Equal(t, 1, s.Len())
	s.Moved("b")
	_, ok = s.Next()
	require.False(t, ok)
}

// What was not looked at, and what has its name too far behind, is not malformed.
func TestOnlyWhatWasReadIsMalformed(t *testing.T) {
	layout, err := cluster.NewLayout("shop", 1)
	require.NoError(t, err)
	back := func(raw Entry) Disposition {
		x, err := Parse(layout, &raw)
		return RequeueEntry(&x, err, "none")
	}
	text := func(text string, size int) Entry {
		return Entry{ID: "1-1", Size: 1000, Fields: 1, TextSize: size, Body: []rueidis.XRangeFieldValue{{Field: FieldAnnouncement, Value: text}}}
	}
	require.Equal(t, ToDeadLetters, back(text(`{"DataStr`, 0)).Dest)
	require.Equal(t, "none", back(text(`{"DataStr`, 0)).Key)
	require.Equal(t, ToDeadLetters, back(text(`[1,`, 900)).Dest)
	require.Equal(t, ToDeadLetters, back(Entry{ID: "1-1", Size: 1000, Fields: 9}).Dest, "none of its fields is ours")
	require.Equal(t, ToInput, back(text(`{"Info":"xxxx`, 900)).Dest, "its name was not read")
	require.Equal(t, ToInput, back(Entry{ID: "1-1"}).Dest, "nothing was read")
	require.Equal(t, ToLater, RequeueEntry(&Entry{ID: "1-1", Key: "k", NotBefore: 5}, nil, "none").Dest)
}
