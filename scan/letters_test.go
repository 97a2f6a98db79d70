package scan_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// fleetWithLetters has ten dead letters of crashes in partition 0, and seven of retries in partition 1.
func fleetWithLetters(t testing.TB) *fleet {
	f := newFleet(t, 2)
	for p := range 2 {
		f.open(p, "worker.1")
	}
	f.deadLetter(0, "pill", "crashes: its owners died 11 times", 10)
	f.deadLetter(1, "bug", "retries: failed 4 times", 7)
	return f
}

func collect(t testing.TB, i *scan.Inspector, s scan.Selection) (letters []scan.DeadLetter) {
	t.Helper()
	for l, err := range i.Letters(context.Background(), s) {
		require.NoError(t, err)
		letters = append(letters, l)
	}
	return letters
}

func TestLettersAreReadPageByPage(t *testing.T) {
	f := fleetWithLetters(t)
	i := f.inspector()
	all := collect(t, i, scan.Selection{})
	require.Len(t, all, 17)
	for n, l := range all {
		require.Equal(t, n/10, l.Partition)
		if n < 10 {
			require.Equal(t, fmt.Sprintf("pill-%d", n), l.Stream, "the oldest first")
		}
	}
	first := all[0]
	require.Equal(t, "crashes", first.Class())
	require.Equal(t, "crashes: its owners died 11 times", first.Reason)
	require.Equal(t, 4, first.Retries)
	require.Equal(t, 2, first.Crashes)
	require.Equal(t, "worker.1", first.LastOwner)
	require.JSONEq(t, "{}", string(first.Info))
	require.Regexp(t, `^\d+-\d+$`, first.OriginalID)
	require.WithinDuration(t, time.UnixMilli(f.Now()), first.At, time.Minute)

	require.Len(t, collect(t, i, scan.Selection{Partitions: []int{1, 7, -1}}), 7)
	require.Empty(t, collect(t, i, scan.Selection{Partitions: []int{}}))
	require.Len(t, collect(t, i, scan.Selection{Reason: "crashes"}), 10)
	require.Len(t, collect(t, i, scan.Selection{Stream: "bug-3"}), 1)
	require.Empty(t, collect(t, i, scan.Selection{Stream: "bug-3", Reason: "crashes"}))

	classes, err := i.CountLetters(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"crashes": 10, "retries": 7}, classes)

	for range i.Letters(f.ctx, scan.Selection{}) {
		break // ends it without a further page
	}
}

func TestLettersOfAnotherTypeAreAnError(t *testing.T) {
	f := newFleet(t, 1)
	f.Do("SET", f.layout.Keys(0).DeadLetters, "x")
	n := 0
	for _, err := range f.inspector().Letters(f.ctx, scan.Selection{}) {
		n++
		require.ErrorContains(t, err, "WRONGTYPE")
		require.ErrorContains(t, err, "delete or rename it")
	}
	require.Equal(t, 1, n)
	for _, err := range []error{
		func() error { _, err := f.inspector().SendBack(f.ctx, scan.Selection{}); return err }(),
		func() error { _, err := f.inspector().Drop(f.ctx, scan.Selection{}); return err }(),
		func() error { _, err := f.inspector().CountLetters(f.ctx, scan.Selection{}); return err }(),
	} {
		require.ErrorContains(t, err, "WRONGTYPE")
	}
}

// A letter that cannot be parsed is listed, sent back and dropped like others.
func TestLettersThatCannotBeRead(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.add(k.DeadLetters, "something", "else")
	f.add(k.DeadLetters, lease.FieldAnnouncement, "{", "_reason", "malformed: no JSON", "_dead_at", "x", "_retry_count", "-3")
	letters := collect(t, f.inspector(), scan.Selection{})
	require.Len(t, letters, 2)
	require.Empty(t, letters[0].Stream+letters[0].Reason+letters[1].Stream)
	require.Nil(t, letters[1].Info)
	require.True(t, letters[1].At.IsZero())
	require.Equal(t, "something", letters[0].Body[0].Field)
	sent, err := f.inspector().SendBack(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 2, sent)
	require.Equal(t, 2, f.Num("XLEN", k.Input))
}

// Trace: a stream fails for good and its letter is dropped, so nobody will ask for its checkpoint any more. That of a stream which has
// been announced again meanwhile, and is owned, is none of the letter's business.
func TestDroppedLettersLetTheirCheckpointsAge(t *testing.T) {
	f := fleetWithLetters(t)
	k := f.layout.Keys(0)
	f.Do("HSET", k.Checkpoints, "spill-0", "7 v a b", "spill-1", "7 v x", "spill-2", "7 d5 x", "spill-3", "7 new x", "sother", "7 v x")
	f.Do("SET", k.Lease("pill-1"), "worker.1 7 1-1")
	dropped, err := f.inspector().Drop(f.ctx, scan.Selection{Partitions: []int{0}})
	require.NoError(t, err)
	require.Equal(t, 10, dropped)
	require.Regexp(t, `^7 d\d{13} a b$`, f.Text("HGET", k.Checkpoints, "spill-0"))
	require.Equal(t, []string{"7 v x", "7 d5 x", "7 new x", "7 v x"}, []string{f.Text("HGET", k.Checkpoints, "spill-1"),
		f.Text("HGET", k.Checkpoints, "spill-2"), f.Text("HGET", k.Checkpoints, "spill-3"), f.Text("HGET", k.Checkpoints, "sother")})
	require.Equal(t, 5, f.Num("HLEN", k.Checkpoints))

	// No rights, no checkpoints: the letters go all the same.
	f.Do("HSET", f.layout.Keys(1).Checkpoints, "sbug-0", "7 v x")
	f.Do("ACL", "SETUSER", "default", "-hset")
	dropped, err = f.inspector().Drop(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 7, dropped)
}
