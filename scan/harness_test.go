package scan

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// harness is a server with one partition, on which consumers live and die by script calls alone: nothing happens by itself.
type harness struct {
	console.Console

	t      testing.TB
	ctx    context.Context
	server *servers.Server
	layout *cluster.Layout
	keys   *cluster.Keys
	set    Settings
	store  *Store
	leases *lease.Store
}

const (
	ann  = "ann.1" // a consumer that recovers
	bea  = "bea.1" // another one
	dead = "dead.1"
)

func newHarness(t testing.TB, changes ...func(*Settings)) *harness {
	return harnessOn(t, servers.New(t), changes...)
}

func harnessOn(t testing.TB, server *servers.Server, changes ...func(*Settings)) *harness {
	layout, err := cluster.NewLayout("shop", 1)
	require.NoError(t, err)
	h := &harness{t: t, ctx: context.Background(), server: server, Console: console.Console{T: t, Client: server.Client(t)}, layout: layout, keys: layout.Keys(0),
		set: Settings{
			Config: Config{}.WithDefaults(), SessionTTL: 10 * time.Second, Gap: time.Hour, Settle: true,
			Timeout: 20 * time.Second, Page: 3,
		}}
	for _, change := range changes {
		change(&h.set)
	}
	h.stores()
	h.open(ann)
	h.open(bea)
	return h
}

func (h *harness) stores() {
	h.store = NewStore(h.layout, h.set, h.Client, nil)
	h.leases = lease.NewStore(h.layout, lease.Settings{
		LeaseTTL: 30 * time.Second, SessionTTL: h.set.SessionTTL, Gap: h.set.Gap, Settle: h.set.Settle,
		Timeout: h.set.Timeout, DeadLimit: h.set.DeadLimit(), DeadDelay: time.Hour,
	}, h.Client, h.Client, nil)
}

// as returns the same harness with a client that has other rights.
func (h *harness) as(rules ...string) *harness {
	h.t.Helper()
	h.Do(append([]string{"ACL", "SETUSER", "limited", "reset", "on", "nopass", "allkeys", "+@all"}, rules...)...)
	opt := h.server.ClientOption()
	opt.Username, opt.Password = "limited", "any"
	client, err := rueidis.NewClient(opt)
	require.NoError(h.t, err)
	h.t.Cleanup(client.Close)
	other := *h
	other.Client = client
	other.stores()
	return &other
}

func (h *harness) open(consumer string) {
	h.t.Helper()
	_, err := h.leases.Open(h.ctx, 0, consumer, 0)
	require.NoError(h.t, err)
}

// add announces with raw fields.
func (h *harness) add(fields ...string) string {
	h.t.Helper()
	return h.Text(append([]string{"XADD", h.keys.Input, "*"}, fields...)...)
}

func (h *harness) announce(stream string, more ...string) string {
	h.t.Helper()
	text, err := lease.EncodeAnnouncement(stream, nil)
	require.NoError(h.t, err)
	return h.add(append([]string{lease.FieldAnnouncement, text}, more...)...)
}

// read delivers n entries, which must be there.
func (h *harness) read(consumer string, n int) []lease.Entry {
	h.t.Helper()
	entries, err := h.leases.Read(h.ctx, 0, consumer, n, time.Millisecond)
	require.NoError(h.t, err)
	require.Len(h.t, entries, n)
	return entries
}

// own has consumer read and take n entries.
func (h *harness) own(consumer string, n int) (owned []*lease.Entry) {
	h.t.Helper()
	for _, raw := range h.read(consumer, n) {
		parsed, err := lease.ParseEntry(h.layout, 0, raw.ID, raw.Body)
		require.NoError(h.t, err)
		owned = append(owned, &parsed)
	}
	status, takes, err := h.leases.Acquire(h.ctx, 0, consumer, owned)
	require.NoError(h.t, err)
	require.Equal(h.t, lease.SessionLive, status)
	for _, take := range takes {
		require.Equal(h.t, lease.Acquired, take.Verdict, take.Reason)
	}
	return owned
}

