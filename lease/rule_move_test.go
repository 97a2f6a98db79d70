package lease

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// to sends a Disposition elsewhere than back to the input stream.
func (r Disposition) to(dest Dest) Disposition {
	r.Dest, r.Reason = dest, "because"
	if dest == ToLater {
		r.Delay = aged
	}
	return r
}

// Trace: Redis refuses the acknowledgement (an ACL, a failing disk) after the copy was written. Lua does not roll back, so
// the stream would be announced twice, and again with every attempt.
func TestRule08RefusedAcknowledgementLeavesNoSecondCopy(t *testing.T) {
	for _, dest := range []Dest{ToInput, ToLater, ToDeadLetters} {
		t.Run(string(rune(dest)), func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			l := w.own(alice, "s")
			limited := w.as(w.user("-xack"))
			for range 2 {
				out := limited.requeue(alice, back(l).to(dest))
				require.Equal(t, "x", verdicts(out))
				require.NotEmpty(t, out[0].Reason)
			}
			require.Len(t, w.Stream(w.keys.Input), 1)
			require.Zero(t, w.Num("ZCARD", w.keys.Later))
			require.Zero(t, w.Num("XLEN", w.keys.DeadLetters))
			require.Equal(t, []string{l.Entry()}, w.pendingIDs(alice))
			require.Equal(t, "k", w.renew(alice, l).Verdicts)
			require.Equal(t, "m", verdicts(w.requeue(alice, back(l).to(dest))))
		})
	}
}

// Trace: a right that done needs is missing. Whatever the server did before it refused, each entry of the batch is pending
// still or asked for again, and its ending comes true when the right is back.
func TestRefusedDoneIsAskedForAgain(t *testing.T) {
	for _, rule := range []string{"-xdel", "-xack", "-del"} {
		t.Run(rule, func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			a, b := w.own(alice, "a"), w.own(alice, "b")
			limited := w.as(w.user(rule))
			for range 2 {
				out, err := limited.store.Done(w.ctx, 0, alice, []Disposition{back(a), back(b)})
				if rule == "-xack" { // refused before anything else
					require.Error(t, err)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, "xx", verdicts(out))
			}
			require.Equal(t, "dd", verdicts(w.done(alice, back(a), back(b))))
			require.Empty(t, w.pendingIDs(alice))
			require.Empty(t, w.value("a")+w.value("b"))
		})
	}
}

// Trace: the copy is refused: nothing may be acknowledged. And what is wrong with one entry of a batch (here: later is
// not a sorted set, there is no dead-letter stream) does not keep the others.
func TestRule08RefusedCopyKeepsTheEntryAndTheRestOfTheBatchMoves(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	a, b, c, d := w.own(alice, "a"), w.own(alice, "b"), w.own(alice, "c"), w.own(alice, "d")
	w.Do("SET", w.keys.Later, "x")
	w.Do("SET", w.keys.DeadLetters, "x")
	out := w.requeue(alice, back(a), back(b).to(ToLater), back(c).to(ToDeadLetters), back(d))
	require.Equal(t, "mxxm", verdicts(out))
	require.Contains(t, out[1].Reason, "WRONGTYPE")
	require.Contains(t, out[2].Reason, "WRONGTYPE")
	require.Empty(t, out[0].Reason)
	require.Equal(t, []string{b.Entry(), c.Entry()}, w.pendingIDs(alice))
	require.Equal(t, "lkkl", w.renewAll(alice, a, b, c, d))
}

// renewAll renews although later may be of another type.
func (w *harness) renewAll(consumer string, leases ...*Lease) string {
	w.Do("DEL", w.keys.Later)
	return w.renew(consumer, leases...).Verdicts
}

// Trace: an entry with more fields than Lua can unpack. XADD raises forever, and the entry comes back from every
// recovery: it goes to the dead letters with the field that counts.
func TestRule08EntryTooWideToCopyIsADeadLetterWithKnownFields(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	var more []string
	for i := range 5000 {
		more = append(more, "f"+strconv.Itoa(i), "v")
	}
	w.announce("wide", more...)
	w.announce("widest", more[:2*3899]...)
	entries := w.read(alice, 2)
	wide, widest := w.take(alice, entries[0]), w.take(alice, entries[1])

	for _, dest := range []Dest{ToInput, ToLater} {
		require.Equal(t, "u", verdicts(w.requeue(alice, back(wide).to(dest))))
	}
	require.Contains(t, w.pendingIDs(alice), wide.Entry())
	r := back(wide).to(ToDeadLetters)
	r.Retries, r.Crashes = 2, 1
	require.Equal(t, "m", verdicts(w.requeue(alice, r)))
	letters := w.Stream(w.keys.DeadLetters)
	require.Len(t, letters, 1)
	text, _ := EncodeAnnouncement("wide", nil)
	dead := letters[0].FieldValues
	require.Contains(t, dead, FieldDeadAt)
	delete(dead, FieldDeadAt)
	require.Equal(t, map[string]string{
		FieldAnnouncement: text, FieldReason: "because", FieldOriginalID: wide.Entry(), FieldLastOwner: alice,
		FieldRetries: "2", FieldCrashes: "1",
	}, dead)

	// The widest that can be copied goes every way.
	r = back(widest).to(ToLater)
	r.Retries, r.Crashes = 2, 1
	require.Equal(t, "m", verdicts(w.requeue(alice, r)))
	w.dueNow()
	moved, _, err := w.promote(10)
	require.NoError(t, err)
	require.Equal(t, 1, moved)
	widest = w.take(alice, w.read(alice, 1)[0])
	require.Equal(t, 2, widest.Attempt())
	require.Equal(t, "m", verdicts(w.requeue(alice, back(widest).to(ToDeadLetters))))
	require.Len(t, w.Stream(w.keys.DeadLetters)[1].FieldValues, 3900+6)
}

