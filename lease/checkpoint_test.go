package lease

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/virtual"
)

// hasUnsaved reports whether anything of a lease's session is to be stored.
func hasUnsaved(l *Lease) bool {
	count, _ := l.session.Unsaved()
	return count > 0
}

// ending is what the ending of a lease does about its checkpoint: the value, "-" if it is deleted, "" for nothing.
func ending(l *Lease) string {
	var d Disposition
	l.EndCheckpoint(&d)
	switch {
	case d.DropCheckpoint:
		return "-"
	case d.Checkpoint != nil:
		return *d.Checkpoint
	}
	return ""
}

// unsavedOf takes all that is to be stored of a lease's session, as "value".
func unsavedOf(l *Lease) (values []string) {
	items, _ := l.session.TakeUnsaved(SavingLimit{Count: 1000, Weight: 1 << 20, Whole: true, Wanted: math.MaxUint64, Before: math.MaxInt64})
	for _, x := range items {
		values = append(values, x.Value)
	}
	return values
}

// save calls SaveCheckpoint in a goroutine, and returns what it returns.
func save(l *Lease, ctx context.Context, value string) <-chan error {
	result := make(chan error, 1)
	go func() { result <- l.SaveCheckpoint(ctx, value) }()
	synctest.Wait()
	return result
}

func TestCheckpointIsTheLastOneSet(t *testing.T) {
	l, _ := held(t)
	require.Empty(t, l.Checkpoint())
	require.False(t, hasUnsaved(l))
	l.SetCheckpoint("1")
	l.SetCheckpoint("2")
	require.Equal(t, "2", l.Checkpoint())
	require.Equal(t, []string{"2"}, unsavedOf(l), "the first was never needed")
	require.Empty(t, unsavedOf(l), "it is on its way")
	l.Stored()
	require.Empty(t, unsavedOf(l))
	l.SetCheckpoint("2")
	require.False(t, hasUnsaved(l), "nothing has changed")
	l.SetCheckpoint("")
	require.Equal(t, []string{""}, unsavedOf(l), "none is something to be stored, too")
}

func TestCheckpointThatIsInheritedIsNotStoredAgain(t *testing.T) {
	l, _ := held(t)
	l.Inherit("7")
	require.Equal(t, "7", l.Checkpoint())
	require.False(t, hasUnsaved(l))
	l.Doubt()
	require.Equal(t, []string{"7"}, unsavedOf(l), "the server may have forgotten it")
	l.Stored()
	require.Equal(t, "7", ending(l))

	none, _ := held(t)
	none.Doubt()
	require.False(t, hasUnsaved(none))
	var d Disposition
	none.EndCheckpoint(&d)
	require.Zero(t, d)
	unused, _ := held(t)
	unused.Inherit("7")
	unused.EndCheckpoint(&d)
	require.Equal(t, Disposition{Checkpointed: true}, d, "it is there")
}

// What is set while a call is on its way is not stored by that call.
func TestCheckpointSetDuringASavingStaysToBeStored(t *testing.T) {
	l, _ := held(t)
	l.SetCheckpoint("1")
	require.Equal(t, []string{"1"}, unsavedOf(l))
	l.SetCheckpoint("2")
	require.False(t, hasUnsaved(l), "one call at a time has it")
	l.Stored()
	require.Equal(t, []string{"2"}, unsavedOf(l))
	l.NotStored(nil)
	require.Equal(t, []string{"2"}, unsavedOf(l), "again")
	l.Stored()
	require.False(t, hasUnsaved(l))
}

// A call that was sent to a server which has been replaced is answered after that was noticed.
func TestCheckpointDoubtedOnItsWayIsStoredAgain(t *testing.T) {
	l, _ := held(t)
	l.SetCheckpoint("1")
	require.Equal(t, []string{"1"}, unsavedOf(l))
	l.Doubt()
	l.Stored()
	require.Equal(t, []string{"1"}, unsavedOf(l))
}

func TestCheckpointTooLongChangesNothing(t *testing.T) {
	l, _ := held(t)
	told := 0
	l.session.HookSaving(SavingHooks{TooLong: func(bytes int) { told = bytes }})
	most := strings.Repeat("x", api.MaxCheckpoint)
	l.SetCheckpoint(most)
	l.SetCheckpoint(most + "x")
	require.Equal(t, api.MaxCheckpoint+1, told)
	require.Equal(t, most, l.Checkpoint())
	require.ErrorIs(t, l.SaveCheckpoint(t.Context(), most+"x"), api.ErrCheckpointTooLong)
	require.Equal(t, most, l.Checkpoint())
}

