package lease

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// bulky announces a stream with an Info of so many bytes, as its JSON.
func (w *harness) bulky(stream string, info int, more ...string) string {
	w.t.Helper()
	text, err := EncodeAnnouncement(stream, json.RawMessage(`"`+strings.Repeat("x", info-2)+`"`))
	require.NoError(w.t, err)
	return w.Text(append([]string{"XADD", w.keys.Input, "*", FieldAnnouncement, text}, more...)...)
}

// wide announces a stream with so many further fields.
func (w *harness) wide(stream string, fields int) string {
	w.t.Helper()
	all := []string{"XADD", w.keys.Input, "*", FieldAnnouncement, `{"DataStreamName":"` + stream + `"}`}
	for i := range fields {
		all = append(all, "f"+strconv.Itoa(i), "v")
	}
	return w.Text(all...)
}

func parsed(t *testing.T, w *harness, e *Entry) Entry {
	t.Helper()
	x, err := Parse(w.layout, e)
	require.NoError(t, err)
	return x
}

// XREADGROUP COUNT 1000 brought 1,000 announcements of 1 MiB at once, and cost its reader gigabytes.
func TestAReadEndsAtAWeight(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	const small, large = 100, 20
	var ids []string
	for i := range small {
		ids = append(ids, w.announce(fmt.Sprint("small", i)))
	}
	for i := range large {
		ids = append(ids, w.bulky(fmt.Sprint("large", i), 1<<20))
	}
	for i := range small {
		ids = append(ids, w.announce(fmt.Sprint("after", i)))
	}
	var got []string
	calls := 0
	for more := true; more; calls++ {
		var entries []Entry
		var err error
		entries, more, err = w.store.ReadOn(w.ctx, 0, alice, 1000, MaxCallWeight, 0)
		require.NoError(t, err)
		size := 0
		for i := range entries {
			got = append(got, entries[i].ID)
			x := parsed(t, w, &entries[i])
			require.False(t, x.Cut())
			size += x.Size
		}
		require.Less(t, size, MaxCallWeight+8<<20, "what nobody could foresee is eight at most")
		if calls > 0 {
			require.Less(t, size, MaxCallWeight+2<<20)
		}
	}
	require.Equal(t, ids, got, "each once, in order")
	require.Less(t, calls, 1+large/3+3)
	require.Equal(t, ids, w.pendingIDs(alice))

	// No more than there is room for.
	w.bulky("x", 1<<20)
	w.bulky("y", 1<<20)
	entries, more, err := w.store.ReadOn(w.ctx, 0, alice, 1000, 1, 0)
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, entries, 1)
	entries, more, err = w.store.ReadOn(w.ctx, 0, alice, 1, MaxCallWeight, 0)
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, entries, 1)
	entries, more, err = w.store.ReadOn(w.ctx, 0, alice, 5, MaxCallWeight, 0)
	require.NoError(t, err)
	require.False(t, more)
	require.Empty(t, entries)
}

