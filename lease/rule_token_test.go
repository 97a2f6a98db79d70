package lease

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// Trace: two announcements of one stream are acquired in the reverse of their order. Tokens made of entry IDs would fall.
func TestRule02TokensRiseInWhateverOrderEntriesAreTaken(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	w.announce("s")
	w.announce("s")
	entries := w.read(alice, 2)
	second := w.take(alice, entries[1])
	require.Equal(t, "d", verdicts(w.done(alice, back(second))))
	first := w.take(alice, entries[0])
	require.Greater(t, first.Token(), second.Token())
	require.Equal(t, "m", verdicts(w.requeue(alice, back(first))))
	require.Greater(t, w.take(bob, w.read(bob, 1)[0]).Token(), first.Token())
}

// Trace: a failover forgets the last tokens that were minted, and the new master's clock is behind the old one's. The
// greatest token that a living client has seen is what tokens must stay above.
func TestRule02TokensStayAboveTheFloorWhenTheServerForgot(t *testing.T) {
	const floor = api.Token(1 << 52) // ahead of any clock
	for name, tell := range map[string]func(*harness, *Lease){
		"open": func(w *harness, _ *Lease) {
			_, err := w.store.Open(w.ctx, 0, alice, floor)
			require.NoError(w.t, err)
		},
		"renew": func(w *harness, l *Lease) {
			out := w.store.Renew(w.ctx, 0, alice, floor, [][]*Lease{{l}}, nil, nil)
			require.NoError(w.t, out[0].Err)
			require.Equal(w.t, "k", out[0].Verdicts)
		},
		"renew of nothing": func(w *harness, _ *Lease) {
			out := w.store.Renew(w.ctx, 0, alice, floor, [][]*Lease{{}}, nil, nil)
			require.NoError(w.t, out[0].Err)
			require.Empty(w.t, out[0].Verdicts)
		},
		"verify": func(w *harness, l *Lease) {
			w.forget()
			w.Do("DEL", l.Key())
			high := &Lease{key: l.key, tag: floor.String() + " " + l.Entry()}
			kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{high}, Savings{}))
			require.NoError(w.t, err)
			require.Equal(w.t, "k", kept)
			w.beat(alice)
			w.settled()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			l := w.own(alice, "s")
			w.Do("DEL", w.keys.Token)
			tell(w, l)
			require.Equal(t, floor.String(), w.Text("GET", w.keys.Token))
			next := w.own(alice, "next").Token()
			require.Greater(t, next, floor)
			// A floor that is lower takes nothing back.
			_, err := w.store.Open(w.ctx, 0, alice, 1)
			require.NoError(t, err)
			require.Equal(t, next.String(), w.Text("GET", w.keys.Token))
		})
	}
}

// Trace: without a token key at all, tokens go on from the clock, above everything minted before at less than one a
// microsecond.
func TestRule02LostTokenKeyGoesOnFromTheClock(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	before := w.own(alice, "a").Token()
	w.Do("DEL", w.keys.Token)
	require.Greater(t, w.own(alice, "b").Token(), before)
}

// Trace: Lua's numbers are exact to 2^53 only; tokens minted near it must still be told apart.
func TestRule02TokensAreExactUpToTheirLimit(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	const last = 1<<53 - 10
	w.Do("SET", w.keys.Token, strconv.Itoa(last))
	w.announce("a")
	w.announce("b")
	w.announce("c")
	for i, take := range w.acquire(alice, w.read(alice, 3)...) {
		require.Equal(t, api.Token(last+1+i), take.Token)
	}
	require.Equal(t, strconv.Itoa(last+3), w.Text("GET", w.keys.Token))
}

// Trace: Lua's ".." writes a token of today as 1.79e+15, which parses as another lease's value or as none.
func TestRule19TokensAreWrittenInFull(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	digits := regexp.MustCompile(`^[0-9]{16}$`)
	require.Regexp(t, digits, w.Text("GET", w.keys.Token))
	require.Regexp(t, digits, strings.Fields(w.value("s"))[1])
	r := back(l)
	r.Dest, r.Reason = ToDeadLetters, "test"
	require.Equal(t, "m", verdicts(w.requeue(alice, r)))
	require.Regexp(t, regexp.MustCompile(`^[0-9]{13}$`), w.Stream(w.keys.DeadLetters)[0].FieldValues[FieldDeadAt])
	require.Regexp(t, regexp.MustCompile(`^-?[0-9]{1,13}$`), w.Text("ZSCORE", w.keys.Sessions, alice))
}

// Trace: unpack of more than some 8,000 values raises in Lua, half-way through a batch.
func TestRule19LargestBatchRuns(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	for i := range MaxMaxBatch {
		w.announce("s" + strconv.Itoa(i))
	}
	entries := w.read(alice, MaxMaxBatch)
	require.Len(t, entries, MaxMaxBatch)
	takes := w.acquire(alice, entries...)
	leases := make([]*Lease, len(takes))
	returns := make([]Disposition, len(takes))
	seen := make(map[api.Token]bool)
	for i, take := range takes {
		require.Equal(t, Acquired, take.Verdict)
		require.False(t, seen[take.Token])
		seen[take.Token] = true
		leases[i] = w.lease(alice, entries[i], take.Token)
		returns[i] = back(leases[i])
	}
	page, err := w.store.Pending(w.ctx, 0, alice, "", MaxMaxBatch, 0)
	require.NoError(t, err)
	require.Len(t, page, MaxMaxBatch)

	all := func(v Verdict) string { return strings.Repeat(string(rune(v)), MaxMaxBatch) }
	require.Equal(t, all(Kept), w.renew(alice, leases...).Verdicts)
	for _, v := range w.store.Extend(w.ctx, alice, leases) {
		require.Equal(t, Kept, v)
	}
	w.forget()
	for _, l := range leases {
		w.Do("DEL", l.Key())
	}
	require.Equal(t, all(Missing), w.renew(alice, leases...).Verdicts)
	kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, leases, Savings{}))
	require.NoError(t, err)
	require.Equal(t, all(Kept), kept)

	for i := range returns {
		returns[i].Dest, returns[i].Delay = ToLater, aged
	}
	require.Equal(t, all(Moved), verdicts(w.requeue(alice, returns...)))
	require.EqualValues(t, MaxMaxBatch, w.Num("ZCARD", w.keys.Later))
	members, err := w.Try("ZRANGE", w.keys.Later, "0", "-1").AsStrSlice()
	require.NoError(t, err)
	for _, m := range members {
		w.Do("ZADD", w.keys.Later, "1", m)
	}
	moved, due, err := w.promote(MaxMaxBatch - 1)
	require.NoError(t, err)
	require.Equal(t, []int{MaxMaxBatch - 1, 1}, []int{moved, due})
	moved, due, err = w.promote(MaxMaxBatch)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{moved, due})

	w.settled()
	entries = w.read(alice, MaxMaxBatch)
	returns = returns[:0]
	for i, take := range w.acquire(alice, entries...) {
		require.Equal(t, Acquired, take.Verdict)
		returns = append(returns, back(w.lease(alice, entries[i], take.Token)))
	}
	require.Equal(t, all(Finished), verdicts(w.done(alice, returns...)))
	require.EqualValues(t, 0, w.Num("XLEN", w.keys.Input))
	require.Empty(t, w.pendingIDs(alice))
}
