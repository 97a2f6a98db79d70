package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/test/overlap"
)

// both opens one file twice, as two processes do.
func both(t *testing.T, pages int) (writer, reader *Journal) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	for _, j := range []**Journal{&writer, &reader} {
		var err error
		*j, err = Open(path, "a", "s-", pages)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, (*j).Close()) })
	}
	return writer, reader
}

func TestOtherProcessesReadWhatIsOwned(t *testing.T) {
	w, r := both(t, 10)
	require.Empty(t, r.Read())
	require.Zero(t, r.Len())
	begin := Monotonic()
	kept, lost := leasetest.New("s-7"), leasetest.New("s-0")
	require.NotNil(t, w.Add(kept))
	p := w.Add(lost)
	require.Equal(t, p, w.Page(lost))
	require.Equal(t, 2, r.Held(begin))
	require.Equal(t, 2, r.Len())

	lost.Lose(nil)
	require.False(t, p.Extend(lost))
	then := Monotonic()
	w.Look()
	require.Nil(t, w.Page(lost), "it is not looked at again")
	require.Equal(t, 1, r.Held(then), "the other one was not extended since")
	require.Equal(t, 2, r.Held(begin))

	entries := r.Read()
	require.Len(t, entries, 2)
	for i, l := range []*leasetest.Lease{kept, lost} {
		e := entries[i]
		require.Equal(t, l.Stream(), e.Stream)
		require.Equal(t, l.Stream(), fmt.Sprint("s-", e.Number))
		require.Equal(t, l.Token(), e.Token)
		require.Equal(t, "a", e.Party)
		require.GreaterOrEqual(t, e.From, begin)
		require.LessOrEqual(t, e.From, e.Until)
		require.LessOrEqual(t, e.From, then)
	}
	require.GreaterOrEqual(t, entries[0].Until, then)
	require.Less(t, entries[1].Until, then)
	require.NoError(t, overlap.Check([]overlap.Record{entries[0].Record, entries[1].Record}))
}

func TestEndedOwnershipsAreNotHeld(t *testing.T) {
	w, r := both(t, 10)
	l := leasetest.New("s-1")
	p := w.Add(l)
	p.Is(Ending)
	require.Zero(t, r.Held(0))
	require.NoError(t, l.Done(context.Background()))
	p.Is(Finished)
	require.Equal(t, Finished, r.Read()[0].State)
	require.Equal(t, "finished", r.Read()[0].State.String())
	require.Equal(t, "State(5)", (Failed + 1).String())
	require.False(t, p.Turn(Owned, Given), "it is finished already")
	require.Equal(t, Finished, r.Read()[0].State)
	require.True(t, p.Turn(Finished, Given))
	require.Equal(t, Given, r.Read()[0].State)
	require.Nil(t, w.Add(l), "it is not owned any more")
	require.Len(t, r.Read(), 1)
}

func TestFullJournalPanics(t *testing.T) {
	w, r := both(t, 1)
	require.False(t, r.Full())
	w.Add(leasetest.New("s-1"))
	require.Equal(t, 1, w.Len())
	require.True(t, r.Full())
	require.PanicsWithValue(t, "journal: full", func() { w.Add(leasetest.New("s-2")) })
	require.Panics(t, func() { w.Add(leasetest.New("s-")) })
	for stream, known := range map[string]bool{"s-": false, "s-7": true, "t-7": false, "s-7x": false, "7": false} {
		require.Equal(t, known, w.Knows(stream), stream)
	}
}

func TestOpenReportsErrors(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none", "journal"), "a", "s-", 1)
	require.Error(t, err)
	_, err = Open(filepath.Join(t.TempDir(), "journal"), "a", "s-", 0)
	require.ErrorContains(t, err, "journal: ")
}

func TestClockIsMonotonic(t *testing.T) {
	before := Monotonic()
	require.Positive(t, before)
	require.GreaterOrEqual(t, Monotonic(), before)
}
