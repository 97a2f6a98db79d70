package lease

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// signalling is a harness whose store takes part in signals, from now on, and the errors that it was refused with.
func signalling(t *testing.T, w *harness) (refused *[]error) {
	t.Helper()
	refused = new([]error)
	w.set.Signals = NewSignals(w.layout, w.clock, func(p int, err error) {
		require.Zero(t, p)
		*refused = append(*refused, err)
	})
	w.store = NewStore(w.layout, w.set, w.Client, w.Client, nil)
	return refused
}

func newSignalling(t *testing.T) (w *harness, refused *[]error) {
	w = newHarness(t)
	refused = signalling(t, w)
	w.open(alice)
	w.open(bob)
	beat := w.beat(alice)
	require.Empty(t, beat.Signal)
	require.NotEmpty(t, beat.SignalsFrom, "a process that has no position gets one")
	w.set.Signals.SetPosition(0, beat.SignalsFrom)
	again := w.beat(alice)
	require.Equal(t, Beat{Status: SessionLive, Server: beat.Server, Firm: w.set.SessionTTL, Time: again.Time}, again, "and only once")
	return w, refused
}

// signals reads on, and returns what it found as text.
func (w *harness) signals() (out []string) {
	w.t.Helper()
	page, err := w.store.Signals(w.ctx, 0, w.set.Signals.Position(0), MaxSignalPage)
	require.NoError(w.t, err)
	require.False(w.t, page.Gone)
	for _, x := range page.Signals {
		w.set.Signals.SetPosition(0, x.ID)
		for _, i := range x.Items {
			text := fmt.Sprintf("%s %s", x.Kind, i.Stream)
			if i.Token != 0 {
				text += " " + i.Token.String()
			}
			out = append(out, text+string(x.Payload))
		}
	}
	return out
}

// The owner of a stream hears once that another announcement waits, and those who wait that the stream is free, however it became so.
func TestSignalsSayWhoWaitsAndWhatIsFree(t *testing.T) {
	endings := map[string]func(t *testing.T, w *harness, l *Lease){
		"done": func(t *testing.T, w *harness, l *Lease) { require.Equal(t, "d", verdicts(w.done(alice, back(l)))) },
		"requeue": func(t *testing.T, w *harness, l *Lease) {
			require.Equal(t, "m", verdicts(w.requeue(alice, back(l))))
		},
		"requeue under any token": func(t *testing.T, w *harness, l *Lease) {
			item := back(l)
			item.Token = AnyToken
			require.Equal(t, "m", verdicts(w.requeue(alice, item)))
		},
		"acknowledged by hand": func(t *testing.T, w *harness, l *Lease) {
			w.Do("XACK", w.keys.Input, w.layout.Group(), l.Entry())
			out, err := w.store.Restore(w.ctx, 0, alice, []Restorable{{Disposition: back(l)}})
			require.NoError(t, err)
			require.Equal(t, "m", verdicts(out))
		},
		"its body deleted": func(t *testing.T, w *harness, l *Lease) {
			w.Do("XDEL", w.keys.Input, l.Entry())
			e := Entry{ID: l.Entry(), Stream: l.Stream(), Key: l.Key()}
			require.Equal(t, Gone, w.acquire(alice, &e)[0].Verdict)
		},
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			w, refused := newSignalling(t)
			l := w.own(alice, "s")
			require.Empty(t, w.signals(), "nobody waits")
			w.announce("s")
			w.announce("s")
			waiting := w.read(bob, 2)
			require.Equal(t, HeldByOne, w.acquire(bob, waiting[0])[0].Verdict)
			require.NotEmpty(t, w.beat(alice).Signal)
			require.Equal(t, []string{"announced s " + l.Token().String()}, w.signals())
			require.Empty(t, w.beat(alice).Signal, "it is known")
			w.acquire(bob, waiting...)
			w.acquire(bob, waiting[0])
			require.Empty(t, w.signals(), "the owner knows already")
			end(t, w, l)
			require.Empty(t, w.value("s"))
			require.Equal(t, []string{"freed s"}, w.signals())
			require.Empty(t, *refused)
		})
	}
}

