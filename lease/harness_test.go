package lease

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/servers"
)

// harness is a server with one partition of one service, and a store on it.
type harness struct {
	console.Console

	t      testing.TB
	ctx    context.Context
	server *servers.Server
	layout *cluster.Layout
	keys   *cluster.Keys
	set    Settings
	store  *Store
	clock  Clock

	acquires *Script // what acquire runs
}

const (
	alice = "alice.1"
	bob   = "bob.1"
	// aged is far enough in the past for every deadline of these tests, and before every beat of theirs.
	aged = time.Hour
)

func testSettings() Settings {
	return Settings{
		LeaseTTL: 30 * time.Second, SessionTTL: 10 * time.Second, Gap: 3 * time.Second, Settle: true,
		Timeout: 20 * time.Second, DeadLimit: 100, DeadDelay: time.Hour,
	}
}

func newHarness(t testing.TB, changes ...func(*Settings)) *harness {
	return harnessOn(t, servers.New(t), changes...)
}

func harnessOn(t testing.TB, server *servers.Server, changes ...func(*Settings)) *harness {
	layout, err := cluster.NewLayout("shop", 1)
	require.NoError(t, err)
	w := &harness{
		t: t, ctx: context.Background(), server: server, Console: console.Console{T: t, Client: server.Client(t)},
		layout: layout, keys: layout.Keys(0), set: testSettings(), clock: NewClock(), acquires: scriptAcquire,
	}
	for _, change := range changes {
		change(&w.set)
	}
	w.store = NewStore(layout, w.set, w.Client, w.Client, nil)
	return w
}

// as is the same harness seen by another client.
func (w *harness) as(client rueidis.Client) *harness {
	other := *w
	other.Client = client
	other.store = NewStore(w.layout, w.set, client, client, nil)
	return &other
}

func (w *harness) promote(limit int) (moved, due int, err error) {
	done, err := w.store.Promote(w.ctx, 0, limit)
	return done.Moved, done.Due, err
}

func (w *harness) open(consumer string) Beat {
	w.t.Helper()
	beat, err := w.store.Open(w.ctx, 0, consumer, 0)
	require.NoError(w.t, err)
	return beat
}

func (w *harness) beat(consumer string) Beat {
	w.t.Helper()
	beat, err := w.store.Beat(w.ctx, 0, consumer, false)
	require.NoError(w.t, err)
	return beat
}

// announce adds an entry as producers do, with further fields.
func (w *harness) announce(stream string, more ...string) string {
	w.t.Helper()
	text, err := EncodeAnnouncement(stream, nil)
	require.NoError(w.t, err)
	return w.Text(append([]string{"XADD", w.keys.Input, "*", FieldAnnouncement, text}, more...)...)
}

// read delivers up to n entries to consumer.
func (w *harness) read(consumer string, n int) []*Entry {
	w.t.Helper()
	raw, err := w.store.Read(w.ctx, 0, consumer, n, time.Millisecond)
	require.NoError(w.t, err)
	entries := make([]*Entry, len(raw))
	for i, r := range raw {
		e, err := ParseEntry(w.layout, 0, r.ID, r.Body)
		require.NoError(w.t, err)
		entries[i] = &e
	}
	return entries
}

func (w *harness) acquire(consumer string, entries ...*Entry) []Take {
	w.t.Helper()
	status, takes, err := w.store.acquire(w.ctx, w.acquires, 0, consumer, entries)
	require.NoError(w.t, err)
	require.Equal(w.t, SessionLive, status)
	return takes
}

// bothAcquires runs a test with acquire as it runs on this server, and as it does before Redis 7.
func bothAcquires(t *testing.T, f func(t *testing.T, w *harness)) {
	for name, script := range map[string]*Script{"this server": scriptAcquire, "before Redis 7": olderAcquire(t)} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.acquires = script
			f(t, w)
		})
	}
}

// olderAcquire is acquire as it runs before Redis 7.
func olderAcquire(t *testing.T) *Script { return acquireWith(t, "redis.REDIS_VERSION_NUM", "nil") }

// acquireWith is acquire with another text in the place of one.
func acquireWith(t *testing.T, old, text string) *Script {
	lua, err := luaFiles.ReadFile("lua/acquire.lua")
	require.NoError(t, err)
	require.Contains(t, string(lua), old)
	return NewScript("acquire", strings.ReplaceAll(string(lua), old, text))
}

// deliveries is how often each entry has been delivered that is pending for a consumer.
func (w *harness) deliveries(consumer string) map[string]int {
	w.t.Helper()
	page, err := w.store.Pending(w.ctx, 0, consumer, "", 10_000, 0)
	require.NoError(w.t, err)
	out := make(map[string]int)
	for _, p := range page {
		out[p.ID] = p.Deliveries
	}
	return out
}

// own announces a stream and makes consumer its owner; the session must be open.
func (w *harness) own(consumer, stream string) *Lease {
	w.t.Helper()
	w.announce(stream)
	entries := w.read(consumer, 1)
	require.Len(w.t, entries, 1)
	return w.take(consumer, entries[0])
}

