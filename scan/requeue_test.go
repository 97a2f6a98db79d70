package scan_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

const asker = "asker.1"

// requeueFleet returns a fleet with one partition, a consumer that asks, and one that will be found dead.
func requeueFleet(t testing.TB) (*fleet, *scan.Store) {
	f := newFleet(t, 1)
	f.open(0, asker)
	f.open(0, "late.1")
	return f, f.store()
}

func TestRequeueOfWhatADeadConsumerOwned(t *testing.T) {
	f, s := requeueFleet(t)
	k := f.layout.Keys(0)
	f.own("late.1", "x")
	f.own("late.1", "y")
	require.ErrorIs(t, s.Requeue(f.ctx, 0, asker, "x", nil), api.ErrHeldElsewhere)

	f.setDeadline(0, "late.1", f.Now()-1)
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "x", nil))
	require.Empty(t, f.Text("GET", k.Lease("x")))
	require.NotEmpty(t, f.Text("GET", k.Lease("y")), "nobody asked for that one")
	entries := f.read(0, asker, 10)
	require.Len(t, entries, 1)
	require.Equal(t, "x", entries[0].Stream)
	require.Equal(t, 1, entries[0].Crashes, "the crash counts, as it does when it is recovered")
	require.Equal(t, lease.Acquired, f.take(0, asker, entries[0])[0].Verdict)
	require.ErrorIs(t, s.Requeue(f.ctx, 0, asker, "x", nil), api.ErrHeldElsewhere)
	require.ErrorIs(t, s.Requeue(f.ctx, 0, asker, "z", nil), api.ErrNotAnnounced)
	require.Zero(t, f.Num("ZCARD", k.Later))
}

// A lease may have expired before the death of its owner is noticed; and what a consumer only read has none.
func TestRequeueWithoutALease(t *testing.T) {
	f, s := requeueFleet(t)
	k := f.layout.Keys(0)
	for n := range 10 {
		f.announce(0, "s"+strconv.Itoa(n))
	}
	f.read(0, "late.1", 10)
	require.ErrorIs(t, s.Requeue(f.ctx, 0, asker, "s7", nil), api.ErrNotAnnounced, "a living consumer has it")
	f.setDeadline(0, "late.1", 0)
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "s7", nil))
	require.Equal(t, 10, f.Num("XLEN", k.Input))
	entries := f.read(0, asker, 10)
	require.Len(t, entries, 1)
	require.Equal(t, "s7", entries[0].Stream)
	require.Zero(t, entries[0].Crashes, "it was not owned")
}

// An absent session is unknown: its consumer may be alive. Without a lease it owns nothing.
func TestRequeueOfAConsumerWithoutASession(t *testing.T) {
	f, s := requeueFleet(t)
	k := f.layout.Keys(0)
	f.own("late.1", "x")
	f.Do("ZREM", k.Sessions, "late.1")
	require.ErrorIs(t, s.Requeue(f.ctx, 0, asker, "x", nil), scan.ErrUndecided)
	score, err := strconv.ParseFloat(f.Text("ZSCORE", k.Sessions, "late.1"), 64)
	require.NoError(t, err)
	require.Greater(t, score, float64(f.Now()), "it was given a session")
	require.ErrorIs(t, s.Requeue(f.ctx, 0, asker, "x", nil), api.ErrHeldElsewhere)

	f.Do("ZADD", k.Sessions, "1.5", "late.1")
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "x", nil))
	require.NotContains(t, f.fields(0), lease.FieldCrashes, "how an adopted session ended is unknown")

	e := f.read(0, "late.1", 1)[0]
	require.Equal(t, "x", e.Stream)
	f.Do("ZREM", k.Sessions, "late.1")
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "x", nil))
	require.Zero(t, f.Num("EXISTS", k.Lease("x")))
}

