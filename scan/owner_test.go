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

func (o *office) owner(stream string) scan.Ownership {
	o.t.Helper()
	owner, err := o.inspector().Owner(o.ctx, stream)
	require.NoError(o.t, err)
	require.Equal(o.t, stream, owner.Stream)
	require.Equal(o.t, o.layout.Of(stream), owner.Partition)
	return owner
}

func TestOwnerSinceAndUntil(t *testing.T) {
	o := newOffice(t, 2)
	for p := range 2 {
		o.open(p, "a.1")
	}
	stream := "{user7}:orders"
	p := o.layout.Of(stream)
	k := o.layout.Keys(p)
	before := o.Now()
	o.announce(p, stream, lease.FieldRetries, "2", lease.FieldCrashes, "5")
	e := o.read(p, "a.1", 1)[0]
	take := o.take(p, "a.1", e)[0]
	after := o.Now()
	waits := o.announce(p, stream)
	second := o.read(p, "a.1", 1)
	require.Equal(t, lease.HeldByOne, o.take(p, "a.1", second...)[0].Verdict)

	owner := o.owner(stream)
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
	require.WithinRange(t, owner.Session.Until, time.UnixMilli(before), time.UnixMilli(after).Add(officeSessionTTL))

	o.setDeadline(p, "a.1", 5)
	owner = o.owner(stream)
	require.Equal(t, scan.Session{State: scan.SessionDead, Until: time.UnixMilli(5)}, owner.Session)
	o.setDeadline(p, "a.1", 0)
	require.Equal(t, scan.SessionClosed, o.owner(stream).Session.State)
	o.Do("ZREM", k.Sessions, "a.1")
	require.Equal(t, scan.SessionUnknown, o.owner(stream).Session.State)

	o.Do("XACK", k.Input, o.layout.Group(), e.ID)
	owner = o.owner(stream)
	require.Equal(t, "a.1", owner.Consumer)
	require.True(t, owner.Since.IsZero())
	o.Do("PERSIST", k.Lease(stream))
	require.True(t, o.owner(stream).Until.IsZero())
}

func TestOwnerOfNothing(t *testing.T) {
	o := newOffice(t, 2)
	owner := o.owner("nobody's")
	require.Equal(t, scan.Ownership{Stream: "nobody's", Partition: owner.Partition, At: owner.At}, owner)

	_, err := o.inspector().Owner(o.ctx, "")
	require.ErrorIs(t, err, api.ErrInvalidStream)
	p := o.layout.Of("x")
	for _, value := range []string{"something", "a b c"} {
		o.Do("SET", o.layout.Keys(p).Lease("x"), value)
		_, err = o.inspector().Owner(o.ctx, "x")
		require.ErrorContains(t, err, `owner of stream "x"`)
		require.ErrorContains(t, err, "delete the key")
	}
	o.Do("DEL", o.layout.Keys(p).Lease("x"))
	o.Do("SADD", o.layout.Keys(p).Lease("x"), "1")
	_, err = o.inspector().Owner(o.ctx, "x")
	require.ErrorContains(t, err, "WRONGTYPE")
}

func TestConsumersWithTheirSessions(t *testing.T) {
	o := newOffice(t, 2)
	all, err := o.inspector().Consumers(o.ctx)
	require.NoError(t, err)
	require.Empty(t, all)

	o.open(0, "b.1")
	o.open(0, "a.1")
	o.open(1, "a.1")
	o.announce(0, "x")
	o.announce(0, "y")
	o.read(0, "b.1", 2)
	o.setDeadline(0, "b.1", 1)
	o.setDeadline(0, "c.1", 0)
	o.Do("XGROUP", "CREATECONSUMER", o.layout.Keys(1).Input, o.layout.Group(), "d.1")
	all, err = o.inspector().Consumers(o.ctx)
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

	o.Do("DEL", o.layout.Keys(0).Sessions)
	o.Do("SET", o.layout.Keys(0).Sessions, "x")
	all, err = o.inspector().Consumers(o.ctx)
	require.ErrorContains(t, err, "consumers of partition 0: ")
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Len(t, all, 2)
}

func TestHoldingsPageByPage(t *testing.T) {
	o := newOffice(t, 2)
	o.open(0, "a.1")
	o.open(0, "b.1")
	o.open(1, "a.1")
	hold := func(consumer string) (all []scan.Holding) {
		for h, err := range o.inspector().Holdings(o.ctx, consumer) {
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
		o.own("a.1", stream)
		want[stream] = true
	}
	p := o.layout.Of("s0")
	o.announce(p, "s0") // parked
	entries := o.read(p, "a.1", 1)
	o.take(p, "a.1", entries...)
	gone := o.announce(p, "deleted")
	o.read(p, "a.1", 1)
	o.Do("XDEL", o.layout.Keys(p).Input, gone)
	o.add(o.layout.Keys(p).Input, "bad", "entry")
	o.read(p, "a.1", 1)

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
			require.Equal(t, o.layout.Of(h.Stream), h.Partition)
			require.NotZero(t, h.Token)
			require.WithinRange(t, h.Until, time.UnixMilli(o.Now()-60_000), time.UnixMilli(o.Now()+31_000))
			require.Less(t, h.Idle, time.Minute)
		}
	}
	require.Equal(t, want, got)
	require.Equal(t, 2, unread)
	require.Equal(t, 1, parked)
	for range o.inspector().Holdings(o.ctx, "a.1") {
		break
	}

	o.Do("DEL", o.layout.Keys(1).Input)
	o.Do("SET", o.layout.Keys(1).Input, "x")
	var last error
	for _, err := range o.inspector().Holdings(o.ctx, "b.1") {
		last = err
	}
	require.ErrorContains(t, last, "what b.1 holds in partition 1")
	require.ErrorContains(t, last, "WRONGTYPE")
}