func TestSaveCheckpointWaitsForThatOneOrALaterOne(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, _ := held(t)
		wanted := 0
		l.session.HookSaving(SavingHooks{Wanted: func() { wanted++ }})
		first := save(l, t.Context(), "1")
		require.Equal(t, 1, wanted)
		require.Equal(t, []string{"1"}, unsavedOf(l))
		second := save(l, t.Context(), "2")
		same := save(l, t.Context(), "2")
		l.Stored()
		require.NoError(t, <-first)
		require.Empty(t, second)
		require.Equal(t, 4, wanted, "somebody waits for the next")
		items, _ := l.session.TakeUnsaved(SavingLimit{Count: 10, Weight: 1 << 20, Whole: true, Wanted: l.session.WantedCheckpoints()})
		require.Len(t, items, 1)
		l.NotStored(nil)
		l.SetCheckpoint("3")
		require.Equal(t, []string{"3"}, unsavedOf(l))
		l.Stored()
		require.NoError(t, <-second, "a later one is stored")
		require.NoError(t, <-same)
		require.NoError(t, l.SaveCheckpoint(t.Context(), "3"), "it is stored already")
	})
}

func TestSaveCheckpointEndsWithItsContext(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, _ := held(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, l.SaveCheckpoint(ctx, "1"), context.DeadlineExceeded)
		require.Nil(t, l.checkpoint.Load().waiters, "nothing is left of it")
		require.Equal(t, []string{"1"}, unsavedOf(l), "it is set all the same")
	})
}

func TestSaveCheckpointThatIsRefused(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, _ := held(t)
		first := save(l, t.Context(), "1")
		require.Equal(t, []string{"1"}, unsavedOf(l))
		second := save(l, t.Context(), "2")
		l.NotStored(api.ErrLeaseLost)
		require.ErrorIs(t, <-first, api.ErrLeaseLost)
		require.Empty(t, second, "that one was not in the call")
		require.Equal(t, []string{"2"}, unsavedOf(l), "the renewal decides whether the lease is lost")
	})
}

// What becomes of SaveCheckpoint and of what is set, with each ending.
func TestCheckpointGoesWithTheEnding(t *testing.T) {
	ends := map[string]struct {
		end   func(l *Lease)
		lost  bool
		cause error
	}{
		"done":      {end: func(l *Lease) { go l.Done(context.Background()) }, cause: api.ErrNotHeld},
		"released":  {end: func(l *Lease) { go l.Release(context.Background()) }, cause: api.ErrNotHeld},
		"failed":    {end: func(l *Lease) { l.FailFor(errors.New("no")) }, cause: api.ErrNotHeld},
		"hand back": {end: func(l *Lease) { l.HandBack() }, cause: api.ErrReleasing},
		"lost":      {end: func(l *Lease) { l.Lose(api.ErrSessionLost) }, lost: true, cause: api.ErrLeaseLost},
		"past":      {end: func(l *Lease) { time.Sleep(time.Minute); l.Context().Err() }, lost: true, cause: api.ErrLeaseLost},
	}
	outcomes := map[string]error{"success": nil, "unknown": api.ErrOutcomeUnknown, "closed": api.ErrClosed}
	for name, c := range ends {
		for outcome, err := range outcomes {
			t.Run(name+" "+outcome, func(t *testing.T) {
				virtual.Test(t, func(t *testing.T) {
					l, _ := held(t)
					l.SetCheckpoint("1")
					// With the lease's own context, which the ending ends.
					waiting := save(l, l.Context(), "2")
					c.end(l)
					synctest.Wait()
					l.SetCheckpoint("3")
					require.Equal(t, "2", l.Checkpoint(), "it has ended")
					later := l.SaveCheckpoint(t.Context(), "3")
					require.ErrorIs(t, later, api.ErrNotHeld)
					require.ErrorIs(t, later, c.cause)
					if c.lost {
						require.ErrorIs(t, <-waiting, api.ErrLeaseLost)
						require.Empty(t, unsavedOf(l), "it is another's now")
						return
					}
					require.Equal(t, "2", ending(l))
					require.Empty(t, unsavedOf(l), "it travels with the ending")
					require.Empty(t, waiting)
					l.SettleCheckpoint(err)
					l.Ending().Settle(err)
					require.Equal(t, err, <-waiting)
				})
			})
		}
	}
}

func TestCheckpointThatIsDropped(t *testing.T) {
	l, _ := held(t)
	l.SetCheckpoint("1")
	l.DropCheckpoint()
	require.Equal(t, []string{"1"}, unsavedOf(l), "it is deleted with the ending, and not before")
	l.Stored()
	require.Equal(t, "-", ending(l))

	kept, _ := held(t)
	kept.DropCheckpoint()
	kept.SetCheckpoint("2")
	require.Equal(t, "2", ending(kept))
	kept.DropCheckpoint()
	require.False(t, kept.checkpoint.Load().dropped, "it has ended")
}

func TestCheckpointThatIsNotKnownIsNotWrittenOver(t *testing.T) {
	l, _ := held(t)
	l.Blind()
	require.Empty(t, l.Checkpoint())
	l.SetCheckpoint("1")
	require.ErrorIs(t, l.SaveCheckpoint(t.Context(), "2"), api.ErrNoCheckpoints)
	require.Equal(t, "2", l.Checkpoint())
	l.Doubt()
	require.Empty(t, unsavedOf(l))
	var d Disposition
	l.EndCheckpoint(&d)
	require.Zero(t, d)
}

