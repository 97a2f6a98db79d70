package scan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// large is an announcement of some 20 kB, and limited an inspector that moves no such thing.
var large = `{"DataStreamName":"large","Info":"` + strings.Repeat("x", 20_000) + `"}`

func limited(c *scan.InspectorConfig) { c.MaxMove = 10_000 }

func TestLetterThatRefersToAnEntryIsShownSentBackAndGone(t *testing.T) {
	everyOffice(t, func(t *testing.T, o *office) {
		k := o.layout.Keys(0)
		id := o.refer(lease.FieldAnnouncement, large, "mine", "kept", lease.FieldRetries, "3")
		letters := collect(t, o.inspector(), scan.Selection{Stream: "large"})
		require.Len(t, letters, 1)
		l := letters[0]
		require.Equal(t, id, l.Reference)
		require.Greater(t, l.Size, 20_000)
		require.Equal(t, "too_large", l.Class())
		require.Equal(t, 3, l.Retries)
		require.Nil(t, l.Info, "that is not whole")

		sent, err := o.inspector(limited).SendBack(o.ctx, scan.Selection{})
		require.ErrorContains(t, err, l.ID)
		require.ErrorContains(t, err, "MaxMove")
		require.Equal(t, 4, sent, "those around it")
		require.Len(t, o.read(0, "undertaker.1", 10), 4)

		sent, err = o.inspector().SendBack(o.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 1, sent)
		require.Zero(t, o.Num("XLEN", k.DeadLetters))
		entries := o.read(0, "undertaker.1", 10)
		require.Len(t, entries, 1)
		require.Equal(t, "large", entries[0].Stream)
		require.Len(t, entries[0].Body, 2, "whole, and the counts from zero")
		require.Empty(t, o.Text("EVAL", "return redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1] and 'there' or ''", "1", k.Input, id))
	})
}

func TestDropOfALetterDropsTheEntryItRefersTo(t *testing.T) {
	everyOffice(t, func(t *testing.T, o *office) {
		k := o.layout.Keys(0)
		o.refer(lease.FieldAnnouncement, large)
		require.Equal(t, 1, o.Num("XLEN", k.Input))
		dropped, err := o.inspector().Drop(o.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 5, dropped)
		require.Zero(t, o.Num("XLEN", k.Input))
		require.Zero(t, o.Num("XLEN", k.DeadLetters))
	})
}

