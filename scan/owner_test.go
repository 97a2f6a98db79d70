package scan_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

func (f *fleet) owner(stream string) scan.Ownership {
	f.t.Helper()
	owner, err := f.inspector().Owner(f.ctx, stream)
	require.NoError(f.t, err)
	require.Equal(f.t, stream, owner.Stream)
	require.Equal(f.t, f.layout.Of(stream), owner.Partition)
	return owner
}

func TestOwnerSinceAndUntil(t *testing.T) {
	f := newFleet(t, 2)
	for p := range 2 {
		f.open(p, "a.1")
	}
	stream := "{user7}:orders"
	p := f.layout.Of(stream)
	k := f.layout.Keys(p)
	before := f.Now()
	f.announce(p, stream, lease.FieldRetries, "2", lease.FieldCrashes, "5")
	e := f.read(p, "a.1", 1)[0]
	take := f.take(p, "a.1", e)[0]
	after := f.Now()
	waits := f.announce(p, stream)
	second := f.read(p, "a.1", 1)
	require.Equal(t, lease.HeldByOne, f.take(p, "a.1", second...)[0].Verdict)

	owner := f.owner(stream)
	require.Equal(t, "a.1", owner.Consumer)
	require.Equal(t, take.Token, owner.Token)
	require.Equal(t, e.ID, owner.Entry)
	require.Equal(t, waits, owner.Waiting)
	require.Equal(t, 2, owner.Retries)
	require.Equal(t, 5, owner.Crashes)
	// An idle time and a clock in milliseconds may differ by one from each other.
	require.GreaterOrEqual(t, owner.Since.UnixMilli(), before-1)
	require.LessOrEqual(t, owner.Since.UnixMilli(), after+1)
	require.WithinRange(t, owner.Until, owner.At, time.UnixMilli(after).Add(31*time.Second))
	require.Equal(t, scan.SessionAlive, owner.Session.State)
	require.WithinRange(t, owner.Session.Until, time.UnixMilli(before), time.UnixMilli(after).Add(fleetSessionTTL))

	f.setDeadline(p, "a.1", 5)
	owner = f.owner(stream)
	require.Equal(t, scan.Session{State: scan.SessionDead, Until: time.UnixMilli(5)}, owner.Session)
	f.setDeadline(p, "a.1", 0)
	require.Equal(t, scan.SessionClosed, f.owner(stream).Session.State)
	f.Do("ZREM", k.Sessions, "a.1")
	require.Equal(t, scan.SessionUnknown, f.owner(stream).Session.State)

	f.Do("XACK", k.Input, f.layout.Group(), e.ID)
	owner = f.owner(stream)
	require.Equal(t, "a.1", owner.Consumer)
	require.True(t, owner.Since.IsZero())
	f.Do("PERSIST", k.Lease(stream))
	require.True(t, f.owner(stream).Until.IsZero())
}

func TestOwnerOfNothing(t *testing.T) {
	f := newFleet(t, 2)
	owner := f.owner("nobody's")
	require.Equal(t, scan.Ownership{Stream: "nobody's", Partition: owner.Partition, At: owner.At}, owner)

	_, err := f.inspector().Owner(f.ctx, "")
	require.ErrorIs(t, err, api.ErrInvalidStream)
	p := f.layout.Of("x")
	for _, value := range []string{"something", "a b c"} {
		f.Do("SET", f.layout.Keys(p).Lease("x"), value)
		_, err = f.inspector().Owner(f.ctx, "x")
		require.ErrorContains(t, err, `owner of stream "x"`)
		require.ErrorContains(t, err, "delete the key")
	}
	f.Do("DEL", f.layout.Keys(p).Lease("x"))
	f.Do("SADD", f.layout.Keys(p).Lease("x"), "1")
	_, err = f.inspector().Owner(f.ctx, "x")
	require.ErrorContains(t, err, "WRONGTYPE")
}

