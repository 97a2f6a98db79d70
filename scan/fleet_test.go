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

// office is a service of some partitions on a server of its own, with consumers that are nothing but calls of scripts.
type office struct {
	console.Console

	t      testing.TB
	ctx    context.Context
	server *servers.Server
	layout *cluster.Layout
	leases *lease.Store
}

const officeSessionTTL = 10 * time.Second

func newOffice(t testing.TB, partitions int) *office { return officeOn(t, servers.New(t), partitions) }

func officeOn(t testing.TB, server *servers.Server, partitions int) *office {
	layout, err := cluster.NewLayout("shop", partitions)
	require.NoError(t, err)
	o := &office{t: t, ctx: context.Background(), server: server, Console: console.Console{T: t, Client: server.Client(t)}, layout: layout}
	o.leases = lease.NewStore(layout, lease.Settings{
		LeaseTTL: 30 * time.Second, SessionTTL: officeSessionTTL, Gap: time.Hour, Settle: true, Timeout: 20 * time.Second,
	}, o.Client, o.Client, nil)
	require.NoError(t, o.leases.Agree(o.ctx))
	return o
}

// inspector asks in small pages, so that several are needed.
func (o *office) inspector(changes ...func(*scan.InspectorConfig)) *scan.Inspector {
	o.t.Helper()
	c := scan.InspectorConfig{Page: 3, Timeout: 20 * time.Second}
	for _, change := range changes {
		change(&c)
	}
	i, err := scan.NewInspector(o.Client, "shop", c)
	require.NoError(o.t, err)
	return i
}

func (o *office) open(p int, consumer string) {
	o.t.Helper()
	beat, err := o.leases.Open(o.ctx, p, consumer, 0)
	require.NoError(o.t, err)
	require.Equal(o.t, lease.SessionMade, beat.Status)
}

// announce adds an announcement to a partition, with further fields.
func (o *office) announce(p int, stream string, more ...string) string {
	o.t.Helper()
	text, err := lease.EncodeAnnouncement(stream, nil)
	require.NoError(o.t, err)
	return o.add(o.layout.Keys(p).Input, append([]string{lease.FieldAnnouncement, text}, more...)...)
}

func (o *office) add(key string, fields ...string) string {
	o.t.Helper()
	return o.Text(append([]string{"XADD", key, "*"}, fields...)...)
}

// read delivers up to n entries.
func (o *office) read(p int, consumer string, n int) []*lease.Entry {
	o.t.Helper()
	raw, err := o.leases.Read(o.ctx, p, consumer, n, time.Millisecond)
	require.NoError(o.t, err)
	entries := make([]*lease.Entry, len(raw))
	for i, r := range raw {
		e, err := lease.ParseEntry(o.layout, p, r.ID, r.Body)
		if err != nil {
			e.Key = o.layout.Keys(p).Lease("")
		}
		entries[i] = &e
	}
	return entries
}

// take acquires entries that were read.
func (o *office) take(p int, consumer string, entries ...*lease.Entry) []lease.Take {
	o.t.Helper()
	status, takes, err := o.leases.Acquire(o.ctx, p, consumer, entries)
	require.NoError(o.t, err)
	require.Equal(o.t, lease.SessionLive, status)
	return takes
}

// own announces a stream in its partition and makes an open consumer its owner.
func (o *office) own(consumer, stream string) *lease.Entry {
	o.t.Helper()
	p := o.layout.Of(stream)
	o.announce(p, stream)
	entries := o.read(p, consumer, 1)
	require.Len(o.t, entries, 1)
	require.Equal(o.t, stream, entries[0].Stream)
	require.Equal(o.t, lease.Acquired, o.take(p, consumer, entries[0])[0].Verdict)
	return entries[0]
}

func giving(e *lease.Entry, dest lease.Dest, reason string) lease.Disposition {
	return lease.Disposition{Key: e.Key, Entry: e.ID, Token: lease.AnyToken, Dest: dest, Retries: lease.KeepCount,
		Crashes: lease.KeepCount, Reason: reason}
}

func (o *office) requeue(p int, consumer string, items ...lease.Disposition) {
	o.t.Helper()
	out, err := o.leases.Requeue(o.ctx, p, consumer, items)
	require.NoError(o.t, err)
	for _, x := range out {
		require.Equal(o.t, lease.Moved, x.Verdict, x.Reason)
	}
}

// done ends entries that were read.
func (o *office) done(p int, consumer string, entries ...*lease.Entry) {
	o.t.Helper()
	items := make([]lease.Disposition, len(entries))
	for i, e := range entries {
		items[i] = lease.Disposition{Key: e.Key, Entry: e.ID}
	}
	out, err := o.leases.Done(o.ctx, p, consumer, items)
	require.NoError(o.t, err)
	for _, x := range out {
		require.Equal(o.t, lease.Finished, x.Verdict, x.Reason)
	}
}

// bury makes dead letters of n announcements in partition p, of streams called prefix-0 and so on.
func (o *office) bury(p int, prefix, reason string, n int) {
	o.t.Helper()
	for i := range n {
		o.announce(p, fmt.Sprintf("%s-%d", prefix, i))
	}
	for _, e := range o.read(p, "undertaker.1", n) {
		r := giving(e, lease.ToDeadLetters, reason)
		r.Retries, r.Crashes = 4, 2
		o.requeue(p, "undertaker.1", r)
	}
}

// score is a member's in the session set.
func (o *office) setDeadline(p int, consumer string, at int64) {
	o.t.Helper()
	o.Do("ZADD", o.layout.Keys(p).Sessions, strconv.FormatInt(at, 10), consumer)
}

func dial(t testing.TB, opt rueidis.ClientOption) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func (o *office) store(changes ...func(*scan.Settings)) *scan.Store {
	set := scan.Settings{Config: scan.Config{}.WithDefaults(), SessionTTL: officeSessionTTL, Gap: time.Hour, Settle: true,
		Timeout: 20 * time.Second, Page: 3}
	for _, change := range changes {
		change(&set)
	}
	return scan.NewStore(o.layout, set, o.Client, nil)
}

// fields are those of the n-th entry of the input stream.
func (o *office) fields(n int) map[string]string {
	o.t.Helper()
	entries := o.Stream(o.layout.Keys(0).Input)
	require.Greater(o.t, len(entries), n)
	return entries[n].FieldValues
}

// everyOffice runs a test on each kind of server.
func everyOffice(t *testing.T, f func(t *testing.T, o *office)) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) { f(t, officeOn(t, servers.New(t, servers.On(program)), 1)) })
	}
}

// refer makes a dead letter that refers to an entry of partition 0, between ordinary ones, and returns the entry's ID.
func (o *office) refer(fields ...string) string {
	o.t.Helper()
	o.open(0, "undertaker.1")
	o.bury(0, "before", "retries: failed", 2)
	id := o.add(o.layout.Keys(0).Input, fields...)
	e := o.read(0, "undertaker.1", 1)[0]
	r := giving(e, lease.ToReference, "too_large: it was")
	out, err := o.leases.Requeue(o.ctx, 0, "undertaker.1", []lease.Disposition{r})
	require.NoError(o.t, err)
	require.Equal(o.t, lease.Referred, out[0].Verdict, out[0].Reason)
	o.bury(0, "after", "retries: failed", 2)
	return id
}