// A failover may bring an entry back to whom it was pending for; an operator may do that too. It is no longer the letter's.
func TestEntryThatIsSomebodysAgainIsNeitherCopiedNorDropped(t *testing.T) {
	everyOffice(t, func(t *testing.T, o *office) {
		k := o.layout.Keys(0)
		id := o.refer(lease.FieldAnnouncement, large)
		o.Do("XCLAIM", k.Input, o.layout.Group(), "owner.1", "0", id, "FORCE", "JUSTID")
		sent, err := o.inspector().SendBack(o.ctx, scan.Selection{Stream: "large"})
		require.ErrorContains(t, err, "pending for owner.1")
		require.Zero(t, sent)
		dropped, err := o.inspector().Drop(o.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 5, dropped)
		require.Equal(t, 1, o.Num("XLEN", k.Input), "its body stays")
	})
	o := newOffice(t, 1)
	k := o.layout.Keys(0)
	o.refer(lease.FieldAnnouncement, large)
	o.Do("XGROUP", "SETID", k.Input, o.layout.Group(), "0")
	_, err := o.inspector().SendBack(o.ctx, scan.Selection{Stream: "large"})
	require.ErrorContains(t, err, "not delivered")
	_, err = o.inspector().Drop(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Len(t, o.read(0, "undertaker.1", 10), 1)

	o = newOffice(t, 1)
	id := o.refer(lease.FieldAnnouncement, large)
	o.Do("XDEL", o.layout.Keys(0).Input, id)
	_, err = o.inspector().SendBack(o.ctx, scan.Selection{Stream: "large"})
	require.ErrorContains(t, err, "was deleted")
	require.Equal(t, 5, o.Num("XLEN", o.layout.Keys(0).DeadLetters))
}

// A producer writes _reference into its announcement, and has somebody else's deleted when its dead letter is dropped.
func TestAProducersOwnReferenceMeansNothing(t *testing.T) {
	o := newOffice(t, 1)
	k := o.layout.Keys(0)
	o.open(0, "undertaker.1")
	victim := o.announce(0, "victim")
	o.read(0, "undertaker.1", 1)
	o.Do("XACK", k.Input, o.layout.Group(), victim)
	o.add(k.DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"x"}`, lease.FieldReference, victim, lease.FieldOriginalID, "1-1",
		lease.FieldOriginalID, victim)
	letters := collect(t, o.inspector(), scan.Selection{})
	require.Empty(t, letters[0].Reference)
	require.Equal(t, "x", letters[0].Stream)
	dropped, err := o.inspector().Drop(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 1, dropped)
	require.Equal(t, 1, o.Num("XLEN", k.Input))
}

// A letter with no field of a producer's cannot be announced again; SendBack ended at it, and the others stayed.
func TestLetterWithNothingToCopyStaysAndTheOthersAreSent(t *testing.T) {
	everyOffice(t, func(t *testing.T, o *office) {
		k := o.layout.Keys(0)
		o.open(0, "undertaker.1")
		o.bury(0, "before", "retries: failed", 2)
		o.add(k.DeadLetters, lease.FieldReason, "x")
		o.add(k.DeadLetters, times(5000, lease.FieldReason, "x")...)
		o.bury(0, "after", "retries: failed", 2)
		sent, err := o.inspector().SendBack(o.ctx, scan.Selection{})
		require.ErrorContains(t, err, "no field of a producer")
		require.Equal(t, 4, sent)
		require.Equal(t, 2, o.Num("XLEN", k.DeadLetters))
	})
}

// times are fields with one name.
func times(n int, field, value string) (fields []string) {
	for range n {
		fields = append(fields, field, value)
	}
	return fields
}

// Trace: 200 dead letters of 1 MiB, all of which one script answers, and the next one copies.
func TestPagesOfHeavyLettersAreBounded(t *testing.T) {
	o := newOffice(t, 1)
	k := o.layout.Keys(0)
	body := strings.Repeat("x", 1<<20)
	for i := range 12 {
		o.add(k.DeadLetters, lease.FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":"s-%d"}`, i), "f", body)
	}
	o.Do("CONFIG", "RESETSTAT")
	i := o.inspector(func(c *scan.InspectorConfig) { c.Page = 100 })
	require.Len(t, collect(t, i, scan.Selection{}), 12)
	require.Contains(t, o.Text("INFO", "commandstats"), "cmdstat_xrevrange:calls=4,", "three pages, and the empty one")
	sent, err := i.SendBack(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 12, sent)
}

// An entry that a dead letter refers to is neither pending nor undelivered. Announced again with what is stranded, it would
// go round for ever, and its letter would refer to nothing.
func TestWhatALetterRefersToIsNotStranded(t *testing.T) {
	everyOffice(t, func(t *testing.T, o *office) {
		o.refer(lease.FieldAnnouncement, large)
		o.announce(0, "acknowledged by hand")
		lost := o.read(0, "undertaker.1", 1)[0]
		k := o.layout.Keys(0)
		o.Do("XACK", k.Input, o.layout.Group(), lost.ID)
		i := o.inspector()
		require.Equal(t, 2, o.backlog(i).Stranded, "the number is what the server tells at once")
		require.Equal(t, []string{"acknowledged by hand"}, o.stranded(i, scan.Selection{}))
		moved, err := i.Reannounce(o.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 1, moved)
		dropped, err := i.Drop(o.ctx, scan.Selection{Stream: "large"})
		require.NoError(t, err)
		require.Equal(t, 1, dropped)
		require.Zero(t, o.backlog(i).Stranded)
	})
}
