package soak

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/test/journal"
)

// book is the journal of one pod.
func book(t *testing.T, party string, pages int) *journal.Journal {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal"), party, "s-", pages)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

func name(number int) string { return fmt.Sprint("s-", number) }

// owns has the pod own a stream under a token, for its first announcement, and end that as it says.
func owns(t *testing.T, j *journal.Journal, number int, token api.Token, how journal.State) {
	t.Helper()
	works(t, j, number, 1, token, how)
}

// works is owns for any announcement of the stream.
func works(t *testing.T, j *journal.Journal, number, work int, token api.Token, how journal.State) {
	t.Helper()
	l := leasetest.New(name(number), leasetest.WithToken(token))
	page := j.AddWork(l, work)
	require.NotNil(t, page)
	page.Is(how)
	require.NoError(t, l.Done(context.Background()))
}

// added has journals of a round without dead letters and excuses audited.
func added(a *audit, journals []*journal.Journal, announced map[int]int) error {
	_, err := a.add(journals, facts{announced: announced, stream: name})
	return err
}

func TestAuditCountsWhatBecameOfEachAnnouncement(t *testing.T) {
	a, b := book(t, "a", 10), book(t, "b", 10)
	owns(t, a, 1, 1, journal.Owned) // killed
	owns(t, b, 1, 2, journal.Failed)
	owns(t, a, 1, 3, journal.Given)
	owns(t, b, 1, 4, journal.Finished)
	owns(t, b, 2, 5, journal.Ending)
	owns(t, b, 3, 6, journal.Finished)
	owns(t, a, 3, 7, journal.Finished)
	var x audit
	require.NoError(t, added(&x, []*journal.Journal{a, b}, map[int]int{1: 1, 2: 1, 3: 1}))
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
	a := book(t, "a", 100)
	announced := make(map[int]int)
	for number := range 30 {
		owns(t, a, number, api.Token(number+1), journal.Owned)
		announced[number] = 1
	}
	owns(t, a, 30, 31, journal.Finished)
	announced[30] = 3
	// What may have been done, or was done twice, is that announcement, and no other of the stream.
	works(t, a, 31, 1, 32, journal.Ending)
	works(t, a, 31, 1, 33, journal.Ending)
	works(t, a, 31, 3, 34, journal.Finished)
	works(t, a, 31, 3, 35, journal.Finished)
	announced[31] = 3
	var x audit
	require.NoError(t, added(&x, []*journal.Journal{a}, announced))
	require.Equal(t, 33, x.findings.Lost)
	require.Equal(t, 1, x.findings.Again)
	require.Len(t, x.findings.LostOf, maxLostOf)
	require.False(t, (&Result{findings: x.findings}).holds())
}

// TestAuditLooksAcrossRounds: who owned a stream last is known after the journals of its round are gone.
func TestAuditLooksAcrossRounds(t *testing.T) {
	for token, falls := range map[api.Token]bool{8: false, 7: true} {
		var x audit
		first, second := book(t, "a", 10), book(t, "b", 10)
		owns(t, first, 1, 7, journal.Finished)
		require.NoError(t, added(&x, []*journal.Journal{first}, map[int]int{1: 1}))
		require.Empty(t, x.findings.Overlaps)
		owns(t, second, 1, token, journal.Finished)
		require.NoError(t, added(&x, []*journal.Journal{second}, map[int]int{1: 1}))
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
	a := book(t, "a", 1)
	owns(t, a, 1, 1, journal.Finished)
	require.ErrorContains(t, added(new(audit), []*journal.Journal{a}, map[int]int{1: 1}), "the journal of a is full")
}

func TestAuditWithoutJournalsShowsNothing(t *testing.T) {
	var x audit
	require.NoError(t, added(&x, []*journal.Journal{book(t, "a", 1)}, nil))
	require.NotEmpty(t, x.findings.Overlaps)
}
