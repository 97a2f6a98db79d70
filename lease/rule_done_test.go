package lease

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Trace: XGROUP DELCONSUMER destroys what is pending for the consumer.
func TestRule15CloseRemovesTheConsumerOnlyWhenNothingIsPending(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	for range 2 {
		left, err := w.store.Close(w.ctx, 0, alice)
		require.NoError(t, err)
		require.Equal(t, 1, left)
		score, ok := w.deadline(alice)
		require.True(t, ok)
		require.Zero(t, score)
		require.Equal(t, []string{l.Entry()}, w.pendingIDs(alice))
	}
	require.Equal(t, 1, w.beat(bob).Dead, "closed with something left: to be recovered at once")
	require.Equal(t, SessionLost, w.beat(alice).Status, "a late beat revives nothing")
	require.Equal(t, "m", verdicts(w.requeue(alice, back(l))))
	for range 2 {
		left, err := w.store.Close(w.ctx, 0, alice)
		require.NoError(t, err)
		require.Zero(t, left)
		_, ok := w.deadline(alice)
		require.False(t, ok)
	}
	require.Empty(t, w.Consumers(w.keys.Input, w.layout.Group()))
	left, err := w.store.Close(w.ctx, 0, "nobody.1")
	require.NoError(t, err)
	require.Zero(t, left)
	_, ok := w.deadline("nobody.1")
	require.False(t, ok, "closing makes no session")
}

// Trace: the answer to a done gets lost and it is asked again. "Not pending" is then our own success, if nobody else can

// have had the stream meanwhile, which only the caller's deadlines know: so it is an answer of its own.
func TestRule18DoneAskedAgainSaysNotPending(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	a, b := w.own(alice, "a"), w.own(alice, "b")
	require.Equal(t, "d", verdicts(w.done(alice, back(a))))
	require.Equal(t, "nd", verdicts(w.done(alice, back(a), back(b))))
	require.Equal(t, "nn", verdicts(w.done(alice, back(a), back(b))))
	require.Empty(t, w.Stream(w.keys.Input))
}

// Trace: the lease vanished (it expired while its owner could not renew, though its session lived) and nobody has taken

// the stream: the entry is still pending for its owner, who may end it.
func TestDoneWithAFreeLeaseEndsTheEntry(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	w.Do("DEL", l.Key())
	require.Equal(t, "d", verdicts(w.done(alice, back(l))))
	require.Empty(t, w.Stream(w.keys.Input))
}

// Trace: as above, but another announcement of the stream was acquired by bob meanwhile.
func TestDoneUnderAnothersLeaseIsRefused(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	l := w.own(alice, "s")
	w.Do("DEL", l.Key())
	other := w.own(bob, "s")
	require.Equal(t, "o", verdicts(w.done(alice, back(l))))
	require.Equal(t, []string{l.Entry()}, w.pendingIDs(alice))
	require.Equal(t, "m", verdicts(w.requeue(alice, back(l))), "but it may be requeued")
	require.Equal(t, "k", w.renew(bob, other).Verdicts)
}