func TestCheckpointsThatAreRefusedAreNotListed(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, _ := held(t)
		waiting := save(l, t.Context(), "1")
		l.session.RefuseCheckpoints(api.ErrNoCheckpoints)
		require.Equal(t, []string{"1"}, unsavedOf(l))
		l.NotStored(api.ErrNoCheckpoints)
		require.ErrorIs(t, <-waiting, api.ErrNoCheckpoints)
		l.SetCheckpoint("2")
		require.ErrorIs(t, l.SaveCheckpoint(t.Context(), "3"), api.ErrNoCheckpoints)
		require.Nil(t, l.checkpoint.Load().waiters)
		require.Empty(t, unsavedOf(l), "nothing piles up")
		l.session.RefuseCheckpoints(nil)
		l.Doubt()
		require.Equal(t, []string{"3"}, unsavedOf(l))
	})
}

func TestTakeUnsavedIsBounded(t *testing.T) {
	s := sessionIn(0)
	leases := make([]*Lease, 10)
	for i := range leases {
		stream := fmt.Sprintf("s%d", i)
		e := &Entry{ID: "5-1", Stream: stream, Key: "{shop-input}:lease:" + stream}
		leases[i] = New(s, e, 17, 1, time.Hour, &notary{})
		leases[i].SetCheckpoint(strings.Repeat("x", 1000))
	}
	count, oldest := s.Unsaved()
	require.Equal(t, 10, count)
	require.Positive(t, oldest)
	items, since := s.TakeUnsaved(SavingLimit{Count: 3, Weight: 1 << 20, Wanted: math.MaxUint64, Before: math.MaxInt64})
	require.Len(t, items, 3)
	require.Equal(t, oldest, since)
	items, _ = s.TakeUnsaved(SavingLimit{Count: 100, Weight: 2500, Wanted: math.MaxUint64, Before: math.MaxInt64})
	require.Len(t, items, 2)
	items, _ = s.TakeUnsaved(SavingLimit{Count: 100, Weight: 500, Wanted: math.MaxUint64, Before: math.MaxInt64})
	require.Empty(t, items)
	items, _ = s.TakeUnsaved(SavingLimit{Count: 100, Weight: 500, Whole: true, Wanted: math.MaxUint64, Before: math.MaxInt64})
	require.Len(t, items, 1, "one too large would be stuck")
	leases[6].Lose(api.ErrLeaseLost)
	items, _ = s.TakeUnsaved(SavingLimit{Count: 100, Weight: 1 << 20, Whole: true, Wanted: math.MaxUint64, Before: math.MaxInt64})
	require.Len(t, items, 3)
	require.Same(t, leases[7], items[0].Lease)
	require.False(t, hasUnsaved(leases[0]))
}

// Many goroutines set, one saves, others end leases: what was set before an ending is stored or with the ending.
func TestCheckpointsUnderConcurrency(t *testing.T) {
	s := NewSession(context.Background(), NewClock(), 0, alice, NewClock().Now(), time.Hour)
	for range 200 {
		e := &Entry{ID: "5-1", Stream: "s", Key: "{shop-input}:lease:s"}
		l := New(s, e, 17, s.clock.Now(), time.Hour, &notary{})
		var all sync.WaitGroup
		var stored string
		all.Go(func() {
			for i := range 50 {
				l.SetCheckpoint(fmt.Sprint(i))
			}
		})
		saved := make(chan error, 1)
		all.Go(func() { saved <- l.SaveCheckpoint(context.Background(), "saved") })
		all.Go(func() {
			for i := range 20 {
				items, _ := s.TakeUnsaved(SavingLimit{Count: 10, Weight: 1 << 20, Whole: true, Wanted: math.MaxUint64, Before: math.MaxInt64})
				for _, x := range items {
					if i%3 == 0 {
						x.Lease.NotStored(nil)
						continue
					}
					stored = x.Value
					x.Lease.Stored()
				}
			}
			if l.HandBack() {
				if value := ending(l); value != "" {
					stored = value
				}
				l.SettleCheckpoint(nil)
			}
		})
		all.Wait()
		if err := <-saved; err != nil {
			require.ErrorIs(t, err, api.ErrNotHeld, "it came too late")
		}
		require.Equal(t, stored, l.Checkpoint())
		for len(s.unsaved.mu.all.items) > 0 {
			s.TakeUnsaved(SavingLimit{Count: 10, Weight: 1 << 20, Whole: true, Wanted: math.MaxUint64, Before: math.MaxInt64})
		}
	}
}

// BenchmarkSetCheckpoint is what setting costs a lease, with a call for each 256 of 10,000 in between.
func BenchmarkSetCheckpoint(b *testing.B) {
	_, leases := benchTable(b, 10_000)
	s := leases[0].session
	values := [...]string{"1763724300000-1", "1763724300000-2"}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		leases[n%len(leases)].SetCheckpoint(values[n/len(leases)%2])
		n++
		if n%len(leases) != 0 {
			continue
		}
		for len(s.unsaved.mu.all.items) > 0 {
			items, _ := s.TakeUnsaved(SavingLimit{Count: 256, Weight: MaxSaveWeight, Whole: true, Wanted: math.MaxUint64, Before: math.MaxInt64})
			for _, x := range items {
				x.Lease.Stored()
			}
		}
	}
}
