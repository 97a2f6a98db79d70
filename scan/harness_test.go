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

// ward is a server with one partition, on which consumers live and die by scripts alone: nothing happens by itself.
type ward struct {
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
	ann  = "ann.1" // who looks
	bea  = "bea.1" // another one who looks
	dead = "dead.1"
)

func newWard(t testing.TB, changes ...func(*Settings)) *ward {
	return wardOn(t, servers.New(t), changes...)
}

func wardOn(t testing.TB, server *servers.Server, changes ...func(*Settings)) *ward {
	layout, err := cluster.NewLayout("shop", 1)
	require.NoError(t, err)
	w := &ward{t: t, ctx: context.Background(), server: server, Console: console.Console{T: t, Client: server.Client(t)}, layout: layout, keys: layout.Keys(0),
		set: Settings{
			Config: Config{}.WithDefaults(), SessionTTL: 10 * time.Second, Gap: time.Hour, Settle: true,
			Timeout: 20 * time.Second, Page: 3,
		}}
	for _, change := range changes {
		change(&w.set)
	}
	w.stores()
	w.open(ann)
	w.open(bea)
	return w
}

func (w *ward) stores() {
	w.store = NewStore(w.layout, w.set, w.Client, nil)
	w.leases = lease.NewStore(w.layout, lease.Settings{
		LeaseTTL: 30 * time.Second, SessionTTL: w.set.SessionTTL, Gap: w.set.Gap, Settle: w.set.Settle,
		Timeout: w.set.Timeout, DeadLimit: w.set.DeadLimit(), DeadDelay: time.Hour,
	}, w.Client, w.Client, nil)
}

// as is the same ward seen by a client with other rights.
func (w *ward) as(rules ...string) *ward {
	w.t.Helper()
	w.Do(append([]string{"ACL", "SETUSER", "limited", "reset", "on", "nopass", "allkeys", "+@all"}, rules...)...)
	opt := w.server.ClientOption()
	opt.Username, opt.Password = "limited", "any"
	client, err := rueidis.NewClient(opt)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	other := *w
	other.Client = client
	other.stores()
	return &other
}

func (w *ward) open(consumer string) {
	w.t.Helper()
	_, err := w.leases.Open(w.ctx, 0, consumer, 0)
	require.NoError(w.t, err)
}

// add announces with raw fields.
func (w *ward) add(fields ...string) string {
	w.t.Helper()
	return w.Text(append([]string{"XADD", w.keys.Input, "*"}, fields...)...)
}

func (w *ward) announce(stream string, more ...string) string {
	w.t.Helper()
	text, err := lease.EncodeAnnouncement(stream, nil)
	require.NoError(w.t, err)
	return w.add(append([]string{lease.FieldAnnouncement, text}, more...)...)
}

// read delivers n entries, which must be there.
func (w *ward) read(consumer string, n int) []lease.Entry {
	w.t.Helper()
	entries, err := w.leases.Read(w.ctx, 0, consumer, n, time.Millisecond)
	require.NoError(w.t, err)
	require.Len(w.t, entries, n)
	return entries
}

// own has consumer read and take n entries.
func (w *ward) own(consumer string, n int) (owned []*lease.Entry) {
	w.t.Helper()
	for _, raw := range w.read(consumer, n) {
		parsed, err := lease.ParseEntry(w.layout, 0, raw.ID, raw.Body)
		require.NoError(w.t, err)
		owned = append(owned, &parsed)
	}
	status, takes, err := w.leases.Acquire(w.ctx, 0, consumer, owned)
	require.NoError(w.t, err)
	require.Equal(w.t, lease.SessionLive, status)
	for _, take := range takes {
		require.Equal(w.t, lease.Acquired, take.Verdict, take.Reason)
	}
	return owned
}

// owned announces a stream and has consumer own it.
func (w *ward) owned(consumer, stream string, more ...string) *lease.Entry {
	w.t.Helper()
	w.announce(stream, more...)
	return w.own(consumer, 1)[0]
}

// score sets the deadline of a session as it stands in the set.
func (w *ward) score(consumer, at string) { w.t.Helper(); w.Do("ZADD", w.keys.Sessions, at, consumer) }

// kill makes a session past by ago.
func (w *ward) kill(consumer string, ago time.Duration) {
	w.t.Helper()
	w.score(consumer, strconv.FormatInt(w.Now()-ago.Milliseconds(), 10))
}

// mortal is a consumer with a session that is about to be killed.
func (w *ward) mortal() *ward { w.open(dead); return w }

// held makes an entry pending for so long.
func (w *ward) held(e *lease.Entry, idle time.Duration) {
	w.t.Helper()
	w.Do("XCLAIM", w.keys.Input, w.layout.Group(), dead, "0", e.ID, "IDLE", strconv.FormatInt(idle.Milliseconds(), 10),
		"RETRYCOUNT", "2", "JUSTID")
}

func (w *ward) pending(consumer string) int {
	w.t.Helper()
	rows, err := w.Try("XPENDING", w.keys.Input, w.layout.Group(), "-", "+", "100000", consumer).ToArray()
	require.NoError(w.t, err)
	return len(rows)
}

func (w *ward) deadline(consumer string) string { return w.Text("ZSCORE", w.keys.Sessions, consumer) }

// recover recovers the dead consumer without an error.
func (w *ward) recover(me string) Recovered {
	w.t.Helper()
	done, err := w.store.Recover(w.ctx, 0, me, dead)
	require.NoError(w.t, err)
	return done
}

// at is a recovery that can be gone through step by step.
func (w *ward) at(me string) *recovery {
	return &recovery{Store: w.store, me: me, dead: dead}
}

// list is what Dead lists.
func (w *ward) list(me string, adopt bool) []string {
	w.t.Helper()
	names, err := w.store.Dead(w.ctx, 0, me, adopt)
	require.NoError(w.t, err)
	return names
}

// forget makes the server look like a successor of the one that the books know.
func (w *ward) forget() {
	w.t.Helper()
	for _, member := range w.runs() {
		w.Do("ZREM", w.keys.Sessions, member)
	}
	w.Do("ZADD", w.keys.Sessions, "-1", "!run:0123456789abcdef")
}

func (w *ward) runs() (members []string) {
	w.t.Helper()
	all, err := w.Try("ZRANGEBYSCORE", w.keys.Sessions, "-inf", "(0").AsStrSlice()
	require.NoError(w.t, err)
	for _, m := range all {
		if len(m) > 5 && m[:5] == "!run:" {
			members = append(members, m)
		}
	}
	return members
}

// lent makes a page of the items that recover would be given for what is pending.
func (w *ward) lent(r *recovery) []lease.Disposition {
	w.t.Helper()
	orphans, err := r.page(w.ctx, "-")
	require.NoError(w.t, err)
	return append(r.triage(orphans), r.triageRead()...)
}

// throughProxy is the ward seen through a proxy that knows the scripts.
func (w *ward) throughProxy() (*ward, *proxy.Proxy) {
	w.t.Helper()
	p := proxy.New(w.t, w.server.Addr())
	for _, s := range append(Scripts(), lease.Scripts()...) {
		p.RegisterScript(s.Name(), s.Body())
	}
	client, err := rueidis.NewClient(p.ClientOption())
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	other := *w
	other.Client = client
	other.stores()
	return &other, p
}

// everyServer runs a test on each kind of server.
func everyServer(t *testing.T, f func(t *testing.T, w *ward), changes ...func(*Settings)) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			f(t, wardOn(t, servers.New(t, servers.On(program)), changes...).mortal())
		})
	}
}