func TestRequeueWhileNobodyMayBeFoundDead(t *testing.T) {
	f, s := requeueFleet(t)
	k := f.layout.Keys(0)
	f.own("late.1", "x")
	f.setDeadline(0, "late.1", 1)
	books, err := f.Try("ZRANGEBYSCORE", k.Sessions, "-inf", "(0").AsStrSlice()
	require.NoError(t, err)
	for _, member := range books {
		if member[:4] == "!run" {
			f.Do("ZREM", k.Sessions, member)
		}
	}
	f.Do("ZADD", k.Sessions, "-1", "!run:0123456789")
	require.ErrorIs(t, s.Requeue(f.ctx, 0, asker, "x", nil), scan.ErrUndecided, "another server")
	require.NoError(t, f.store(func(set *scan.Settings) { set.Settle = false }).Requeue(f.ctx, 0, asker, "x", nil))

	f, s = requeueFleet(t)
	f.own("late.1", "x")
	f.setDeadline(0, "late.1", 1)
	require.ErrorIs(t, s.Requeue(f.ctx, 0, "nobody.1", "x", nil), scan.ErrUndecided, "the asking consumer has no session")
	require.ErrorIs(t, f.store(func(set *scan.Settings) { set.Gap = -time.Hour }).Requeue(f.ctx, 0, asker, "x", nil),
		scan.ErrUndecided, "nobody has beaten for long")
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "x", nil))
}

// Of many that ask at once, one does it and the others get an error.
func TestRequeueAtOnceIsDoneOnce(t *testing.T) {
	f, _ := requeueFleet(t)
	f.own("late.1", "x")
	f.setDeadline(0, "late.1", 1)
	errs := make([]error, 8)
	var group sync.WaitGroup
	for n := range errs {
		s := f.store()
		group.Go(func() { errs[n] = s.Requeue(f.ctx, 0, asker, "x", nil) })
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
			continue
		}
		require.ErrorIs(t, err, api.ErrNotAnnounced)
	}
	require.Equal(t, 1, done)
	require.Equal(t, 1, f.Num("XLEN", f.layout.Keys(0).Input))
}

// The lease names an entry that another consumer has requeued in the meantime.
func TestRequeueThatComesSecond(t *testing.T) {
	f, s := requeueFleet(t)
	k := f.layout.Keys(0)
	e := f.own("late.1", "x")
	f.setDeadline(0, "late.1", 1)
	f.Do("XACK", k.Input, f.layout.Group(), e.ID)
	err := s.Requeue(f.ctx, 0, asker, "x", nil)
	require.ErrorIs(t, err, scan.ErrRequeued)
	require.ErrorIs(t, err, api.ErrNotAnnounced)
	require.Zero(t, f.Num("EXISTS", k.Lease("x")), "the lease that names the dead one is freed")
}

func TestRequeueOfADeletedBody(t *testing.T) {
	f, s := requeueFleet(t)
	k := f.layout.Keys(0)
	e := f.own("late.1", "x")
	f.setDeadline(0, "late.1", 1)
	f.Do("XDEL", k.Input, e.ID)
	err := s.Requeue(f.ctx, 0, asker, "x", nil)
	require.ErrorIs(t, err, api.ErrNotAnnounced)
	require.False(t, errors.Is(err, scan.ErrRequeued))
}

// What kills its owner each time must not escape the dead letters because it is asked for each time.
func TestRequeueCountsTowardsTheDeadLetters(t *testing.T) {
	f, s := requeueFleet(t)
	k := f.layout.Keys(0)
	own := func(crashes int) {
		f.announce(0, "pill", lease.FieldCrashes, strconv.Itoa(crashes))
		require.Equal(t, lease.Acquired, f.take(0, "late.1", f.read(0, "late.1", 1)...)[0].Verdict)
		f.setDeadline(0, "late.1", f.Now()-1)
	}
	revive := func() { f.setDeadline(0, "late.1", f.Now()+time.Hour.Milliseconds()) }
	own(10)
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "pill", nil), "it may have died with another")
	require.Equal(t, "11", f.fields(0)[lease.FieldCrashes])
	for range 5 {
		f.setDeadline(0, "late.1", f.Now()+time.Hour.Milliseconds())
		require.Equal(t, lease.Acquired, f.take(0, "late.1", f.read(0, "late.1", 1)...)[0].Verdict)
		f.setDeadline(0, "late.1", f.Now()-1)
		require.NoError(t, s.Requeue(f.ctx, 0, asker, "pill", nil))
	}
	require.Equal(t, "11", f.fields(0)[lease.FieldCrashes], "without the others it cannot be told")
	f.Do("DEL", k.Input)
	f.Do("XGROUP", "CREATE", k.Input, f.layout.Group(), "0", "MKSTREAM")
	revive()
	own(27)
	require.ErrorIs(t, s.Requeue(f.ctx, 0, asker, "pill", nil), scan.ErrDeadLetter)
	require.Zero(t, f.Num("XLEN", k.Input))
	letters := collect(t, f.inspector(), scan.Selection{})
	require.Len(t, letters, 1)
	require.Equal(t, "crashes", letters[0].Class())
	require.Equal(t, 28, letters[0].Crashes)

	full := f.store(func(set *scan.Settings) { set.DLQMaxLen = 1 })
	revive()
	own(27)
	require.ErrorContains(t, full.Requeue(f.ctx, 0, asker, "pill", nil), "stream is full")
	require.Equal(t, 1, f.Num("ZCARD", k.Later))
}