// dueNow makes all of later due.
func (w *harness) dueNow() {
	w.t.Helper()
	members, err := w.Try("ZRANGE", w.keys.Later, "0", "-1").AsStrSlice()
	require.NoError(w.t, err)
	for _, m := range members {
		w.Do("ZADD", w.keys.Later, "1", m)
	}
}

// What a re-queue writes: the fields as they were, in their order, with the counts asked for.
func TestRequeueKeepsFieldsAndCounts(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.announce("s", "trace", "abc\x00\xff", FieldRetries, "2", FieldCrashes, "1", FieldNotBefore, "1700000000017")
	l := w.take(alice, w.read(alice, 1)[0])
	require.Equal(t, "m", verdicts(w.requeue(alice, back(l))))
	e := w.read(alice, 1)[0]
	require.Equal(t, []int{2, 1, 0}, []int{e.Retries, e.Crashes, int(e.NotBefore)})
	require.Equal(t, "trace", e.Body[1].Field)
	require.Equal(t, "abc\x00\xff", e.Body[1].Value)

	r := back(w.take(alice, e))
	r.Retries, r.Crashes = 3, 0
	require.Equal(t, "m", verdicts(w.requeue(alice, r)))
	e = w.read(alice, 1)[0]
	require.Equal(t, []int{3, 0}, []int{e.Retries, e.Crashes})
	require.Len(t, e.Body, 3, "a count of zero is not written")
}

// Delays are counted by the server's clock; a time that is past is at once.
func TestRequeueToLaterByTheServersClock(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	at := w.Now() + 2*aged.Milliseconds()
	for i, c := range []struct {
		at    int64
		delay time.Duration
		want  int64 // 0: the input stream
	}{
		{at: at, want: at},
		{at: at, delay: time.Hour, want: at},
		{delay: time.Hour, want: w.Now() + 3_600_000},
		{at: 5, delay: 0},
		{at: w.Now() - 1},
	} {
		r := back(w.own(alice, "s"+strconv.Itoa(i)))
		r.Dest, r.At, r.Delay = ToLater, c.at, c.delay
		require.Equal(t, "m", verdicts(w.requeue(alice, r)))
		if c.want == 0 {
			require.Len(t, w.read(alice, 1), 1)
			continue
		}
		pair, err := w.Try("ZPOPMIN", w.keys.Later).AsZScore()
		require.NoError(t, err)
		require.InDelta(t, c.want, pair.Score, 20_000)
		require.GreaterOrEqual(t, int64(pair.Score), c.want)
	}
}

// Trace: the dead-letter stream was left alone for months. Trimming it loses work that nobody has looked at; growing
// without limit ends the server. At its limit, entries are delayed.
func TestRule10FullDeadLettersPutOffAndLoseNothing(t *testing.T) {
	w := newHarness(t, func(s *Settings) { s.DeadLimit = 2 })
	w.open(alice)
	a, b, c := w.own(alice, "a"), w.own(alice, "b"), w.own(alice, "c")
	require.Equal(t, "mmf", verdicts(w.requeue(alice, back(a).to(ToDeadLetters), back(b).to(ToDeadLetters), back(c).to(ToDeadLetters))))
	require.EqualValues(t, 2, w.Num("XLEN", w.keys.DeadLetters))
	require.Empty(t, w.value("c"))
	require.Empty(t, w.pendingIDs(alice))
	top, err := w.Try("ZRANGE", w.keys.Later, "0", "0", "WITHSCORES").AsZScores()
	require.NoError(t, err)
	require.InDelta(t, w.Now()+3_600_000, top[0].Score, 60_000)

	// It goes round until there is room, and does not grow on the way.
	for range 3 {
		w.dueNow()
		moved, _, err := w.promote(10)
		require.NoError(t, err)
		require.Equal(t, 1, moved)
		e := w.read(alice, 1)[0]
		require.Equal(t, "c", e.Stream)
		require.Len(t, e.Body, 5)
		require.Equal(t, "f", verdicts(w.requeue(alice, back(w.take(alice, e)).to(ToDeadLetters))))
	}
	w.dueNow()
	_, _, err = w.promote(10)
	require.NoError(t, err)
	w.Do("XTRIM", w.keys.DeadLetters, "MAXLEN", "0")
	l := w.take(alice, w.read(alice, 1)[0])
	require.Equal(t, "m", verdicts(w.requeue(alice, back(l).to(ToDeadLetters))))
	letters := w.Stream(w.keys.DeadLetters)
	require.Len(t, letters, 1)
	require.Equal(t, l.Entry(), letters[0].FieldValues[FieldOriginalID])
	require.Len(t, letters[0].FieldValues, 5)
}

