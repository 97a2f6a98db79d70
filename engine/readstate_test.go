package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A read may deliver while it runs, and, if its outcome is unknown, for some time after it.
func TestReadDeliversUntilItsOutcomeIsKnown(t *testing.T) {
	p := newPartition(0, "host")
	require.False(t, p.delivering("host.1", 0))
	p.beginRead("host.1")
	require.True(t, p.delivering("host.1", 0))
	require.False(t, p.delivering("host.2", 0), "the read is for another consumer")
	p.endRead("5-1", false, 0)
	require.False(t, p.delivering("host.1", 0))
	require.False(t, p.mu.read.lost)

	p.beginRead("host.1")
	p.endRead("", true, 100)
	require.True(t, p.delivering("host.1", 99))
	require.False(t, p.delivering("host.1", 100))
}

// What was lost lies after the last ID before the first read with an unknown outcome, however many reads follow.
func TestLostReadsAreComparedFromBeforeTheFirst(t *testing.T) {
	p := newPartition(0, "host")
	p.endRead("5-1", false, 0)
	p.endRead("6-3", true, 100)
	require.True(t, p.mu.read.lost)
	require.Equal(t, "5-1", p.mu.read.since)
	require.Equal(t, "6-3", p.mu.read.last, "an unknown outcome may come with entries")
	p.endRead("7-1", false, 0)
	p.endRead("", true, 200)
	require.Equal(t, "5-1", p.mu.read.since)
	require.Equal(t, "7-1", p.mu.read.last, "a read without entries keeps the last ID")
	require.EqualValues(t, 200, p.mu.read.deliverUntil)
}

// A comparison that is asked for comes at once, but keeps its distance to the one before, and never postpones one that is due.
func TestCompareSoonKeepsItsDistance(t *testing.T) {
	const now = int64(time.Hour)
	for _, c := range []struct {
		name                   string
		compared, before, want int64
	}{
		{"never compared", 0, now + int64(time.Minute), now},
		{"compared long ago", now - int64(time.Minute), now + int64(time.Minute), now},
		{"compared just now", now - int64(time.Second), now + int64(time.Minute), now - int64(time.Second) + int64(attendEvery)},
		{"due before that", now - int64(time.Second), now + int64(2*time.Second), now + int64(2*time.Second)},
		{"due already", 0, now - 1, now - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPartition(0, "host")
			p.mu.read.comparedAt, p.mu.read.compareAt = c.compared, c.before
			p.compareSoon(now)
			require.Equal(t, c.want, p.mu.read.compareAt)
		})
	}
}
