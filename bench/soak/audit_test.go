package soak

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/journal"
)

func TestAuditCountsWhatBecameOfEachAnnouncement(t *testing.T) {
	a, b := newJournal(t, "a", 10), newJournal(t, "b", 10)
	own(t, a, 1, 1, journal.Owned) // killed
	own(t, b, 1, 2, journal.Failed)
	own(t, a, 1, 3, journal.Given)
	own(t, b, 1, 4, journal.Finished)
	own(t, b, 2, 5, journal.Ending)
	own(t, b, 3, 6, journal.Finished)
	own(t, a, 3, 7, journal.Finished)
	var x audit
	require.NoError(t, audited(&x, []*journal.Journal{a, b}, map[int]int{1: 1, 2: 1, 3: 1}))
	require.Equal(t, findings{Ownerships: 7, Done: 3, Unknown: 1, Failed: 1, HandedBack: 1, Recovered: 1, Again: 1}, x.findings)
	require.Len(t, x.without, 1)
	require.Positive(t, x.without[0])
	path := filepath.Join(t.TempDir(), "ownerships.txt")
	require.NoError(t, x.write(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Regexp(t, `^a held "s-1" under token 1 from \S+ until \S+: announcement 1 owned\nb held "s-1" under token 2 .*: announcement 1 failed\n`, string(text))
}

func TestAuditFindsWhatIsLost(t *testing.T) {
	a := newJournal(t, "a", 100)
	announced := make(map[int]int)
	for number := range 30 {
		own(t, a, number, api.Token(number+1), journal.Owned)
		announced[number] = 1
	}
	own(t, a, 30, 31, journal.Finished)
	announced[30] = 3
	// An announcement that may have been done, or was done twice, says nothing of the others of its stream.
	ownFor(t, a, 31, 1, 32, journal.Ending)
	ownFor(t, a, 31, 1, 33, journal.Ending)
	ownFor(t, a, 31, 3, 34, journal.Finished)
	ownFor(t, a, 31, 3, 35, journal.Finished)
	announced[31] = 3
	var x audit
	require.NoError(t, audited(&x, []*journal.Journal{a}, announced))
	require.Equal(t, 33, x.findings.Lost)
	require.Equal(t, 1, x.findings.Again)
	require.Len(t, x.findings.LostOf, maxLostOf)
	require.False(t, (&Result{findings: x.findings}).holds())
}

// TestAuditLooksAcrossRounds: the last owner of a stream is known after the journals of its round are gone.
func TestAuditLooksAcrossRounds(t *testing.T) {
	for token, falls := range map[api.Token]bool{8: false, 7: true} {
		var x audit
		first, second := newJournal(t, "a", 10), newJournal(t, "b", 10)
		own(t, first, 1, 7, journal.Finished)
		require.NoError(t, audited(&x, []*journal.Journal{first}, map[int]int{1: 1}))
		require.Empty(t, x.findings.Overlaps)
		own(t, second, 1, token, journal.Finished)
		require.NoError(t, audited(&x, []*journal.Journal{second}, map[int]int{1: 1}))
		require.Equal(t, 2, x.findings.Done)
		require.Equal(t, falls, x.findings.Overlaps != "")
		require.Equal(t, !falls, (&Result{findings: x.findings}).holds())
		if falls {
			require.Contains(t, x.findings.Overlaps, "token did not rise")
		}
	}
}

// TestAuditRefusesAJournalThatIsFull: an ownership may be missing in it.
func TestAuditRefusesAJournalThatIsFull(t *testing.T) {
	a := newJournal(t, "a", 1)
	own(t, a, 1, 1, journal.Finished)
	require.ErrorContains(t, audited(new(audit), []*journal.Journal{a}, map[int]int{1: 1}), "the journal of a is full")
}

func TestAuditWithoutJournalsShowsNothing(t *testing.T) {
	var x audit
	require.NoError(t, audited(&x, []*journal.Journal{newJournal(t, "a", 1)}, nil))
	require.NotEmpty(t, x.findings.Overlaps)
}