// A stream for which nobody waits is freed in silence: 10,000 endings a second must not be 10,000 signals.
func TestNoSignalWhereNobodyWaits(t *testing.T) {
	w, _ := newSignalling(t)
	w.done(alice, back(w.own(alice, "s")))
	w.requeue(alice, back(w.own(alice, "s")))
	require.Zero(t, w.Num("EXISTS", w.keys.Signals))
}

// Trace: the answer to acquire is lost. Somebody finds the stream held and notes that it waits, under a token that the owner will
// never hear of. The second attempt mints another token, and its value forgot who waits: nobody told the owner.
func TestWhoWaitsIsNotForgottenWhenAnAcquisitionIsRepeated(t *testing.T) {
	w, _ := newSignalling(t)
	w.announce("s")
	mine := w.read(alice, 1)
	lost := w.acquire(alice, mine...)[0]
	w.announce("s")
	theirs := w.read(bob, 1)
	w.acquire(bob, theirs...)
	l := w.take(alice, mine[0])
	require.Greater(t, l.Token(), lost.Token)
	require.Equal(t, []string{"announced s " + lost.Token.String(), "announced s " + l.Token().String()}, w.signals())
	renewal := w.renew(alice, l)
	require.Equal(t, "k", renewal.Verdicts)
	require.Equal(t, []int{0}, renewal.Waiting)
}

// What follows a waiting entry in a lease's value is none of renewal's business, and is no announcement.
func TestOnlyAnEntryCountsAsWaiting(t *testing.T) {
	w, _ := newSignalling(t)
	l := w.own(alice, "s")
	for value, waits := range map[string]bool{"": false, " mark": false, " 9-1": true, " 9-1 mark": true} {
		w.Do("SET", l.Key(), ownedValue(alice, l.tag)+value, "PX", "30000")
		r := w.renew(alice, l)
		require.Equal(t, "k", r.Verdicts)
		require.Equal(t, waits, len(r.Waiting) == 1, "%q", value)
	}
}

// A storm of announcements of streams that are held is some hundred entries, not one each: every process reads them.
func TestSignalsOfOneCallShareAnEntry(t *testing.T) {
	w, _ := newSignalling(t)
	const streams = 200
	var leases []*Lease
	for i := range streams {
		leases = append(leases, w.own(alice, fmt.Sprintf("orders:%06d", i)))
	}
	for i := range streams {
		w.announce(fmt.Sprintf("orders:%06d", i))
	}
	waiting := w.read(bob, streams)
	w.acquire(bob, waiting...)
	require.LessOrEqual(t, w.Num("XLEN", w.keys.Signals), 4)
	got := w.signals()
	require.Len(t, got, streams)
	for i, l := range leases {
		require.Equal(t, "announced "+l.Stream()+" "+l.Token().String(), got[i])
	}
	before := w.Num("XLEN", w.keys.Signals)
	var items []Disposition
	for _, l := range leases {
		items = append(items, back(l))
	}
	w.done(alice, items...)
	require.LessOrEqual(t, w.Num("XLEN", w.keys.Signals)-before, 3)
	require.Len(t, w.signals(), streams)

	// The longest name there is makes an entry of its own.
	long := w.own(alice, strings.Repeat("n", cluster.MaxStreamName))
	w.announce(long.Stream())
	w.acquire(bob, w.read(bob, 1)...)
	require.Equal(t, []string{"announced " + long.Stream() + " " + long.Token().String()}, w.signals())
}

