package scan_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Trace: the owner of a stream dies. Another process has waited for it so long that it asks every 30 s only. The recovery frees the stream, by
// itself or because somebody asks for it, and says so.
func TestRecoveryOfAStreamSaysThatItIsFree(t *testing.T) {
	for name, recover := range map[string]func(f *fleet, s *scan.Store){
		"Recover": func(f *fleet, s *scan.Store) {
			_, err := s.Recover(f.ctx, 0, "bob.1", "alice.1")
			require.NoError(f.t, err)
		},
		"Requeue": func(f *fleet, s *scan.Store) { require.NoError(f.t, s.Requeue(f.ctx, 0, "bob.1", "s", nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 1)
			f.open(0, "alice.1")
			f.open(0, "bob.1")
			f.own("alice.1", "s")
			f.own("alice.1", "nobody waits for it")
			f.announce(0, "s")
			require.Equal(t, lease.HeldByOne, f.take(0, "bob.1", f.read(0, "bob.1", 1)...)[0].Verdict)
			f.setDeadline(0, "alice.1", 5)
			k := f.layout.Keys(0)
			require.Zero(t, f.Num("EXISTS", k.Signals), "that store takes no part")
			store := f.store(func(s *scan.Settings) { s.Signals = lease.NewSignals(f.layout, lease.NewClock(), nil) })
			recover(f, store)
			require.Zero(t, f.Num("EXISTS", k.Lease("s")))
			page, err := f.leases.Signals(f.ctx, 0, "0-18446744073709551615", 10)
			require.NoError(t, err)
			require.Len(t, page.Signals, 1)
			require.Equal(t, lease.SignalFreed, page.Signals[0].Kind)
			require.Equal(t, []lease.SignalItem{{Stream: "s"}}, page.Signals[0].Items)
		})
	}
}

func TestInspectorSignals(t *testing.T) {
	f := newFleet(t, 3)
	i := f.inspector()
	require.NoError(t, i.Signal(f.ctx, "s", []byte("look")))
	k := f.layout.Keys(f.layout.Of("s"))
	require.EqualValues(t, 1, f.Num("XLEN", k.Signals))
	page, err := f.leases.Signals(f.ctx, k.Partition, "0-18446744073709551615", 10)
	require.NoError(t, err)
	require.Equal(t, lease.SignalUser, page.Signals[0].Kind)
	require.Equal(t, "look", string(page.Signals[0].Payload))
	require.ErrorIs(t, i.Signal(f.ctx, "", nil), api.ErrInvalidStream)
	require.ErrorIs(t, i.Signal(f.ctx, "s", make([]byte, api.MaxSignal+1)), api.ErrTooLarge)
	f.Do("DEL", k.Signals)
	f.Do("SET", k.Signals, "mine")
	require.ErrorContains(t, i.Signal(f.ctx, "s", nil), "WRONGTYPE")
	f.Do("DEL", f.layout.Meta())
	require.ErrorIs(t, f.inspector().Signal(f.ctx, "s", nil), scan.ErrUnknownService)
}

// Signals are nobody's data: deleting a service deletes them, in partitions that there never were, too; another number of partitions keeps
// none where no partition is left.
func TestSignalsGoWithTheirService(t *testing.T) {
	f := newFleet(t, 8)
	i := f.inspector()
	for p := range 8 {
		f.Do("XADD", f.layout.Keys(p).Signals, "*", "stream", "s")
	}
	_, err := i.Repartition(f.ctx, 2, nil)
	require.NoError(t, err)
	var left []string
	for _, key := range f.keys() {
		if strings.HasSuffix(key, ":signals") {
			left = append(left, key)
		}
	}
	require.ElementsMatch(t, []string{f.layout.Keys(0).Signals, f.layout.Keys(1).Signals}, left)
	f.Do("XADD", f.layout.Keys(7).Signals, "*", "stream", "s")
	require.Empty(t, f.survey().Unknown)
	_, err = f.inspector().DeleteService(f.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, f.keys())
}