func TestRequeueOfMoreFieldsThanCanBeCopied(t *testing.T) {
	f, s := requeueFleet(t)
	fields := []string{lease.FieldAnnouncement, `{"DataStreamName":"x"}`}
	for n := range 5000 {
		fields = append(fields, fmt.Sprintf("f%d", n), "v")
	}
	f.add(f.layout.Keys(0).Input, fields...)
	f.read(0, "late.1", 1)
	f.setDeadline(0, "late.1", 1)
	require.ErrorIs(t, s.Requeue(f.ctx, 0, asker, "x", nil), scan.ErrDeadLetter)
	require.Equal(t, "too_wide", collect(t, f.inspector(), scan.Selection{})[0].Class())
}

func TestRequeueKeepsNotBefore(t *testing.T) {
	f, s := requeueFleet(t)
	f.announce(0, "x", lease.FieldNotBefore, strconv.FormatInt(f.Now()+time.Hour.Milliseconds(), 10))
	f.read(0, "late.1", 1)
	f.setDeadline(0, "late.1", 1)
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "x", nil))
	require.Equal(t, 1, f.Num("ZCARD", f.layout.Keys(0).Later))
}

// The stream is owned, by a live or a dead consumer, for another announcement than the one that was found.
func TestRequeueLooksAtTheLeaseItself(t *testing.T) {
	f, s := requeueFleet(t)
	k := f.layout.Keys(0)
	f.open(0, "third.1")
	e := f.own("late.1", "x")
	f.announce(0, "x")
	f.read(0, "third.1", 1)
	f.setDeadline(0, "late.1", 1)
	f.setDeadline(0, "third.1", 1)
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "x", nil))
	_, err := f.Try("XPENDING", k.Input, f.layout.Group(), e.ID, e.ID, "1").ToArray()
	require.NoError(t, err)
	require.Zero(t, f.Num("EXISTS", k.Lease("x")), "the one that owned it went first")
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "x", nil), "and then the one that waited")

	f.Do("SET", k.Lease("x"), "something")
	err = s.Requeue(f.ctx, 0, asker, "x", nil)
	require.ErrorContains(t, err, "delete the key")
}

func TestRequeueOnAFullServerAndInAnExhaustedStream(t *testing.T) {
	f, s := requeueFleet(t)
	k := f.layout.Keys(0)
	e := f.own("late.1", "x")
	f.setDeadline(0, "late.1", 1)
	f.Do("XADD", k.Input, "18446744073709551615-18446744073709551615", "f", "v")
	err := s.Requeue(f.ctx, 0, asker, "x", nil)
	require.ErrorContains(t, err, "exhausted")
	require.Contains(t, f.Text("GET", k.Lease("x")), e.ID, "nothing has changed")
	require.Equal(t, 2, f.Num("XLEN", k.Input))

	f, s = requeueFleet(t)
	f.own("late.1", "x")
	f.setDeadline(0, "late.1", 1)
	f.Do("CONFIG", "SET", "maxmemory", "1")
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "x", nil))
}

// A process that lost its session and is alive has not crashed.
func TestRequeueOfWhatOneLostOneselfCountsNothing(t *testing.T) {
	f, s := requeueFleet(t)
	f.own("late.1", "x")
	f.setDeadline(0, "late.1", 1)
	require.NoError(t, s.Requeue(f.ctx, 0, asker, "x", func(consumer string) bool { return consumer == "late.1" }))
	require.NotContains(t, f.fields(0), lease.FieldCrashes)
}