// A user without the right to the key, or to a command, and a key of another type: everything works without signals, says so
// once, and asks again only after a while.
func TestRefusedSignalsFailNothing(t *testing.T) {
	check := func(t *testing.T, w *harness, wantErr string, beforehand func()) {
		t.Helper()
		w.open(alice)
		w.open(bob)
		refused := signalling(t, w)
		w.set.Signals.SetPosition(0, "1-1")
		beforehand()
		if beat := w.beat(alice); beat.SignalsErr != nil {
			w.set.Signals.Refuse(0, beat.SignalsErr) // as an engine does
		}
		l := w.own(alice, "s")
		w.announce("s")
		waiting := w.read(bob, 1)
		require.Equal(t, HeldByOne, w.acquire(bob, waiting...)[0].Verdict)
		r := w.renew(alice, l)
		require.Equal(t, "k", r.Verdicts)
		require.Equal(t, []int{0}, r.Waiting)
		require.Equal(t, "d", verdicts(w.done(alice, back(l))))
		l = w.take(bob, waiting[0])
		require.Equal(t, "m", verdicts(w.requeue(bob, back(l))))
		require.Len(t, *refused, 1, "%v", *refused)
		require.ErrorContains(t, (*refused)[0], wantErr)
		require.True(t, w.set.Signals.LeftOut(0))
	}
	t.Run("the key", func(t *testing.T) {
		w := newHarness(t)
		limited := w.as(w.user("resetkeys", "~"+w.keys.Input, "~{"+w.keys.Input+"}:[a-rt-z]*", "~{"+w.keys.Input+"}:sessions"))
		limited.t = t
		check(t, limited, "NOPERM", func() {})
	})
	t.Run("reading", func(t *testing.T) {
		w := newHarness(t)
		if redisOf(w) < 7 {
			t.Skip("NOT RUN before Redis 7.0: it has no selectors")
		}
		limited := w.as(w.user("resetkeys", "~"+w.keys.Input, "~{"+w.keys.Input+"}:[a-rt-z]*", "~{"+w.keys.Input+"}:sessions", "%W~"+w.keys.Signals))
		limited.t = t
		check(t, limited, "NOPERM", func() {})
	})
	t.Run("another type", func(t *testing.T) {
		w := newHarness(t)
		check(t, w, "WRONGTYPE", func() { w.Do("SET", w.keys.Signals, "mine") })
		_, err := w.store.Signals(w.ctx, 0, "1-1", 10)
		require.ErrorContains(t, err, "WRONGTYPE")
	})
	t.Run("adding", func(t *testing.T) {
		w := newHarness(t)
		check(t, w, "last possible ID", func() {
			// Nothing can be added after the greatest ID, and nothing is there to be read.
			w.Do("XADD", w.keys.Signals, "18446744073709551615-18446744073709551615", "kind", "user")
			w.Do("XDEL", w.keys.Signals, "18446744073709551615-18446744073709551615")
		})
	})
}

// What producers and others write is read as it is, in pages; what cannot be read costs its ID.
func TestSignalsAreReadInPages(t *testing.T) {
	w, _ := newSignalling(t)
	add := func(fields ...string) string {
		return w.Text(append([]string{"XADD", w.keys.Signals, "*"}, fields...)...)
	}
	start := w.set.Signals.Position(0)
	first := add("stream", "s", "kind", "user", "payload", "look")
	require.Equal(t, first, w.beat(alice).Signal)
	add("stream", "s")
	add("payload", "nobody's")
	add("stream", "", "kind", "user")
	add("kind", "announced", "token", "7", "stream", "s")
	add("kind", "announced", "stream", "s", "token", "x")
	add("kind", "later", "stream", "s", "more", "fields")
	add("stream", "s", "payload", strings.Repeat("x", api.MaxSignal))
	add("stream", "s", "payload", strings.Repeat("x", api.MaxSignal+1))
	heavy := add("stream", "s", "payload", strings.Repeat("x", 1<<20))
	add("kind", "wish")
	last := add("stream", "s", "kind", "user", "payload", "\x00\xff")

	page, err := w.store.Signals(w.ctx, 0, start, MaxSignalPage)
	require.NoError(t, err)
	require.False(t, page.Gone)
	var kinds []string
	for _, x := range page.Signals {
		kinds = append(kinds, string(x.Kind))
	}
	require.Equal(t, []string{"user", "user", "", "", "", "", "later", "user", "", "", "wish", "user"}, kinds)
	require.Equal(t, []byte("look"), page.Signals[0].Payload)
	require.Equal(t, []byte("\x00\xff"), page.Signals[11].Payload)
	require.Equal(t, Signal{ID: page.Signals[10].ID, Kind: SignalWish}, page.Signals[10], "it is about no stream")
	require.Equal(t, heavy, page.Signals[9].ID)

	for from, n := start, 0; ; n++ {
		page, err = w.store.Signals(w.ctx, 0, from, 3)
		require.NoError(t, err)
		require.False(t, page.Gone)
		if !page.More {
			require.Equal(t, 4, n)
			require.Empty(t, page.Signals)
			require.Equal(t, last, from)
			break
		}
		require.Len(t, page.Signals, 3)
		from = page.Signals[2].ID
	}
	for i := range 400 {
		add("stream", "s", "payload", strconv.Itoa(i)+strings.Repeat("x", 4000))
	}
	page, err = w.store.Signals(w.ctx, 0, last, MaxSignalPage)
	require.NoError(t, err)
	require.True(t, page.More)
	require.Less(t, len(page.Signals), 100, "a page is bounded in bytes, too")

	// The signal at the position was trimmed: others may have been trimmed with it.
	w.Do("XTRIM", w.keys.Signals, "MAXLEN", "10")
	page, err = w.store.Signals(w.ctx, 0, last, MaxSignalPage)
	require.NoError(t, err)
	require.True(t, page.Gone)
	require.Len(t, page.Signals, 10)
	page, err = w.store.Signals(w.ctx, 0, start, MaxSignalPage)
	require.NoError(t, err)
	require.False(t, page.Gone, "a time is no signal that could be gone")
	w.Do("DEL", w.keys.Signals)
	page, err = w.store.Signals(w.ctx, 0, last, MaxSignalPage)
	require.NoError(t, err)
	require.True(t, page.Gone)
	require.Empty(t, page.Signals)
}

