package scan_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/servers"
)

// fleet is a service of several partitions on a server of its own, with consumers that consist only of script calls.
type fleet struct {
	console.Console

	t      testing.TB
	ctx    context.Context
	server *servers.Server
	layout *cluster.Layout
	leases *lease.Store
}

const fleetSessionTTL = 10 * time.Second

func newFleet(t testing.TB, partitions int) *fleet { return fleetOn(t, servers.New(t), partitions) }

func fleetOn(t testing.TB, server *servers.Server, partitions int) *fleet {
	layout, err := cluster.NewLayout("shop", partitions)
	require.NoError(t, err)
	f := &fleet{t: t, ctx: context.Background(), server: server, Console: console.Console{T: t, Client: server.Client(t)}, layout: layout}
	f.leases = lease.NewStore(layout, lease.Settings{
		LeaseTTL: 30 * time.Second, SessionTTL: fleetSessionTTL, Gap: time.Hour, Settle: true, Timeout: 20 * time.Second,
	}, f.Client, f.Client, nil)
	require.NoError(t, f.leases.Agree(f.ctx))
	return f
}

// inspector returns an inspector with small pages, so that several are needed.
func (f *fleet) inspector(changes ...func(*scan.InspectorConfig)) *scan.Inspector {
	f.t.Helper()
	c := scan.InspectorConfig{Page: 3, Timeout: 20 * time.Second}
	for _, change := range changes {
		change(&c)
	}
	i, err := scan.NewInspector(f.Client, "shop", c)
	require.NoError(f.t, err)
	return i
}

func (f *fleet) open(p int, consumer string) {
	f.t.Helper()
	beat, err := f.leases.Open(f.ctx, p, consumer, 0)
	require.NoError(f.t, err)
	require.Equal(f.t, lease.SessionMade, beat.Status)
}

// announce adds an announcement to a partition, with more fields.
func (f *fleet) announce(p int, stream string, more ...string) string {
	f.t.Helper()
	text, err := lease.EncodeAnnouncement(stream, nil)
	require.NoError(f.t, err)
	return f.add(f.layout.Keys(p).Input, append([]string{lease.FieldAnnouncement, text}, more...)...)
}

func (f *fleet) add(key string, fields ...string) string {
	f.t.Helper()
	return f.Text(append([]string{"XADD", key, "*"}, fields...)...)
}

// read delivers up to n entries.
func (f *fleet) read(p int, consumer string, n int) []*lease.Entry {
	f.t.Helper()
	raw, err := f.leases.Read(f.ctx, p, consumer, n, time.Millisecond)
	require.NoError(f.t, err)
	entries := make([]*lease.Entry, len(raw))
	for i, r := range raw {
		e, err := lease.ParseEntry(f.layout, p, r.ID, r.Body)
		if err != nil {
			e.Key = f.layout.Keys(p).Lease("")
		}
		entries[i] = &e
	}
	return entries
}

// take acquires entries that were read.
func (f *fleet) take(p int, consumer string, entries ...*lease.Entry) []lease.Take {
	f.t.Helper()
	status, takes, err := f.leases.Acquire(f.ctx, p, consumer, entries)
	require.NoError(f.t, err)
	require.Equal(f.t, lease.SessionLive, status)
	return takes
}

// own announces a stream in its partition and makes an open consumer its owner.
func (f *fleet) own(consumer, stream string) *lease.Entry {
	f.t.Helper()
	p := f.layout.Of(stream)
	f.announce(p, stream)
	entries := f.read(p, consumer, 1)
	require.Len(f.t, entries, 1)
	require.Equal(f.t, stream, entries[0].Stream)
	require.Equal(f.t, lease.Acquired, f.take(p, consumer, entries[0])[0].Verdict)
	return entries[0]
}

func moveTo(e *lease.Entry, dest lease.Dest, reason string) lease.Disposition {
	return lease.Disposition{Key: e.Key, Entry: e.ID, Token: lease.AnyToken, Dest: dest, Retries: lease.KeepCount,
		Crashes: lease.KeepCount, Reason: reason}
}

func (f *fleet) requeue(p int, consumer string, items ...lease.Disposition) {
	f.t.Helper()
	out, err := f.leases.Requeue(f.ctx, p, consumer, items)
	require.NoError(f.t, err)
	for _, x := range out {
		require.Equal(f.t, lease.Moved, x.Verdict, x.Reason)
	}
}

// done ends entries that were read.
func (f *fleet) done(p int, consumer string, entries ...*lease.Entry) {
	f.t.Helper()
	items := make([]lease.Disposition, len(entries))
	for i, e := range entries {
		items[i] = lease.Disposition{Key: e.Key, Entry: e.ID}
	}
	out, err := f.leases.Done(f.ctx, p, consumer, items)
	require.NoError(f.t, err)
	for _, x := range out {
		require.Equal(f.t, lease.Finished, x.Verdict, x.Reason)
	}
}

// deadLetter makes dead letters of n announcements in partition p, of streams called prefix-0 and so on.
func (f *fleet) deadLetter(p int, prefix, reason string, n int) {
	f.t.Helper()
	for i := range n {
		f.announce(p, fmt.Sprintf("%s-%d", prefix, i))
	}
	for _, e := range f.read(p, "worker.1", n) {
		r := moveTo(e, lease.ToDeadLetters, reason)
		r.Retries, r.Crashes = 4, 2
		f.requeue(p, "worker.1", r)
	}
}

// setDeadline sets the deadline of a session.
func (f *fleet) setDeadline(p int, consumer string, at int64) {
	f.t.Helper()
	f.Do("ZADD", f.layout.Keys(p).Sessions, strconv.FormatInt(at, 10), consumer)
}

func dial(t testing.TB, opt rueidis.ClientOption) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func (f *fleet) store(changes ...func(*scan.Settings)) *scan.Store {
	set := scan.Settings{Config: scan.Config{}.WithDefaults(), SessionTTL: fleetSessionTTL, Gap: time.Hour, Settle: true,
		Timeout: 20 * time.Second, Page: 3}
	for _, change := range changes {
		change(&set)
	}
	return scan.NewStore(f.layout, set, f.Client, nil)
}

// fields returns the fields of the n-th entry of the input stream.
func (f *fleet) fields(n int) map[string]string {
	f.t.Helper()
	entries := f.Stream(f.layout.Keys(0).Input)
	require.Greater(f.t, len(entries), n)
	return entries[n].FieldValues
}

// everyServer runs a test on each kind of server.
func everyServer(t *testing.T, test func(t *testing.T, f *fleet)) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) { test(t, fleetOn(t, servers.New(t, servers.On(program)), 1)) })
	}
}

// refer makes a dead letter that refers to an entry of partition 0, between ordinary ones, and returns the entry's ID.
func (f *fleet) refer(fields ...string) string {
	f.t.Helper()
	f.open(0, "worker.1")
	f.deadLetter(0, "before", "retries: failed", 2)
	id := f.add(f.layout.Keys(0).Input, fields...)
	e := f.read(0, "worker.1", 1)[0]
	r := moveTo(e, lease.ToReference, "too_large: it was")
	out, err := f.leases.Requeue(f.ctx, 0, "worker.1", []lease.Disposition{r})
	require.NoError(f.t, err)
	require.Equal(f.t, lease.Referred, out[0].Verdict, out[0].Reason)
	f.deadLetter(0, "after", "retries: failed", 2)
	return id
}
