package lease

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// announceUnowned announces a stream unless it is owned, or last stands.
func (w *harness) announceUnowned(stream, last string) string {
	w.t.Helper()
	text, err := EncodeAnnouncement(stream, nil)
	require.NoError(w.t, err)
	call := AnnounceUnowned(w.layout, stream, last, []string{FieldAnnouncement, text})
	entry, err := ParseAnnounced(NewRunner(w.Client, nil).Do(w.ctx, call))
	require.NoError(w.t, err)
	return entry
}

// Before there is a group, while an announcement is undelivered, and while it is pending, it stands.
func TestAnnouncedOnceWhileNobodyOwnsTheStream(t *testing.T) {
	w := newHarness(t)
	id := w.announceUnowned("s", "")
	require.NotEmpty(t, id)
	require.Equal(t, id, w.announceUnowned("s", id), "no group")
	w.open(alice)
	require.Equal(t, id, w.announceUnowned("s", id), "undelivered")
	e := w.read(alice, 1)[0]
	require.Equal(t, id, w.announceUnowned("s", id), "pending")
	require.Len(t, w.Stream(w.keys.Input), 1)
	l := w.take(alice, e)
	require.Empty(t, w.announceUnowned("s", id), "owned")
	require.Empty(t, w.announceUnowned("s", ""), "owned")
	require.Len(t, w.Stream(w.keys.Input), 1)
	require.Equal(t, "d", verdicts(w.done(alice, back(l))))
	require.NotEqual(t, id, w.announceUnowned("s", id), "done")
	require.Len(t, w.Stream(w.keys.Input), 1)
}

// Trace: the entry that a producer announced is the one that the owner holds the stream for. It exists until done deletes it, so it must
// not count as standing while the owner leaves.
func TestEntryOfAnOwnerWhoLeavesDoesNotStand(t *testing.T) {
	w := newHarness(t)
	id := w.announceUnowned("s", "")
	w.open(alice)
	w.open(bob)
	l := w.take(alice, w.read(alice, 1)[0])
	mark := w.shut(alice, l)
	next := w.announceUnowned("s", id)
	require.NotEqual(t, id, next)
	require.Equal(t, next, w.announceUnowned("s", next), "that one stands")
	e := w.read(bob, 1)[0]
	require.Equal(t, HeldByOne, w.acquire(bob, e)[0].Verdict)
	require.Equal(t, next, w.announceUnowned("s", next), "it waits for the owner to leave")
	require.Equal(t, "d", verdicts(w.done(alice, ifShut(l, mark))))
	require.Equal(t, next, w.announceUnowned("s", next))
	w.take(bob, e)
	require.Empty(t, w.announceUnowned("s", next))
}

// Trace: an entry that could not be copied stays in the input stream as what a dead letter refers to. Nobody will get it.
func TestEntryThatNobodyWillGetDoesNotStand(t *testing.T) {
	w := newHarness(t)
	id := w.announceUnowned("s", "")
	w.open(alice)
	w.read(alice, 1)
	w.Do("XACK", w.keys.Input, w.layout.Group(), id)
	require.Len(t, w.Stream(w.keys.Input), 1)
	require.NotEqual(t, id, w.announceUnowned("s", id))
	require.Len(t, w.Stream(w.keys.Input), 2)
}

// A stream that failed and waits in later, or was handed back, has its announcement under another ID: it is announced once more.
func TestEntryThatWasMovedIsAnnouncedAgain(t *testing.T) {
	w := newHarness(t)
	id := w.announceUnowned("s", "")
	w.open(alice)
	l := w.take(alice, w.read(alice, 1)[0])
	require.Equal(t, "m", verdicts(w.requeue(alice, back(l))))
	next := w.announceUnowned("s", id)
	require.NotEqual(t, id, next)
	require.Equal(t, next, w.announceUnowned("s", next))
	require.Len(t, w.Stream(w.keys.Input), 2)
}

// What is no lease is nobody's.
func TestForeignLeaseKeyOwnsNothing(t *testing.T) {
	w := newHarness(t)
	w.Do("RPUSH", w.keys.Lease("list"), "x")
	w.Do("SET", w.keys.Lease("text"), "something else")
	require.NotEmpty(t, w.announceUnowned("list", ""))
	require.NotEmpty(t, w.announceUnowned("text", ""))
	w.open(alice)
	w.Do("SET", w.keys.Lease(""), "somebody wrote this")
	require.NotEmpty(t, w.announceUnowned("s", ""))
	w.read(alice, 10)
	l := w.own(alice, "owned")
	require.Equal(t, "k", w.renew(alice, l).Verdicts)
	require.Empty(t, w.announceUnowned("owned", ""))
	require.Equal(t, "somebody wrote this", w.Text("GET", w.keys.Lease("")))
}