// What is in an entry that nobody needs stays on the server, however it is read.
func TestAHeavyEntryIsAnsweredInShort(t *testing.T) {
	w := newHarness(t, func(s *Settings) { s.Limits.MaxInfo = 200_000 })
	longest := w.set.Limits.MaxAnnouncement()
	ways := map[string]func() Entry{
		"waiting": func() Entry {
			entries, err := w.store.Read(w.ctx, 0, alice, 1, 1e9)
			require.NoError(t, err)
			require.Len(t, entries, 1)
			return entries[0]
		},
		"reading on": func() Entry {
			entries, _, err := w.store.ReadOn(w.ctx, 0, alice, 1, 1, 0)
			require.NoError(t, err)
			require.Len(t, entries, 1)
			return entries[0]
		},
	}
	held := func(e *Entry) *Entry {
		for after := ""; ; {
			page, err := w.store.Pending(w.ctx, 0, alice, after, 10, 0)
			require.NoError(t, err)
			require.NotEmpty(t, page, "not pending")
			for i := range page {
				if after = page[i].ID; after == e.ID {
					return &page[i].Entry
				}
			}
		}
	}
	for way, read := range ways {
		t.Run(way, func(t *testing.T) {
			w.open(alice)
			w.bulky("s", 1000, FieldRetries, "2", "mine", strings.Repeat("m", 1<<20), FieldRetries, "9", FieldAnnouncement, "again")
			e := read()
			require.Equal(t, e, *held(&e), "as a page of what is pending has it")
			x := parsed(t, w, &e)
			require.True(t, x.Cut())
			require.Equal(t, []any{"s", 1000, 2, 5}, []any{x.Stream, len(x.Info), x.Retries, x.Fields})
			require.Greater(t, x.Size, 1<<20)
			require.Less(t, x.Held(), 5000)
			require.NoError(t, w.set.Limits.Check(&x))

			whole, ok, err := w.store.Whole(w.ctx, &x)
			require.NoError(t, err)
			require.True(t, ok)
			require.Len(t, whole.Body, 5)
			require.Equal(t, x.Size, weight(whole.Body))
			require.False(t, whole.Cut())

			w.wide("many", 3900)
			e = read()
			require.Equal(t, e, *held(&e))
			x = parsed(t, w, &e)
			require.Equal(t, []any{"many", 3901, true}, []any{x.Stream, x.Fields, x.Cut()})
			require.ErrorContains(t, w.set.Limits.Check(&x), "3901 fields, the limit is 1000 (WithLimits, MaxFields)")

			w.bulky("long", 2<<20)
			e = read()
			require.Equal(t, e, *held(&e))
			x = parsed(t, w, &e)
			require.Equal(t, "long", x.Stream, "which stands in front")
			require.Greater(t, x.TextSize, 2<<20)
			require.Len(t, x.Body[0].Value, longest)
			err = w.set.Limits.Check(&x)
			require.ErrorIs(t, err, api.ErrTooLarge)
			require.ErrorContains(t, err, "MaxInfo")

			w.Text("XADD", w.keys.Input, "*", FieldAnnouncement, `{"Info":"`+strings.Repeat("x", 2<<20)+`","DataStreamName":"behind"}`)
			e = read()
			_, err = Parse(w.layout, &e)
			require.ErrorIs(t, err, ErrNameCut)
			require.ErrorIs(t, w.set.Limits.Check(&e), api.ErrTooLarge)

			w.Text("XADD", w.keys.Input, "*", FieldNotBefore, strings.Repeat("9", 1<<20), FieldAnnouncement, `{"DataStreamName":"x"}`)
			e = read()
			require.Less(t, e.Held(), 1000)
			_, err = Parse(w.layout, &e)
			require.ErrorContains(t, err, FieldNotBefore)
			require.NotErrorIs(t, err, ErrNameCut)
		})
	}
}

// Exactly what the limits allow passes, however it is written.
func TestInfoOfExactlyTheLimitPasses(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.bulky(strings.Repeat("\x01", DefaultMaxName), DefaultMaxInfo)
	entries, _, err := w.store.ReadOn(w.ctx, 0, alice, 1, MaxCallWeight, 0)
	require.NoError(t, err)
	x := parsed(t, w, &entries[0])
	require.False(t, x.Cut())
	require.NoError(t, w.set.Limits.Check(&x))
	require.Len(t, x.Info, DefaultMaxInfo)
	w.bulky("s", DefaultMaxInfo+1)
	entries, _, err = w.store.ReadOn(w.ctx, 0, alice, 1, MaxCallWeight, 0)
	require.NoError(t, err)
	x = parsed(t, w, &entries[0])
	require.ErrorIs(t, w.set.Limits.Check(&x), api.ErrTooLarge)
}

// A page of what is pending was bounded by a number, and 256 announcements of 1 MiB came in one.
func TestAPageOfWhatIsPendingEndsAtAWeight(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	var ids []string
	for i := range 12 {
		ids = append(ids, w.bulky(fmt.Sprint(i), 1<<20))
	}
	ids = append(ids, w.announce("gone"), w.announce("last"))
	w.read(alice, 100)
	w.Do("XDEL", w.keys.Input, ids[12])
	var got []string
	pages := 0
	for after := ""; ; pages++ {
		page, err := w.store.Pending(w.ctx, 0, alice, after, 100, 0)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		size := 0
		for _, x := range page {
			require.Equal(t, x.ID == ids[12], x.Gone)
			size += x.Held()
			after = x.ID
			got = append(got, x.ID)
		}
		require.Less(t, size, MaxCallWeight+1<<20+1000)
	}
	require.Equal(t, ids, got)
	require.Equal(t, 4, pages)
}

