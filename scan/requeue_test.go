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

// clinic is an office with one partition, a consumer who asks, and one who will be found dead.
func clinic(t testing.TB) (*office, *scan.Store) {
	o := newOffice(t, 1)
	o.open(0, asker)
	o.open(0, "late.1")
	return o, o.store()
}

func TestRequeueOfWhatADeadConsumerOwned(t *testing.T) {
	o, s := clinic(t)
	k := o.layout.Keys(0)
	o.own("late.1", "x")
	o.own("late.1", "y")
	require.ErrorIs(t, s.Requeue(o.ctx, 0, asker, "x", nil), api.ErrHeldElsewhere)

	o.setDeadline(0, "late.1", o.Now()-1)
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "x", nil))
	require.Empty(t, o.Text("GET", k.Lease("x")))
	require.NotEmpty(t, o.Text("GET", k.Lease("y")), "nobody asked for that one")
	entries := o.read(0, asker, 10)
	require.Len(t, entries, 1)
	require.Equal(t, "x", entries[0].Stream)
	require.Equal(t, 1, entries[0].Crashes, "the crash counts, as it does when it is recovered")
	require.Equal(t, lease.Acquired, o.take(0, asker, entries[0])[0].Verdict)
	require.ErrorIs(t, s.Requeue(o.ctx, 0, asker, "x", nil), api.ErrHeldElsewhere)
	require.ErrorIs(t, s.Requeue(o.ctx, 0, asker, "z", nil), api.ErrNotAnnounced)
	require.Zero(t, o.Num("ZCARD", k.Later))
}

// A lease may be gone before the death of its owner is noticed; and what a consumer only read has none.
func TestRequeueWithoutALease(t *testing.T) {
	o, s := clinic(t)
	k := o.layout.Keys(0)
	for n := range 10 {
		o.announce(0, "s"+strconv.Itoa(n))
	}
	o.read(0, "late.1", 10)
	require.ErrorIs(t, s.Requeue(o.ctx, 0, asker, "s7", nil), api.ErrNotAnnounced, "a living consumer has it")
	o.setDeadline(0, "late.1", 0)
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "s7", nil))
	require.Equal(t, 10, o.Num("XLEN", k.Input))
	entries := o.read(0, asker, 10)
	require.Len(t, entries, 1)
	require.Equal(t, "s7", entries[0].Stream)
	require.Zero(t, entries[0].Crashes, "it was not owned")
}

// A session that is absent is unknown: its owner may live. Without a lease it owns nothing.
func TestRequeueOfAConsumerWithoutASession(t *testing.T) {
	o, s := clinic(t)
	k := o.layout.Keys(0)
	o.own("late.1", "x")
	o.Do("ZREM", k.Sessions, "late.1")
	require.ErrorIs(t, s.Requeue(o.ctx, 0, asker, "x", nil), scan.ErrUndecided)
	score, err := strconv.ParseFloat(o.Text("ZSCORE", k.Sessions, "late.1"), 64)
	require.NoError(t, err)
	require.Greater(t, score, float64(o.Now()), "it was given a session")
	require.ErrorIs(t, s.Requeue(o.ctx, 0, asker, "x", nil), api.ErrHeldElsewhere)

	o.Do("ZADD", k.Sessions, "1.5", "late.1")
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "x", nil))
	require.NotContains(t, o.fields(0), lease.FieldCrashes, "of an adopted session nobody knows how it ended")

	e := o.read(0, "late.1", 1)[0]
	require.Equal(t, "x", e.Stream)
	o.Do("ZREM", k.Sessions, "late.1")
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "x", nil))
	require.Zero(t, o.Num("EXISTS", k.Lease("x")))
}