func TestRule10DeadLettersAreTrimmedOnlyWhenAskedFor(t *testing.T) {
	w := newHarness(t, func(s *Settings) { s.DeadTrim = true })
	w.open(alice)
	for i := range 500 {
		w.announce("s" + strconv.Itoa(i))
	}
	var returns []Disposition
	entries := w.read(alice, 500)
	for i, take := range w.acquire(alice, entries...) {
		returns = append(returns, back(w.lease(alice, entries[i], take.Token)).to(ToDeadLetters))
	}
	require.Equal(t, strings.Repeat("m", 500), verdicts(w.requeue(alice, returns...)))
	n := w.Num("XLEN", w.keys.DeadLetters)
	require.Equal(t, w.set.DeadLimit, n)
	letters := w.Stream(w.keys.DeadLetters)
	require.Equal(t, entries[499].ID, letters[len(letters)-1].FieldValues[FieldOriginalID])

	// Where there is no limit nothing is trimmed, asked for or not: it went to nothing, with all that was there.
	for i, trim := range []bool{false, true} {
		w.set.DeadTrim, w.set.DeadLimit = trim, 0
		unlimited := w.as(w.Client)
		require.Equal(t, "m", verdicts(unlimited.requeue(alice, back(w.own(alice, "more")).to(ToDeadLetters))))
		require.Equal(t, n+1+i, w.Num("XLEN", w.keys.DeadLetters))
	}
}

// A limit of 5 kept 8 letters, since whole nodes of a stream were dropped. That is left to large limits.
func TestRule10SmallLimitsOfDeadLettersAreExact(t *testing.T) {
	w := newHarness(t, func(s *Settings) { s.DeadTrim, s.DeadLimit = true, 5 })
	w.open(alice)
	w.Do("CONFIG", "SET", "stream-node-max-entries", "3")
	var last string
	for i := range 20 {
		l := w.own(alice, "s"+strconv.Itoa(i))
		last = l.Entry()
		require.Equal(t, "m", verdicts(w.requeue(alice, back(l).to(ToDeadLetters))))
		require.Equal(t, min(i+1, 5), w.Num("XLEN", w.keys.DeadLetters))
	}
	require.Equal(t, last, w.Stream(w.keys.DeadLetters)[4].FieldValues[FieldOriginalID])

	const large = 10_001
	w.set.DeadLimit = large
	w = w.as(w.Client)
	w.Do("CONFIG", "SET", "stream-node-max-entries", "100")
	w.Do("EVAL", "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'f', 'v') end", "1", w.keys.DeadLetters, strconv.Itoa(large))
	require.Equal(t, "m", verdicts(w.requeue(alice, back(w.own(alice, "more")).to(ToDeadLetters))))
	require.Greater(t, w.Num("XLEN", w.keys.DeadLetters), large-100)
	require.LessOrEqual(t, w.Num("XLEN", w.keys.DeadLetters), large+100)
}

// Trace: a member of later that nobody can read (written by hand, by another version). It is the first by time, and would
// keep all others from being promoted; it goes where somebody looks.
func TestPromoteIsNotHeldUpByUnreadableMembers(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	require.Equal(t, "m", verdicts(w.requeue(alice, back(w.own(alice, "s")).to(ToLater))))
	packed := func(text string) string {
		return w.Text("EVAL", "return cmsgpack.pack("+text+")", "0")
	}
	bad := []string{
		"nonsense", packed("{}"), packed("{'1-1', {}}"), packed("{'1-1', {'odd'}}"), packed("{'1-1', {'a', {}}}"),
		packed("{'1-1', 'text'}"), packed("17"),
		w.Text("EVAL", "local f = {} for i = 1, 9000 do f[i] = 'x' end return cmsgpack.pack({'1-1', f})", "0"),
	}
	for _, m := range bad {
		w.Do("ZADD", w.keys.Later, "0", m)
	}
	w.dueNow()
	moved, due, err := w.promote(100)
	require.NoError(t, err)
	require.Equal(t, []int{len(bad) + 1, 0}, []int{moved, due})
	require.Len(t, w.read(alice, 10), 1)
	letters := w.Stream(w.keys.DeadLetters)
	require.Len(t, letters, len(bad))
	var texts []string
	for _, l := range letters {
		require.Contains(t, l.FieldValues[FieldReason], w.keys.Later)
		texts = append(texts, l.FieldValues[FieldAnnouncement])
	}
	require.ElementsMatch(t, bad, texts)
}