// owned announces a stream and has consumer own it.
func (h *harness) owned(consumer, stream string, more ...string) *lease.Entry {
	h.t.Helper()
	h.announce(stream, more...)
	return h.own(consumer, 1)[0]
}

// score sets the score of a session in the set, which is its deadline.
func (h *harness) score(consumer, at string) {
	h.t.Helper()
	h.Do("ZADD", h.keys.Sessions, at, consumer)
}

// kill makes a session end ago before now.
func (h *harness) kill(consumer string, ago time.Duration) {
	h.t.Helper()
	h.score(consumer, strconv.FormatInt(h.Now()-ago.Milliseconds(), 10))
}

// withDead adds a consumer with a session that is about to be killed.
func (h *harness) withDead() *harness { h.open(dead); return h }

// held makes an entry look pending for that long.
func (h *harness) held(e *lease.Entry, idle time.Duration) {
	h.t.Helper()
	h.Do("XCLAIM", h.keys.Input, h.layout.Group(), dead, "0", e.ID, "IDLE", strconv.FormatInt(idle.Milliseconds(), 10),
		"RETRYCOUNT", "2", "JUSTID")
}

func (h *harness) pending(consumer string) int {
	h.t.Helper()
	rows, err := h.Try("XPENDING", h.keys.Input, h.layout.Group(), "-", "+", "100000", consumer).ToArray()
	require.NoError(h.t, err)
	return len(rows)
}

func (h *harness) deadline(consumer string) string {
	return h.Text("ZSCORE", h.keys.Sessions, consumer)
}

// recover recovers the dead consumer without an error.
func (h *harness) recover(me string) Recovered {
	h.t.Helper()
	done, err := h.store.Recover(h.ctx, 0, me, dead)
	require.NoError(h.t, err)
	return done
}

// recovery returns a recovery to go through step by step.
func (h *harness) recovery(me string) *recovery {
	return &recovery{Store: h.store, me: me, dead: dead}
}

// listDead returns what Dead lists.
func (h *harness) listDead(me string, adopt bool) []string {
	h.t.Helper()
	names, err := h.store.Dead(h.ctx, 0, me, adopt)
	require.NoError(h.t, err)
	return names
}

// forget makes the server look like a successor of the one on record.
func (h *harness) forget() {
	h.t.Helper()
	for _, member := range h.runs() {
		h.Do("ZREM", h.keys.Sessions, member)
	}
	h.Do("ZADD", h.keys.Sessions, "-1", "!run:0123456789abcdef")
}

func (h *harness) runs() (members []string) {
	h.t.Helper()
	all, err := h.Try("ZRANGEBYSCORE", h.keys.Sessions, "-inf", "(0").AsStrSlice()
	require.NoError(h.t, err)
	for _, m := range all {
		if len(m) > 5 && m[:5] == "!run:" {
			members = append(members, m)
		}
	}
	return members
}

// items returns the items with which the recover script would be called for the first page.
func (h *harness) items(r *recovery) []lease.Disposition {
	h.t.Helper()
	orphans, err := r.page(h.ctx, "-")
	require.NoError(h.t, err)
	return append(r.triage(orphans), r.triageRead()...)
}

// throughProxy returns the same harness with a client behind a proxy that knows the scripts.
func (h *harness) throughProxy() (*harness, *proxy.Proxy) {
	h.t.Helper()
	p := proxy.New(h.t, h.server.Addr())
	for _, s := range append(Scripts(), lease.Scripts()...) {
		p.RegisterScript(s.Name(), s.Body())
	}
	client, err := rueidis.NewClient(p.ClientOption())
	require.NoError(h.t, err)
	h.t.Cleanup(client.Close)
	other := *h
	other.Client = client
	other.stores()
	return &other, p
}

// everyServer runs a test on each kind of server.
func everyServer(t *testing.T, f func(t *testing.T, h *harness), changes ...func(*Settings)) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			f(t, harnessOn(t, servers.New(t, servers.On(program)), changes...).withDead())
		})
	}
}