// The stream of signals is bounded, whoever adds to it.
func TestSignalsAreTrimmed(t *testing.T) {
	w, _ := newSignalling(t)
	command := SignalCommand(w.Client.B(), w.layout, "s", []byte("look"))
	require.Equal(t, []string{"XADD", w.keys.Signals, "MAXLEN", "~", strconv.Itoa(SignalsKept), "*", "stream", "s", "kind", "user",
		"payload", "look"}, command.Commands())
	w.Do("EVAL", "for i = 1, 10500 do redis.call('XADD', KEYS[1], '*', 'stream', 's') end", "1", w.keys.Signals)
	require.NoError(t, w.Client.Do(w.ctx, command).Error())
	require.Less(t, w.Num("XLEN", w.keys.Signals), SignalsKept+200)
	l := w.own(alice, "s")
	w.Do("EVAL", "for i = 1, 500 do redis.call('XADD', KEYS[1], '*', 'stream', 's') end", "1", w.keys.Signals)
	w.announce("s")
	w.acquire(bob, w.read(bob, 1)...)
	require.NotNil(t, l)
	require.Less(t, w.Num("XLEN", w.keys.Signals), SignalsKept+200)
}

// A position in time is before all that comes after it, in the same millisecond, too.
func TestAPositionInTimeIsBeforeWhatFollows(t *testing.T) {
	w, _ := newSignalling(t)
	for i := range 50 {
		w.set.Signals.SetPosition(0, "")
		from := w.beat(alice).SignalsFrom
		require.False(t, isSignalID(from))
		w.Do("XADD", w.keys.Signals, "*", "stream", strconv.Itoa(i))
		w.set.Signals.SetPosition(0, from)
		got := w.signals()
		require.NotEmpty(t, got)
		require.Equal(t, "user "+strconv.Itoa(i), got[len(got)-1])
	}
	require.True(t, isSignalID("5-1"))
}

// Trace: the clock of the server is an hour ahead when a process joins, and is set right then. What comes is before the position of that
// process, which heard of nothing for an hour.
func TestAPositionThatIsAheadOfTheClockIsSetBack(t *testing.T) {
	w, _ := newSignalling(t)
	ahead := strconv.FormatInt(w.Now()+3_600_000, 10) + "-18446744073709551615"
	w.set.Signals.SetPosition(0, ahead)
	w.Do("XADD", w.keys.Signals, "*", "stream", "s")
	from := w.beat(alice).SignalsFrom
	require.Negative(t, CompareIDs(from, ahead))
	require.False(t, w.set.Signals.SetBack(0, ahead), "it is there")
	require.True(t, w.set.Signals.SetBack(0, from))
	require.False(t, w.set.Signals.SetBack(0, from), "a second answer")
	w.Do("XADD", w.keys.Signals, "*", "stream", "s")
	b := w.beat(alice)
	require.Empty(t, b.SignalsFrom)
	require.NotEmpty(t, b.Signal)
	w.set.Signals.SetPosition(0, b.Signal)
	require.False(t, w.set.Signals.SetBack(0, "1-18446744073709551615"), "signals go on from the last, whatever the clock says")
}