func TestConsumersWithTheirSessions(t *testing.T) {
	f := newFleet(t, 2)
	all, err := f.inspector().Consumers(f.ctx)
	require.NoError(t, err)
	require.Empty(t, all)

	f.open(0, "b.1")
	f.open(0, "a.1")
	f.open(1, "a.1")
	f.announce(0, "x")
	f.announce(0, "y")
	f.read(0, "b.1", 2)
	f.setDeadline(0, "b.1", 1)
	f.setDeadline(0, "c.1", 0)
	f.Do("XGROUP", "CREATECONSUMER", f.layout.Keys(1).Input, f.layout.Group(), "d.1")
	all, err = f.inspector().Consumers(f.ctx)
	require.NoError(t, err)
	require.Len(t, all, 5)
	require.Equal(t, scan.SessionAlive, all[0].Session.State)
	alive := all[0].Session
	require.Equal(t, []scan.Consumer{
		{Partition: 0, Name: "a.1", Session: alive},
		{Partition: 0, Name: "b.1", Pending: 2, Session: scan.Session{State: scan.SessionDead, Until: time.UnixMilli(1)}},
		{Partition: 0, Name: "c.1", Session: scan.Session{State: scan.SessionClosed}},
		{Partition: 1, Name: "a.1", Session: all[3].Session},
		{Partition: 1, Name: "d.1", Session: scan.Session{State: scan.SessionUnknown}},
	}, all)

	f.Do("DEL", f.layout.Keys(0).Sessions)
	f.Do("SET", f.layout.Keys(0).Sessions, "x")
	all, err = f.inspector().Consumers(f.ctx)
	require.ErrorContains(t, err, "consumers of partition 0: ")
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Len(t, all, 2)
}

func TestHoldingsPageByPage(t *testing.T) {
	f := newFleet(t, 2)
	f.open(0, "a.1")
	f.open(0, "b.1")
	f.open(1, "a.1")
	hold := func(consumer string) (all []scan.Holding) {
		for h, err := range f.inspector().Holdings(f.ctx, consumer) {
			require.NoError(t, err)
			all = append(all, h)
		}
		return all
	}
	require.Empty(t, hold("a.1"))
	require.Empty(t, hold("stranger.1"))

	want := map[string]bool{} // stream: held
	for n := 0; len(want) < 11; n++ {
		stream := "s" + strconv.Itoa(n)
		f.own("a.1", stream)
		want[stream] = true
	}
	p := f.layout.Of("s0")
	f.announce(p, "s0") // parked
	entries := f.read(p, "a.1", 1)
	f.take(p, "a.1", entries...)
	gone := f.announce(p, "deleted")
	f.read(p, "a.1", 1)
	f.Do("XDEL", f.layout.Keys(p).Input, gone)
	f.add(f.layout.Keys(p).Input, "bad", "entry")
	f.read(p, "a.1", 1)

	all := hold("a.1")
	require.Len(t, all, 14)
	got, unread, parked := map[string]bool{}, 0, 0
	for _, h := range all {
		switch {
		case h.Stream == "":
			unread++
			require.False(t, h.Held)
		case !h.Held:
			parked++
			require.Equal(t, entries[0].ID, h.Entry)
		default:
			got[h.Stream] = true
			require.Equal(t, f.layout.Of(h.Stream), h.Partition)
			require.NotZero(t, h.Token)
			require.WithinRange(t, h.Until, time.UnixMilli(f.Now()-60_000), time.UnixMilli(f.Now()+31_000))
			require.Less(t, h.Idle, time.Minute)
		}
	}
	require.Equal(t, want, got)
	require.Equal(t, 2, unread)
	require.Equal(t, 1, parked)
	for range f.inspector().Holdings(f.ctx, "a.1") {
		break
	}

	f.Do("DEL", f.layout.Keys(1).Input)
	f.Do("SET", f.layout.Keys(1).Input, "x")
	var last error
	for _, err := range f.inspector().Holdings(f.ctx, "b.1") {
		last = err
	}
	require.ErrorContains(t, last, "what b.1 holds in partition 1")
	require.ErrorContains(t, last, "WRONGTYPE")
}
