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
	o := cemetery(t)
	i := o.inspector()
	sent, err := i.SendBack(o.ctx, scan.Selection{Reason: "retries"})
	require.NoError(t, err)
	require.Equal(t, 7, sent)
	k := o.layout.Keys(1)
	require.Zero(t, o.Num("XLEN", k.DeadLetters))
	require.Equal(t, 10, o.Num("XLEN", o.layout.Keys(0).DeadLetters))
	entries := o.read(1, "undertaker.1", 10)
	require.Len(t, entries, 7)
	for n, e := range entries {
		require.Equal(t, fmt.Sprintf("bug-%d", n), e.Stream)
		require.Zero(t, e.Retries)
		require.Zero(t, e.Crashes)
		require.Len(t, e.Body, 1, "nothing of the dead letter is left: %v", e.Body)
	}

	sent, err = i.SendBack(o.ctx, scan.Selection{Stream: "pill-4"})
	require.NoError(t, err)
	require.Equal(t, 1, sent)
	entries = o.read(0, "undertaker.1", 10)
	require.Len(t, entries, 1)
	require.Equal(t, "pill-4", entries[0].Stream)

	sent, err = i.SendBack(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 9, sent)
	sent, err = i.SendBack(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Zero(t, sent)
}

func TestSendBackKeepsForeignFields(t *testing.T) {
	o := newOffice(t, 1)
	k := o.layout.Keys(0)
	o.add(k.DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"x"}`, "trace", "abc", "_reason", "permanent: no", "_not_before", "99")
	sent, err := o.inspector().SendBack(o.ctx, scan.Selection{Reason: "perm"})
	require.NoError(t, err)
	require.Equal(t, 1, sent)
	require.Equal(t, map[string]string{lease.FieldAnnouncement: `{"DataStreamName":"x"}`, "trace": "abc"}, o.Stream(k.Input)[0].FieldValues)
}

func TestDropDeletesTheSelectedOnly(t *testing.T) {
	o := cemetery(t)
	i := o.inspector()
	dropped, err := i.Drop(o.ctx, scan.Selection{Partitions: []int{0}, Stream: "pill-0"})
	require.NoError(t, err)
	require.Equal(t, 1, dropped)
	dropped, err = i.Drop(o.ctx, scan.Selection{Reason: "crashes"})
	require.NoError(t, err)
	require.Equal(t, 9, dropped)
	dropped, err = i.Drop(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 7, dropped)
	require.Zero(t, o.Num("XLEN", o.layout.Keys(0).Input)+o.Num("XLEN", o.layout.Keys(1).Input))
}

// What was sent back and died again at once must not be sent back for ever by the same call.
func TestSendBackEndsWhereItBegan(t *testing.T) {
	o := newOffice(t, 1)
	o.open(0, "undertaker.1")
	o.bury(0, "pill", "crashes: again", 7)
	i := o.inspector()
	n := 0
	for l, err := range i.Letters(o.ctx, scan.Selection{}) {
		require.NoError(t, err)
		n++
		o.add(o.layout.Keys(0).DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"late"}`)
		require.NotEqual(t, "late", l.Stream)
	}
	require.Equal(t, 7, n)
}

// Several people at once move each letter once.
func TestSendBackAtOnceMovesEachOnce(t *testing.T) {
	o := newOffice(t, 1)
	o.open(0, "undertaker.1")
	const letters = 60
	o.bury(0, "pill", "crashes: again", letters)
	var group sync.WaitGroup
	moved := make([]int, 4)
	for n := range moved {
		i := o.inspector()
		group.Go(func() {
			var err error
			moved[n], err = i.SendBack(o.ctx, scan.Selection{})
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
	require.Equal(t, letters, o.Num("XLEN", o.layout.Keys(0).Input))
	require.Zero(t, o.Num("XLEN", o.layout.Keys(0).DeadLetters))
}

func TestSendBackLeavesWhatCannotBeCopied(t *testing.T) {
	o := newOffice(t, 1)
	k := o.layout.Keys(0)
	o.add(k.DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"a"}`)
	fields := []string{lease.FieldAnnouncement, `{"DataStreamName":"wide"}`}
	for n := range 5000 {
		fields = append(fields, "f"+strconv.Itoa(n), "v")
	}
	wide := o.add(k.DeadLetters, fields...)
	o.add(k.DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"b"}`)
	sent, err := o.inspector().SendBack(o.ctx, scan.Selection{})
	require.Equal(t, 2, sent)
	require.ErrorContains(t, err, "dead letter "+wide+" of "+k.DeadLetters+" has more fields than can be copied")
	require.Equal(t, 1, o.Num("XLEN", k.DeadLetters))
	require.Equal(t, "wide", collect(t, o.inspector(), scan.Selection{})[0].Stream)
	dropped, err := o.inspector().Drop(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 1, dropped)
}

// Whatever is wrong with the input stream, the letters stay where they are.
func TestSendBackLosesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		ruin func(o *office)
		want string
	}{
		"poisoned with the last possible ID": {
			func(o *office) {
				o.Do("XADD", o.layout.Keys(0).Input, "18446744073709551615-18446744073709551615", "f", "v")
			},
			"exhausted",
		},
		"of another type": {
			func(o *office) { o.Do("SET", o.layout.Keys(0).Input, "x") }, "WRONGTYPE",
		},
		"on a full server": {
			func(o *office) { o.Do("CONFIG", "SET", "maxmemory", "1") }, "OOM",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, 1)
			k := o.layout.Keys(0)
			for n := range 7 {
				o.add(k.DeadLetters, lease.FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":"s-%d"}`, n), "_reason", "retries: x")
			}
			test.ruin(o)
			sent, err := o.inspector().SendBack(o.ctx, scan.Selection{})
			require.Zero(t, sent)
			require.ErrorContains(t, err, test.want)
			require.Equal(t, 7, o.Num("XLEN", k.DeadLetters))
			o.Do("CONFIG", "SET", "maxmemory", "0")
			require.Len(t, collect(t, o.inspector(), scan.Selection{}), 7)
		})
	}
}
