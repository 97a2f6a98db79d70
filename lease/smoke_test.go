package lease

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEveryScriptRuns takes one stream through every call of the store once, on the way that goes well.
func TestEveryScriptRuns(t *testing.T) {
	w := newHarness(t)
	require.NoError(t, w.store.Agree(w.ctx))

	beat := w.open(alice)
	require.Equal(t, SessionMade, beat.Status)
	require.False(t, beat.Settling)
	require.NotEmpty(t, beat.Server)
	again := w.beat(alice)
	require.Equal(t, Beat{Status: SessionLive, Server: beat.Server, Firm: w.set.SessionTTL, Time: again.Time}, again)

	first := w.announce("one")
	entries := w.read(alice, 10)
	require.Len(t, entries, 1)
	require.Equal(t, first, entries[0].ID)
	l := w.take(alice, entries[0])
	require.Equal(t, alice+" "+l.Token().String()+" "+first, w.value("one"))
	require.InDelta(t, 30*time.Second, w.pttl(l.Key()), float64(10*time.Second))

	page, err := w.store.Pending(w.ctx, 0, alice, "", 10, 0)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, HeldDeliveries, page[0].Deliveries)
	require.Equal(t, first, page[0].ID)
	require.Equal(t, FieldAnnouncement, page[0].Body[0].Field)

	renewal := w.renew(alice, l)
	require.Equal(t, "k", renewal.Verdicts)
	require.Empty(t, renewal.Waiting)
	require.Equal(t, []Verdict{Kept}, w.store.Extend(w.ctx, alice, []*Lease{l}))
	kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{}))
	require.NoError(t, err)
	require.Equal(t, "k", kept)

	later := back(l)
	later.Dest, later.At, later.Retries = ToLater, w.Now()+aged.Milliseconds(), 1
	require.Equal(t, "m", verdicts(w.requeue(alice, later)))
	require.Empty(t, w.value("one"))
	require.EqualValues(t, 1, w.Num("ZCARD", w.keys.Later))
	moved, due, err := w.promote(10)
	require.NoError(t, err)
	require.Equal(t, []int{0, 0}, []int{moved, due})
	member, err := w.Try("ZRANGE", w.keys.Later, "0", "0").AsStrSlice()
	require.NoError(t, err)
	w.Do("ZADD", w.keys.Later, "1", member[0])
	require.Equal(t, 1, w.beat(alice).Due)
	moved, due, err = w.promote(10)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{moved, due})

	entries = w.read(alice, 10)
	require.Len(t, entries, 1)
	require.Equal(t, 1, entries[0].Retries)
	l = w.take(alice, entries[0])
	left, err := w.store.Close(w.ctx, 0, bob)
	require.NoError(t, err)
	require.Zero(t, left)
	require.Equal(t, "d", verdicts(w.done(alice, back(l))))
	require.Empty(t, w.value("one"))
	require.Empty(t, w.Stream(w.keys.Input))
	left, err = w.store.Close(w.ctx, 0, alice)
	require.NoError(t, err)
	require.Zero(t, left)
	require.EqualValues(t, len(w.books()), w.Num("ZCARD", w.keys.Sessions))
}

// TestEveryScriptIsHeaded holds the head that each script file promises its reader, and that comments stay at home.
func TestEveryScriptIsHeaded(t *testing.T) {
	for _, s := range Scripts() {
		require.Len(t, s.SHA(), 40)
		if strings.Count(s.Body(), "\n") <= 1 {
			continue // a single command needs no file
		}
		text, err := luaFiles.ReadFile("lua/" + s.Name() + ".lua")
		require.NoError(t, err)
		for _, word := range []string{"-- KEYS ", "-- ARGV ", "-- Returns ", "-- Atomic "} {
			require.Contains(t, string(text), word, s.Name())
		}
		require.NotContains(t, s.Body(), "\n--", s.Name())
		require.Equal(t, s.SHA(), strings.ToLower(s.SHA()))
	}
}

func (w *harness) books() []string {
	members, err := w.Try("ZRANGEBYSCORE", w.keys.Sessions, "-inf", "(0").AsStrSlice()
	require.NoError(w.t, err)
	return members
}
