package scan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// large is an announcement of some 20 kB, and limited makes an inspector refuse to move it.
var large = `{"DataStreamName":"large","Info":"` + strings.Repeat("x", 20_000) + `"}`

func limited(c *scan.InspectorConfig) { c.MaxMove = 10_000 }

func TestLetterThatRefersToAnEntryIsShownSentBackAndGone(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		k := f.layout.Keys(0)
		id := f.refer(lease.FieldAnnouncement, large, "mine", "kept", lease.FieldRetries, "3")
		letters := collect(t, f.inspector(), scan.Selection{Stream: "large"})
		require.Len(t, letters, 1)
		l := letters[0]
		require.Equal(t, id, l.Reference)
		require.Greater(t, l.Size, 20_000)
		require.Equal(t, "too_large", l.Class())
		require.Equal(t, 3, l.Retries)
		require.Nil(t, l.Info, "that is not whole")

		sent, err := f.inspector(limited).SendBack(f.ctx, scan.Selection{})
		require.ErrorContains(t, err, l.ID)
		require.ErrorContains(t, err, "MaxMove")
		require.Equal(t, 4, sent, "those around it")
		require.Len(t, f.read(0, "worker.1", 10), 4)

		sent, err = f.inspector().SendBack(f.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 1, sent)
		require.Zero(t, f.Num("XLEN", k.DeadLetters))
		entries := f.read(0, "worker.1", 10)
		require.Len(t, entries, 1)
		require.Equal(t, "large", entries[0].Stream)
		require.Len(t, entries[0].Body, 2, "whole, and the counts from zero")
		require.Empty(t, f.Text("EVAL", "return redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1] and 'there' or ''", "1", k.Input, id))
	})
}

func TestDropOfALetterDropsTheEntryItRefersTo(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		k := f.layout.Keys(0)
		f.refer(lease.FieldAnnouncement, large)
		require.Equal(t, 1, f.Num("XLEN", k.Input))
		dropped, err := f.inspector().Drop(f.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 5, dropped)
		require.Zero(t, f.Num("XLEN", k.Input))
		require.Zero(t, f.Num("XLEN", k.DeadLetters))
	})
}

// A failover, or an operator, may make an entry pending again for its consumer. It is no longer the letter's.
func TestEntryThatIsSomebodysAgainIsNeitherCopiedNorDropped(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		k := f.layout.Keys(0)
		id := f.refer(lease.FieldAnnouncement, large)
		f.Do("XCLAIM", k.Input, f.layout.Group(), "owner.1", "0", id, "FORCE", "JUSTID")
		sent, err := f.inspector().SendBack(f.ctx, scan.Selection{Stream: "large"})
		require.ErrorContains(t, err, "pending for owner.1")
		require.Zero(t, sent)
		dropped, err := f.inspector().Drop(f.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 5, dropped)
		require.Equal(t, 1, f.Num("XLEN", k.Input), "its body stays")
	})
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.refer(lease.FieldAnnouncement, large)
	f.Do("XGROUP", "SETID", k.Input, f.layout.Group(), "0")
	_, err := f.inspector().SendBack(f.ctx, scan.Selection{Stream: "large"})
	require.ErrorContains(t, err, "not delivered")
	_, err = f.inspector().Drop(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Len(t, f.read(0, "worker.1", 10), 1)

	f = newFleet(t, 1)
	id := f.refer(lease.FieldAnnouncement, large)
	f.Do("XDEL", f.layout.Keys(0).Input, id)
	_, err = f.inspector().SendBack(f.ctx, scan.Selection{Stream: "large"})
	require.ErrorContains(t, err, "was deleted")
	require.Equal(t, 5, f.Num("XLEN", f.layout.Keys(0).DeadLetters))
}

// A producer writes _reference into its announcement, so that dropping its dead letter would delete another one's entry.
func TestAProducersOwnReferenceMeansNothing(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.open(0, "worker.1")
	victim := f.announce(0, "victim")
	f.read(0, "worker.1", 1)
	f.Do("XACK", k.Input, f.layout.Group(), victim)
	f.add(k.DeadLetters, lease.FieldAnnouncement, `{"DataStreamName":"x"}`, lease.FieldReference, victim, lease.FieldOriginalID, "1-1",
		lease.FieldOriginalID, victim)
	letters := collect(t, f.inspector(), scan.Selection{})
	require.Empty(t, letters[0].Reference)
	require.Equal(t, "x", letters[0].Stream)
	dropped, err := f.inspector().Drop(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 1, dropped)
	require.Equal(t, 1, f.Num("XLEN", k.Input))
}

// A letter with no field of a producer cannot be requeued; SendBack ended at it, and the others stayed.
func TestLetterWithNothingToCopyStaysAndTheOthersAreSent(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		k := f.layout.Keys(0)
		f.open(0, "worker.1")
		f.deadLetter(0, "before", "retries: failed", 2)
		f.add(k.DeadLetters, lease.FieldReason, "x")
		f.add(k.DeadLetters, times(5000, lease.FieldReason, "x")...)
		f.deadLetter(0, "after", "retries: failed", 2)
		sent, err := f.inspector().SendBack(f.ctx, scan.Selection{})
		require.ErrorContains(t, err, "no field of a producer")
		require.Equal(t, 4, sent)
		require.Equal(t, 2, f.Num("XLEN", k.DeadLetters))
	})
}

// times returns n fields with one name.
func times(n int, field, value string) (fields []string) {
	for range n {
		fields = append(fields, field, value)
	}
	return fields
}

// Trace: 200 dead letters of 1 MiB, all of which one script returned, and the next one copied.
func TestPagesOfHeavyLettersAreBounded(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	body := strings.Repeat("x", 1<<20)
	for i := range 12 {
		f.add(k.DeadLetters, lease.FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":"s-%d"}`, i), "f", body)
	}
	f.Do("CONFIG", "RESETSTAT")
	i := f.inspector(func(c *scan.InspectorConfig) { c.Page = 100 })
	require.Len(t, collect(t, i, scan.Selection{}), 12)
	require.Contains(t, f.Text("INFO", "commandstats"), "cmdstat_xrevrange:calls=4,", "three pages, and the empty one")
	sent, err := i.SendBack(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 12, sent)
}

// An entry that a dead letter refers to is neither pending nor undelivered. If it were requeued with what is stranded, it would
// go round forever, and its letter would refer to nothing.
func TestWhatALetterRefersToIsNotStranded(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		f.refer(lease.FieldAnnouncement, large)
		f.announce(0, "acknowledged by hand")
		lost := f.read(0, "worker.1", 1)[0]
		k := f.layout.Keys(0)
		f.Do("XACK", k.Input, f.layout.Group(), lost.ID)
		i := f.inspector()
		require.Equal(t, 2, f.backlog(i).Stranded, "the number comes from the server's counters alone")
		require.Equal(t, []string{"acknowledged by hand"}, f.stranded(i, scan.Selection{}))
		moved, err := i.Reannounce(f.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 1, moved)
		dropped, err := i.Drop(f.ctx, scan.Selection{Stream: "large"})
		require.NoError(t, err)
		require.Equal(t, 1, dropped)
		require.Zero(t, f.backlog(i).Stranded)
	})
}
