package lease

import (
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
func everyServer(t *testing.T, f func(t *testing.T, w *harness), changes ...func(*Settings)) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			w := harnessOn(t, servers.New(t, servers.On(program)), changes...)
			w.open(alice)
			f(t, w)
		})
	}
}

// raw adds an entry with these fields, and has it read by alice after all others. What nobody can parse has the key of the empty name.
func (w *harness) raw(fields ...string) Disposition {
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

// of them, which Lua cannot unpack. It was refused every way, forever.
func TestOneFieldThousandsOfTimesStillMakesADeadLetter(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
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
func (w *harness) letter() (fields []string) {
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
	everyServer(t, func(t *testing.T, w *harness) {
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
	everyServer(t, func(t *testing.T, w *harness) {
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
	everyServer(t, func(t *testing.T, w *harness) {
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

// Trace: somebody's tool writes thousands of members into the session set, called as the notes on servers are. A change of

// server removed them in one call, which Lua refuses, and with it every beat.
func TestThousandsOfServersOnRecordDoNotEndBeating(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.Do("EVAL", "for i = 1, 9000 do redis.call('ZADD', KEYS[1], -i, '!run:' .. i) end", "1", w.keys.Sessions)
	require.Equal(t, SessionLive, w.beat(alice).Status)
	require.Len(t, w.runs(), 1)
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
