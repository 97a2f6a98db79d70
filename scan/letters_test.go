package scan_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// cemetery has ten dead letters of crashes in partition 0, and seven of retries in partition 1.
func cemetery(t testing.TB) *office {
	o := newOffice(t, 2)
	for p := range 2 {
		o.open(p, "undertaker.1")
	}
	o.bury(0, "pill", "crashes: its owners died 11 times", 10)
	o.bury(1, "bug", "retries: failed 4 times", 7)
	return o
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
	o := cemetery(t)
	i := o.inspector()
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
	require.Equal(t, "undertaker.1", first.LastOwner)
	require.JSONEq(t, "{}", string(first.Info))
	require.Regexp(t, `^\d+-\d+$`, first.OriginalID)
	require.WithinDuration(t, time.UnixMilli(o.Now()), first.At, time.Minute)

	require.Len(t, collect(t, i, scan.Selection{Partitions: []int{1, 7, -1}}), 7)
	require.Empty(t, collect(t, i, scan.Selection{Partitions: []int{}}))
	require.Len(t, collect(t, i, scan.Selection{Reason: "crashes"}), 10)
	require.Len(t, collect(t, i, scan.Selection{Stream: "bug-3"}), 1)
	require.Empty(t, collect(t, i, scan.Selection{Stream: "bug-3", Reason: "crashes"}))

	classes, err := i.CountLetters(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"crashes": 10, "retries": 7}, classes)

	for range i.Letters(o.ctx, scan.Selection{}) {
		break // ends it without a further page
	}
}

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

func TestLettersOfAnotherTypeAreAnError(t *testing.T) {
	o := newOffice(t, 1)
	o.Do("SET", o.layout.Keys(0).DeadLetters, "x")
	n := 0
	for _, err := range o.inspector().Letters(o.ctx, scan.Selection{}) {
		n++
		require.ErrorContains(t, err, "WRONGTYPE")
		require.ErrorContains(t, err, "delete or rename it")
	}
	require.Equal(t, 1, n)
	for _, err := range []error{
		func() error { _, err := o.inspector().SendBack(o.ctx, scan.Selection{}); return err }(),
		func() error { _, err := o.inspector().Drop(o.ctx, scan.Selection{}); return err }(),
		func() error { _, err := o.inspector().CountLetters(o.ctx, scan.Selection{}); return err }(),
	} {
		require.ErrorContains(t, err, "WRONGTYPE")
	}
}

// A letter that nobody can read is listed, sent back and dropped like others.
func TestLettersThatCannotBeRead(t *testing.T) {
	o := newOffice(t, 1)
	k := o.layout.Keys(0)
	o.add(k.DeadLetters, "something", "else")
	o.add(k.DeadLetters, lease.FieldAnnouncement, "{", "_reason", "malformed: no JSON", "_dead_at", "x", "_retry_count", "-3")
	letters := collect(t, o.inspector(), scan.Selection{})
	require.Len(t, letters, 2)
	require.Empty(t, letters[0].Stream+letters[0].Reason+letters[1].Stream)
	require.Nil(t, letters[1].Info)
	require.True(t, letters[1].At.IsZero())
	require.Equal(t, "something", letters[0].Body[0].Field)
	sent, err := o.inspector().SendBack(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 2, sent)
	require.Equal(t, 2, o.Num("XLEN", k.Input))
}

func TestInspectorFindsTheLayout(t *testing.T) {
	o := newOffice(t, 3)
	n, err := o.inspector().Partitions(o.ctx)
	require.NoError(t, err)
	require.Equal(t, 3, n)

	stranger, err := scan.NewInspector(o.Client, "nobody", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = stranger.Partitions(o.ctx)
	require.ErrorIs(t, err, scan.ErrUnknownService)
	require.ErrorContains(t, err, "{nobody-input}:meta")
	require.Zero(t, o.Num("EXISTS", "{nobody-input}:meta"), "looking writes nothing")
	told, err := scan.NewInspector(o.Client, "nobody", scan.InspectorConfig{Partitions: 2})
	require.NoError(t, err)
	require.Empty(t, collect(t, told, scan.Selection{}))

	o.Do("HSET", "{shop-input}:meta", "format", "9")
	_, err = o.inspector().Partitions(o.ctx)
	require.ErrorIs(t, err, api.ErrFormat)

	for _, c := range []scan.InspectorConfig{{Page: -1}, {Page: 1001}, {Timeout: -1}, {Partitions: 5000}, {Partitions: -1}} {
		_, err := scan.NewInspector(o.Client, "shop", c)
		require.ErrorIs(t, err, api.ErrInvalidConfig, "%+v", c)
	}
	_, err = scan.NewInspector(o.Client, "sh{op", scan.InspectorConfig{})
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	_, err = scan.NewInspector(nil, "shop", scan.InspectorConfig{})
	require.ErrorIs(t, err, api.ErrInvalidConfig)
}

// A client that is connected to a replica gets an error, not what was true once.
func TestInspectorRefusesReplicas(t *testing.T) {
	o := newOffice(t, 1)
	replica := servers.New(t, servers.ReplicaOf(o.server)).Client(t)
	i, err := scan.NewInspector(replica, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = i.Partitions(o.ctx)
	require.ErrorContains(t, err, "READONLY")
	require.ErrorContains(t, err, "point it at the master")
	i, err = scan.NewInspector(replica, "shop", scan.InspectorConfig{Partitions: 1})
	require.NoError(t, err)
	for _, err := range i.Letters(o.ctx, scan.Selection{}) {
		require.ErrorContains(t, err, "READONLY")
	}
}

// Looking needs no right to write.
func TestInspectorLooksWithoutTheRightToWrite(t *testing.T) {
	o := cemetery(t)
	o.Do("ACL", "SETUSER", "reader", "on", ">secret", "~*", "-@all", "+@read", "+@scripting", "+@connection", "+time")
	opt := o.server.ClientOption()
	opt.Username, opt.Password = "reader", "secret"
	client := dial(t, opt)
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	require.Len(t, collect(t, i, scan.Selection{}), 17)
	_, err = i.Drop(o.ctx, scan.Selection{})
	require.Error(t, err)
	require.True(t, strings.Contains(err.Error(), "grant"), "%v", err)
}