func TestRequeueWhileNobodyMayBeFoundDead(t *testing.T) {
	o, s := clinic(t)
	k := o.layout.Keys(0)
	o.own("late.1", "x")
	o.setDeadline(0, "late.1", 1)
	books, err := o.Try("ZRANGEBYSCORE", k.Sessions, "-inf", "(0").AsStrSlice()
	require.NoError(t, err)
	for _, member := range books {
		if member[:4] == "!run" {
			o.Do("ZREM", k.Sessions, member)
		}
	}
	o.Do("ZADD", k.Sessions, "-1", "!run:0123456789")
	require.ErrorIs(t, s.Requeue(o.ctx, 0, asker, "x", nil), scan.ErrUndecided, "another server")
	require.NoError(t, o.store(func(set *scan.Settings) { set.Settle = false }).Requeue(o.ctx, 0, asker, "x", nil))

	o, s = clinic(t)
	o.own("late.1", "x")
	o.setDeadline(0, "late.1", 1)
	require.ErrorIs(t, s.Requeue(o.ctx, 0, "nobody.1", "x", nil), scan.ErrUndecided, "who asks has no session")
	require.ErrorIs(t, o.store(func(set *scan.Settings) { set.Gap = -time.Hour }).Requeue(o.ctx, 0, asker, "x", nil),
		scan.ErrUndecided, "nobody has beaten for long")
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "x", nil))
}

// Of many who ask at once, one does it and the others are told.
func TestRequeueAtOnceIsDoneOnce(t *testing.T) {
	o, _ := clinic(t)
	o.own("late.1", "x")
	o.setDeadline(0, "late.1", 1)
	errs := make([]error, 8)
	var group sync.WaitGroup
	for n := range errs {
		s := o.store()
		group.Go(func() { errs[n] = s.Requeue(o.ctx, 0, asker, "x", nil) })
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
	require.Equal(t, 1, o.Num("XLEN", o.layout.Keys(0).Input))
}

// The lease names an entry that somebody else has queued again in the meantime.
func TestRequeueThatComesSecond(t *testing.T) {
	o, s := clinic(t)
	k := o.layout.Keys(0)
	e := o.own("late.1", "x")
	o.setDeadline(0, "late.1", 1)
	o.Do("XACK", k.Input, o.layout.Group(), e.ID)
	err := s.Requeue(o.ctx, 0, asker, "x", nil)
	require.ErrorIs(t, err, scan.ErrRequeued)
	require.ErrorIs(t, err, api.ErrNotAnnounced)
	require.Zero(t, o.Num("EXISTS", k.Lease("x")), "the lease that names the dead one is freed")
}

func TestRequeueOfADeletedBody(t *testing.T) {
	o, s := clinic(t)
	k := o.layout.Keys(0)
	e := o.own("late.1", "x")
	o.setDeadline(0, "late.1", 1)
	o.Do("XDEL", k.Input, e.ID)
	err := s.Requeue(o.ctx, 0, asker, "x", nil)
	require.ErrorIs(t, err, api.ErrNotAnnounced)
	require.False(t, errors.Is(err, scan.ErrRequeued))
}

// What kills its owner each time must not escape the dead letters because somebody asks for it each time.
func TestRequeueCountsTowardsTheDeadLetters(t *testing.T) {
	o, s := clinic(t)
	k := o.layout.Keys(0)
	own := func(crashes int) {
		o.announce(0, "pill", lease.FieldCrashes, strconv.Itoa(crashes))
		require.Equal(t, lease.Acquired, o.take(0, "late.1", o.read(0, "late.1", 1)...)[0].Verdict)
		o.setDeadline(0, "late.1", o.Now()-1)
	}
	revive := func() { o.setDeadline(0, "late.1", o.Now()+time.Hour.Milliseconds()) }
	own(10)
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "pill", nil), "it may have died with another")
	require.Equal(t, "11", o.fields(0)[lease.FieldCrashes])
	for range 5 {
		o.setDeadline(0, "late.1", o.Now()+time.Hour.Milliseconds())
		require.Equal(t, lease.Acquired, o.take(0, "late.1", o.read(0, "late.1", 1)...)[0].Verdict)
		o.setDeadline(0, "late.1", o.Now()-1)
		require.NoError(t, s.Requeue(o.ctx, 0, asker, "pill", nil))
	}
	require.Equal(t, "11", o.fields(0)[lease.FieldCrashes], "without the others there is no telling")
	o.Do("DEL", k.Input)
	o.Do("XGROUP", "CREATE", k.Input, o.layout.Group(), "0", "MKSTREAM")
	revive()
	own(27)
	require.ErrorIs(t, s.Requeue(o.ctx, 0, asker, "pill", nil), scan.ErrDeadLetter)
	require.Zero(t, o.Num("XLEN", k.Input))
	letters := collect(t, o.inspector(), scan.Selection{})
	require.Len(t, letters, 1)
	require.Equal(t, "crashes", letters[0].Class())
	require.Equal(t, 28, letters[0].Crashes)

	full := o.store(func(set *scan.Settings) { set.DLQMaxLen = 1 })
	revive()
	own(27)
	require.ErrorContains(t, full.Requeue(o.ctx, 0, asker, "pill", nil), "stream is full")
	require.Equal(t, 1, o.Num("ZCARD", k.Later))
}