// take acquires an entry that was read; nobody may hold its stream.
func (w *harness) take(consumer string, e *Entry) *Lease {
	w.t.Helper()
	take := w.acquire(consumer, e)[0]
	require.Equal(w.t, string(rune(Acquired)), string(rune(take.Verdict)), "%+v", take)
	return w.lease(consumer, e, take.Token)
}

func (w *harness) lease(consumer string, e *Entry, token api.Token) *Lease {
	s := NewSession(w.ctx, w.clock, 0, consumer, w.clock.Now(), time.Hour)
	return New(s, e, token, w.clock.Now(), time.Hour, nil)
}

func (w *harness) renew(consumer string, leases ...*Lease) Renewal {
	w.t.Helper()
	out := w.store.Renew(w.ctx, 0, consumer, 0, [][]*Lease{leases}, nil, nil)
	require.Len(w.t, out, 1)
	require.NoError(w.t, out[0].Err)
	return out[0]
}

// verdictsOf is the answer of Verify without checkpoints.
func verdictsOf(answer Verified, err error) (string, error) { return answer.Verdicts, err }

func back(l *Lease) Disposition {
	return Disposition{
		Key: l.Key(), Entry: l.Entry(), Token: l.Token().String(), Dest: ToInput,
		Retries: KeepCount, Crashes: KeepCount,
	}
}

func (w *harness) requeue(consumer string, items ...Disposition) []Outcome {
	w.t.Helper()
	out, err := w.store.Requeue(w.ctx, 0, consumer, items)
	require.NoError(w.t, err)
	return out
}

func (w *harness) done(consumer string, items ...Disposition) []Outcome {
	w.t.Helper()
	out, err := w.store.Done(w.ctx, 0, consumer, items)
	require.NoError(w.t, err)
	return out
}

func verdicts(outcomes []Outcome) string {
	var b strings.Builder
	for _, o := range outcomes {
		b.WriteByte(byte(o.Verdict))
	}
	return b.String()
}

// value is the text of a lease key, empty when there is none.
func (w *harness) value(stream string) string { return w.Text("GET", w.keys.Lease(stream)) }

func (w *harness) pttl(key string) time.Duration {
	return time.Duration(w.Num("PTTL", key)) * time.Millisecond
}

// deadline is the score of a member of the session set; ok is false when it is not there.
func (w *harness) deadline(member string) (score int64, ok bool) {
	w.t.Helper()
	text := w.Text("ZSCORE", w.keys.Sessions, member)
	if text == "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	require.NoError(w.t, err)
	return int64(f), true
}

func (w *harness) setScore(member string, score int64) {
	w.t.Helper()
	// The PEXPIRE lets it pass at maxmemory too.
	w.Do("EVAL", "redis.call('PEXPIRE', KEYS[1], 1e9) return redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])",
		"1", w.keys.Sessions, strconv.FormatInt(score, 10), member)
}

// kill makes a session past, as if its process had died some time ago.
func (w *harness) kill(consumer string) { w.setScore(consumer, 1) }

// forget makes the server look like a successor of the one that the books know.
func (w *harness) forget() {
	w.t.Helper()
	w.Do("ZREMRANGEBYSCORE", w.keys.Sessions, "-inf", "(0")
	w.Do("ZADD", w.keys.Sessions, strconv.FormatInt(-w.Now(), 10), "!beat",
		strconv.FormatInt(-w.set.SessionTTL.Milliseconds(), 10), "!ttl", "-1", "!run:0123456789abcdef")
}

// settled ends settling as if the time had passed.
func (w *harness) settled() {
	w.t.Helper()
	for _, member := range w.runs() {
		w.setScore(member, -1)
	}
}

func (w *harness) runs() (members []string) {
	w.t.Helper()
	all, err := w.Try("ZRANGE", w.keys.Sessions, "0", "-1").AsStrSlice()
	require.NoError(w.t, err)
	for _, m := range all {
		if strings.HasPrefix(m, "!run:") {
			members = append(members, m)
		}
	}
	return members
}

// pendingIDs are the entries pending for a consumer.
func (w *harness) pendingIDs(consumer string) (ids []string) {
	w.t.Helper()
	page, err := w.Try("XPENDING", w.keys.Input, w.layout.Group(), "-", "+", "10000", consumer).ToArray()
	require.NoError(w.t, err)
	for _, row := range page {
		parts, err := row.ToArray()
		require.NoError(w.t, err)
		id, err := parts[0].ToString()
		require.NoError(w.t, err)
		ids = append(ids, id)
	}
	return ids
}

// containsLine reports whether text, which may be a verbatim string of RESP3, has a line.
func containsLine(text, want string) bool {
	for line := range strings.Lines(strings.TrimPrefix(text, "txt:")) {
		if strings.TrimSpace(line) == want {
			return true
		}
	}
	return false
}
