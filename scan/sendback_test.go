package scan_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

func TestSendBackStartsFromZero(t *testing.T) {
	f := fleetWithLetters(t)
	i := f.inspector()
	sent, err := i.SendBack(f.ctx, scan.Selection{Reason: "retries"})
	require.NoError(t, err)
	require.Equal(t, 7, sent)
	k := f.layout.Keys(1)
	require.Zero(t, f.Num("XLEN", k.DeadLetters))
	require.Equal(t, 10, f.Num("XLEN", f.layout.Keys(0).DeadLetters))
	entries := f.read(1, "worker.1", 10)
	require.Len(t, entries, 7)
	for n, e := range entries {
		require.Equal(t, fmt.Sprintf("bug-%d", n), e.Stream)
		require.Zero(t, e.Retries)
		require.Zero(t, e.Crashes)
		require.Len(t, e.Body, 1, "nothing of the dead letter is left: %v", e.Body)
	}

	sent, err = i.SendBack(f.ctx, scan.Selection{Stream: "pill-4"})
	require.NoError(t, err)
	require.Equal(t, 1, sent)
	entries = f.read(0, "worker.1", 10)
	require.Len(t, entries, 1)
	require.Equal(t, "pill-4", entries[0].Stream)

	sent, err = i.SendBack(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 9, sent)
	sent, err = i.SendBack(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Zero(t, sent)
}

func TestSendBackKeepsFieldsOfTheProducer(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.add(k.DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"x"}`, "trace", "abc", "_reason", "permanent: no", "_not_before", "99")
	sent, err := f.inspector().SendBack(f.ctx, scan.Selection{Reason: "perm"})
	require.NoError(t, err)
	require.Equal(t, 1, sent)
	require.Equal(t, map[string]string{lease.FieldAnnouncement: `{"DataStreamName":"x"}`, "trace": "abc"}, f.Stream(k.Input)[0].FieldValues)
}

func TestDropDeletesTheSelectedOnly(t *testing.T) {
	f := fleetWithLetters(t)
	i := f.inspector()
	dropped, err := i.Drop(f.ctx, scan.Selection{Partitions: []int{0}, Stream: "pill-0"})
	require.NoError(t, err)
	require.Equal(t, 1, dropped)
	dropped, err = i.Drop(f.ctx, scan.Selection{Reason: "crashes"})
	require.NoError(t, err)
	require.Equal(t, 9, dropped)
	dropped, err = i.Drop(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 7, dropped)
	require.Zero(t, f.Num("XLEN", f.layout.Keys(0).Input)+f.Num("XLEN", f.layout.Keys(1).Input))
}

// What was sent back and became a dead letter again at once must not be sent back forever by the same call.
func TestSendBackEndsWhereItBegan(t *testing.T) {
	f := newFleet(t, 1)
	f.open(0, "worker.1")
	f.deadLetter(0, "pill", "crashes: again", 7)
	i := f.inspector()
	n := 0
	for l, err := range i.Letters(f.ctx, scan.Selection{}) {
		require.NoError(t, err)
		n++
		f.add(f.layout.Keys(0).DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"late"}`)
		require.NotEqual(t, "late", l.Stream)
	}
	require.Equal(t, 7, n)
}

// Several calls at once move each letter once.
func TestSendBackAtOnceMovesEachOnce(t *testing.T) {
	f := newFleet(t, 1)
	f.open(0, "worker.1")
	const letters = 60
	f.deadLetter(0, "pill", "crashes: again", letters)
	var group sync.WaitGroup
	moved := make([]int, 4)
	for n := range moved {
		i := f.inspector()
		group.Go(func() {
			var err error
			moved[n], err = i.SendBack(f.ctx, scan.Selection{})
			if err != nil {
				t.Errorf("send back: %v", err)
			}
		})
	}
	group.Wait()
	total := 0
	for _, n := range moved {
		total += n
	}
	require.Equal(t, letters, total)
	require.Equal(t, letters, f.Num("XLEN", f.layout.Keys(0).Input))
	require.Zero(t, f.Num("XLEN", f.layout.Keys(0).DeadLetters))
}

func TestSendBackLeavesWhatCannotBeCopied(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.add(k.DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"a"}`)
	fields := []string{lease.FieldAnnouncement, `{"DataStreamName":"wide"}`}
	for n := range 5000 {
		fields = append(fields, "f"+strconv.Itoa(n), "v")
	}
	wide := f.add(k.DeadLetters, fields...)
	f.add(k.DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"b"}`)
	sent, err := f.inspector().SendBack(f.ctx, scan.Selection{})
	require.Equal(t, 2, sent)
	require.ErrorContains(t, err, "dead letter "+wide+" of "+k.DeadLetters+" has more fields than can be copied")
	require.Equal(t, 1, f.Num("XLEN", k.DeadLetters))
	require.Equal(t, "wide", collect(t, f.inspector(), scan.Selection{})[0].Stream)
	dropped, err := f.inspector().Drop(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 1, dropped)
}

// Whatever is wrong with the input stream, the letters stay where they are.
func TestSendBackLosesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		ruin func(f *fleet)
		want string
	}{
		"poisoned with the last possible ID": {
			func(f *fleet) {
				f.Do("XADD", f.layout.Keys(0).Input, "18446744073709551615-18446744073709551615", "f", "v")
			},
			"exhausted",
		},
		"of another type": {
			func(f *fleet) { f.Do("SET", f.layout.Keys(0).Input, "x") }, "WRONGTYPE",
		},
		"on a full server": {
			func(f *fleet) { f.Do("CONFIG", "SET", "maxmemory", "1") }, "OOM",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 1)
			k := f.layout.Keys(0)
			for n := range 7 {
				f.add(k.DeadLetters, lease.FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":"s-%d"}`, n), "_reason", "retries: x")
			}
			test.ruin(f)
			sent, err := f.inspector().SendBack(f.ctx, scan.Selection{})
			require.Zero(t, sent)
			require.ErrorContains(t, err, test.want)
			require.Equal(t, 7, f.Num("XLEN", k.DeadLetters))
			f.Do("CONFIG", "SET", "maxmemory", "0")
			require.Len(t, collect(t, f.inspector(), scan.Selection{}), 7)
		})
	}
}