func TestRequeueOfMoreFieldsThanCanBeCopied(t *testing.T) {
	o, s := clinic(t)
	fields := []string{lease.FieldAnnouncement, `{"DataStreamName":"x"}`}
	for n := range 5000 {
		fields = append(fields, fmt.Sprintf("f%d", n), "v")
	}
	o.add(o.layout.Keys(0).Input, fields...)
	o.read(0, "late.1", 1)
	o.setDeadline(0, "late.1", 1)
	require.ErrorIs(t, s.Requeue(o.ctx, 0, asker, "x", nil), scan.ErrDeadLetter)
	require.Equal(t, "too_wide", collect(t, o.inspector(), scan.Selection{})[0].Class())
}

func TestRequeueKeepsNotBefore(t *testing.T) {
	o, s := clinic(t)
	o.announce(0, "x", lease.FieldNotBefore, strconv.FormatInt(o.Now()+time.Hour.Milliseconds(), 10))
	o.read(0, "late.1", 1)
	o.setDeadline(0, "late.1", 1)
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "x", nil))
	require.Equal(t, 1, o.Num("ZCARD", o.layout.Keys(0).Later))
}

// The stream is owned, by a living or a dead one, for another announcement than the one that was found.
func TestRequeueLooksAtTheLeaseItself(t *testing.T) {
	o, s := clinic(t)
	k := o.layout.Keys(0)
	o.open(0, "third.1")
	e := o.own("late.1", "x")
	o.announce(0, "x")
	o.read(0, "third.1", 1)
	o.setDeadline(0, "late.1", 1)
	o.setDeadline(0, "third.1", 1)
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "x", nil))
	_, err := o.Try("XPENDING", k.Input, o.layout.Group(), e.ID, e.ID, "1").ToArray()
	require.NoError(t, err)
	require.Zero(t, o.Num("EXISTS", k.Lease("x")), "the one that owned it went first")
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "x", nil), "and then the one that waited")

	o.Do("SET", k.Lease("x"), "something")
	err = s.Requeue(o.ctx, 0, asker, "x", nil)
	require.ErrorContains(t, err, "delete the key")
}

func TestRequeueOnAFullServerAndInAPoisonedStream(t *testing.T) {
	o, s := clinic(t)
	k := o.layout.Keys(0)
	e := o.own("late.1", "x")
	o.setDeadline(0, "late.1", 1)
	o.Do("XADD", k.Input, "18446744073709551615-18446744073709551615", "f", "v")
	err := s.Requeue(o.ctx, 0, asker, "x", nil)
	require.ErrorContains(t, err, "exhausted")
	require.Contains(t, o.Text("GET", k.Lease("x")), e.ID, "nothing has changed")
	require.Equal(t, 2, o.Num("XLEN", k.Input))

	o, s = clinic(t)
	o.own("late.1", "x")
	o.setDeadline(0, "late.1", 1)
	o.Do("CONFIG", "SET", "maxmemory", "1")
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "x", nil))
}

// A process that lost its session and lives has not crashed.
func TestRequeueOfWhatOneLostOneselfCountsNothing(t *testing.T) {
	o, s := clinic(t)
	o.own("late.1", "x")
	o.setDeadline(0, "late.1", 1)
	require.NoError(t, s.Requeue(o.ctx, 0, asker, "x", func(consumer string) bool { return consumer == "late.1" }))
	require.NotContains(t, o.fields(0), lease.FieldCrashes)
}