// A read that fails half-way must tell what it has been given: it is pending.
func TestAReadThatFailsLaterTellsWhatItWasGiven(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	id := w.announce("s")
	text, err := luaFiles.ReadFile("lua/read.lua")
	require.NoError(t, err)
	// The second XREADGROUP meets no group.
	script := NewScript("read", strings.Replace(string(text), "left, chunk = left - chunk", "redis.call('XGROUP', 'DESTROY', input, group) left, chunk = left - chunk", 1))
	require.NotEqual(t, scriptRead.SHA(), script.SHA())
	run := func() ([]rueidis.RedisMessage, error) {
		return NewRunner(w.Client, nil).Do(w.ctx, Call{Script: script, Keys: []string{w.keys.Input},
			Args: []string{w.layout.Group(), alice, "10", "1000", "1000"}}).ToArray()
	}
	parts, err := run()
	require.NoError(t, err)
	require.Len(t, parts, 2)
	row, err := parts[1].ToArray()
	require.NoError(t, err)
	got, err := row[0].ToString()
	require.NoError(t, err)
	require.Equal(t, id, got)
	_, err = run()
	code, ok := Refusal(err)
	require.True(t, ok)
	require.Equal(t, "NOGROUP", code)
	_, _, err = w.store.ReadOn(w.ctx, 0, alice, 10, 1000, 0)
	code, _ = Refusal(err)
	require.Equal(t, "NOGROUP", code, "%v", err)
}

// A copy whose answer was lost was made again: a duplicate each time.
func TestACopyWhoseAnswerWasLostIsNotMadeTwice(t *testing.T) {
	w := newHarness(t)
	layout := layoutOf(t, 3)
	store := NewStore(layout, w.set, w.Client, w.Client, nil)
	home := layout.Keys(2)
	var entries []*Entry
	for i := range 5 {
		entries = append(entries, &Entry{ID: fmt.Sprint("1-", i+1), Home: 2, Body: body("n", strconv.Itoa(i), FieldAnnouncement, "x")})
	}
	count := func() int { return w.Num("XLEN", home.Input) }
	forward := func(again bool, entries ...*Entry) {
		t.Helper()
		out, err := store.Forward(w.ctx, alice, entries, again)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("m", len(entries)), verdicts(out))
	}
	forward(false, entries[:3]...)
	require.Equal(t, 3, count())
	for range 3 {
		forward(true, entries[0])
		forward(true, entries[1:4]...)
	}
	require.Equal(t, 4, count())
	// The call that timed out, which runs only now, does nothing.
	before := w.Text("GET", home.Copied(0, alice))
	number, _, _ := strings.Cut(before, " ")
	n, err := strconv.Atoi(number)
	require.NoError(t, err)
	late := NewRunner(w.Client, nil).Do(w.ctx, Call{Script: scriptCopy, Keys: []string{home.Input, home.Copied(0, alice)},
		Args: []string{strconv.Itoa(n - 1), "1", "1000", "1-1", "2", "n", "late"}})
	answer, err := late.AsStrSlice()
	require.NoError(t, err)
	require.Equal(t, []string{"late"}, answer)
	require.Equal(t, 4, count())
	// Another batch, another consumer and another partition know nothing of it.
	forward(false, entries[0])
	require.Equal(t, 5, count())
	require.Less(t, len(w.Text("GET", home.Copied(0, alice))), 20, "only of the last batch is anything remembered")
	require.Positive(t, w.pttl(home.Copied(0, alice)))
	out, err := store.Forward(w.ctx, bob, entries[:1], true)
	require.NoError(t, err)
	require.Equal(t, "m", verdicts(out))
	elsewhere := *entries[0]
	elsewhere.Partition = 1
	forward(true, &elsewhere)
	require.Equal(t, 7, count())

	// What is refused by itself is reported by itself.
	w.Do("DEL", home.Input)
	w.Do("SET", home.Input, "x")
	out, err = store.Forward(w.ctx, alice, entries[:2], false)
	require.NoError(t, err)
	require.Equal(t, "xx", verdicts(out))
	code, _ := Refusal(out[1].Err())
	require.Equal(t, "WRONGTYPE", code)
}
