package behave_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/overlap"
)

// patience is how long a condition may take that a test waits for: far longer than on a machine with nothing else to do.
const patience = 90 * time.Second

// shortTTL is for tests that wait for renewals or for the end of a lease: far from what a busy machine takes to breathe.
const shortTTL = 4 * time.Second

// until waits for a condition, on the goroutine of the test.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	untilEvery(t, 5*time.Millisecond, what, ok)
}

// untilEvery is until for a condition that costs something to look at.
func untilEvery(t testing.TB, every time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			require.FailNow(t, "did not come true: "+what)
		}
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v, ok := <-from:
		require.True(t, ok, "closed: %s", what)
		return v
	case <-timer.C:
		require.FailNow(t, "did not come: "+what)
		panic("unreachable")
	}
}

// world is one service on a backend.
type world struct {
	*backend
	t       testing.TB
	service string
	layout  *cluster.Layout
	clock   overlap.Clock
}

// services numbers the services of tests, which may share a backend.
var services atomic.Int64

// newWorld is for tests that work with any number of partitions, newWorldOf for those that want so many. Both
// may share their servers with other tests.
func newWorld(t testing.TB) *world                   { return newWorldOf(t, on.partitions) }
func newWorldOf(t testing.TB, partitions int) *world { return worldOn(t, newBackend(t), partitions) }

// newOwnWorld has servers of its own, to be killed.
func newOwnWorld(t testing.TB) *world { return worldOn(t, ownBackend(t), on.partitions) }

func worldOn(t testing.TB, b *backend, partitions int) *world {
	t.Helper()
	w := &world{backend: b, t: t, service: fmt.Sprintf("svc-%d", services.Add(1)), clock: overlap.NewClock()}
	var err error
	w.layout, err = cluster.NewLayout(w.service, partitions)
	require.NoError(t, err)
	if on.granted {
		w.opt.Username, w.opt.Password = w.service, "secret"
		w.grant(context.Background())
	}
	if b.group == on.shared {
		t.Cleanup(w.clean)
	}
	return w
}

// grant makes a user for the engines of this service, on every server, with the rights that docs/ACL.md names.
func (w *world) grant(ctx context.Context) {
	w.t.Helper()
	rules := append([]string{"ACL", "SETUSER", w.service, "reset", "on", ">secret", "resetchannels"},
		preflight.Rules(w.service, w.layout.Partitions(), preflight.Always, preflight.ToSettle, preflight.OnCluster)...)
	for _, s := range w.data() {
		_, err := s.Call(ctx, rules...)
		require.NoError(w.t, err)
	}
}

// restart brings back what was killed, with nothing in it but users.
func (w *world) restart(ctx context.Context) error {
	err := w.backend.restart(ctx)
	if err == nil && on.granted {
		w.grant(ctx)
	}
	return err
}

// clean removes what would be in the way of others who look at the same servers.
func (w *world) clean() {
	for p := range w.layout.Partitions() {
		k := w.layout.Keys(p)
		require.NoError(w.t, w.do("UNLINK", k.Input, k.Later, k.DeadLetters, k.Sessions).Error())
	}
}

// keysOf are the keys of the partition of a stream.
func (w *world) keysOf(stream string) *cluster.Keys { return w.layout.Keys(w.layout.Of(stream)) }

// publisher is one of this service.
func (w *world) publisher() *engine.Publisher {
	w.t.Helper()
	p, err := engine.NewPublisher(w.client, w.service, engine.WithPartitions(w.layout.Partitions()))
	require.NoError(w.t, err)
	return p
}

// do runs a command of the test's own.
func (w *world) do(args ...string) rueidis.RedisResult {
	c := w.client
	return c.Do(context.Background(), c.B().Arbitrary(args[0]).Keys(args[1]).Args(args[2:]...).Build())
}

// announcementOf is the text of an announcement as a producer in any language writes it.
func announcementOf(stream string, info any) string {
	a := map[string]any{"DataStreamName": stream}
	if info != nil {
		a["Info"] = info
	}
	text, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// add puts an entry with these fields into the first input stream, as a producer that knows nothing of partitions does.
func (w *world) add(fields ...string) (id string) {
	w.t.Helper()
	id, err := w.do(append([]string{"XADD", w.layout.Keys(0).Input, "*"}, fields...)...).ToString()
	require.NoError(w.t, err)
	return id
}

// announce announces streams, each in its partition, and returns the IDs of the entries.
func (w *world) announce(streams ...string) (ids []string) {
	w.t.Helper()
	for len(streams) > 0 {
		n := min(len(streams), 500)
		commands := make(rueidis.Commands, n)
		for i, s := range streams[:n] {
			commands[i] = w.client.B().Xadd().Key(w.keysOf(s).Input).Id("*").
				FieldValue().FieldValue("lbs-input", announcementOf(s, nil)).Build()
		}
		for _, r := range w.client.DoMulti(context.Background(), commands...) {
			id, err := r.ToString()
			require.NoError(w.t, err)
			ids = append(ids, id)
		}
		streams = streams[n:]
	}
	return ids
}

// namesOf are n names of streams of one partition.
func (w *world) namesOf(p int, prefix string, n int) (out []string) {
	for i := 0; len(out) < n; i++ {
		if name := fmt.Sprintf("%s-%d", prefix, i); w.layout.Of(name) == p {
			out = append(out, name)
		}
	}
	return out
}

// names are n names of streams.
func names(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return out
}

// serverTime is the server's clock.
func (w *world) serverTime() time.Time {
	w.t.Helper()
	answer, err := w.client.Do(context.Background(), w.client.B().Time().Build()).AsIntSlice()
	require.NoError(w.t, err)
	return time.UnixMicro(answer[0]*1e6 + answer[1])
}

// state is what there is on the server, over all partitions.
type state struct {
	Input     int // entries in the input streams
	Pending   int // of them, those that are pending for a consumer
	Leases    int // lease keys
	Sessions  int // open or past their deadline, closed ones too: an engine has one in each partition, and counts as one
	Consumers int // in the groups, counted likewise
	Later     int
	Dead      int // dead letters
}

// state looks at the server.
func (w *world) state() (s state) {
	w.t.Helper()
	number := func(r rueidis.RedisResult) int {
		w.t.Helper()
		n, err := r.AsInt64()
		require.NoError(w.t, err)
		return int(n)
	}
	for p := range w.layout.Partitions() {
		k := w.layout.Keys(p)
		s.Input += number(w.do("XLEN", k.Input))
		s.Pending += w.pending(p)
		s.Sessions += number(w.do("ZCOUNT", k.Sessions, "0", "+inf"))
		s.Later += number(w.do("ZCARD", k.Later))
		s.Dead += number(w.do("XLEN", k.DeadLetters))
		consumers, err := w.do("XINFO", "CONSUMERS", k.Input, w.layout.Group()).ToArray()
		require.NoError(w.t, err)
		s.Consumers += len(consumers)
		s.Leases += len(w.leases(p))
	}
	return s
}

// stateIs waits until the server is as it must be.
func (w *world) stateIs(want state) {
	w.t.Helper()
	want.Sessions *= w.layout.Partitions()
	want.Consumers *= w.layout.Partitions()
	var got state
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for got = w.state(); got != want && time.Now().Before(deadline); got = w.state() {
		<-tick.C
	}
	require.Equal(w.t, want, got, "state of the server")
}

// pending is the number of entries in the summary of XPENDING.
func (w *world) pending(p int) int {
	w.t.Helper()
	summary, err := w.do("XPENDING", w.layout.Keys(p).Input, w.layout.Group()).ToArray()
	require.NoError(w.t, err)
	n, err := summary[0].AsInt64()
	require.NoError(w.t, err)
	return int(n)
}

// leaseKey is a lease on the server.
type leaseKey struct {
	consumer, entry string
	token           uint64
}

// leases are the lease keys of a partition by the names of their streams.
func (w *world) leases(p int) map[string]leaseKey {
	w.t.Helper()
	// A client of a cluster sends a SCAN anywhere.
	nodes := w.client.Nodes()
	node := nodes[w.owner(w.layout.Keys(p).Slot).Addr()]
	require.NotNil(w.t, node, "there is no such node among %v", slices.Collect(maps.Keys(nodes)))
	prefix := w.layout.Keys(p).LeasePrefix()
	found := make(map[string]leaseKey)
	for cursor := uint64(0); ; {
		page, err := node.Do(context.Background(),
			node.B().Scan().Cursor(cursor).Match(globbed(prefix)+"*").Count(5000).Build()).AsScanEntry()
		require.NoError(w.t, err)
		if len(page.Elements) > 0 {
			values, err := w.do(append([]string{"MGET"}, page.Elements...)...).ToArray()
			require.NoError(w.t, err)
			for i, v := range values {
				text, err := v.ToString()
				if err != nil {
					continue // it ended between the two commands
				}
				parts := strings.Fields(text)
				require.GreaterOrEqual(w.t, len(parts), 3, "value of %s", page.Elements[i])
				token, err := strconv.ParseUint(parts[1], 10, 64)
				require.NoError(w.t, err)
				found[strings.TrimPrefix(page.Elements[i], prefix)] = leaseKey{parts[0], parts[2], token}
			}
		}
		if cursor = page.Cursor; cursor == 0 {
			return found
		}
	}
}

// globbed makes a pattern that matches a text and nothing else.
func globbed(text string) string {
	return strings.NewReplacer("[", `\[`, "]", `\]`, "*", `\*`, "?", `\?`, `\`, `\\`).Replace(text)
}

// held are the leases of all partitions, each of which must name a consumer for which its entry is pending.
func (w *world) held() map[string]leaseKey {
	w.t.Helper()
	all := make(map[string]leaseKey)
	for p := range w.layout.Partitions() {
		owners := make(map[string]string)
		rows, err := w.do("XPENDING", w.layout.Keys(p).Input, w.layout.Group(), "-", "+", "1000000").ToArray()
		require.NoError(w.t, err)
		for _, row := range rows {
			fields, err := row.ToArray()
			require.NoError(w.t, err)
			id, _ := fields[0].ToString()
			owners[id], _ = fields[1].ToString()
		}
		leases := w.leases(p)
		for stream, l := range leases {
			require.Equal(w.t, l.consumer, owners[l.entry], "for whom entry %s of stream %s is pending", l.entry, stream)
			require.Equal(w.t, p, w.layout.Of(stream), "partition of stream %s", stream)
		}
		maps.Copy(all, leases)
	}
	return all
}

// later is what is put off, of all partitions.
func (w *world) later() (all []rueidis.ZScore) {
	w.t.Helper()
	for p := range w.layout.Partitions() {
		some, err := w.do("ZRANGE", w.layout.Keys(p).Later, "0", "-1", "WITHSCORES").AsZScores()
		require.NoError(w.t, err)
		all = append(all, some...)
	}
	return all
}

// letter is one entry of the dead-letter stream.
type letter map[string]string

// deadLetters are those of all partitions, in the order in which they got there.
func (w *world) deadLetters() (letters []letter) {
	w.t.Helper()
	for p := range w.layout.Partitions() {
		entries, err := w.do("XRANGE", w.layout.Keys(p).DeadLetters, "-", "+").AsXRange()
		require.NoError(w.t, err)
		for _, e := range entries {
			letters = append(letters, e.FieldValues)
		}
	}
	return letters
}

// countField is in how many entries of the input streams a field is.
func (w *world) countField(name string) (n int) {
	w.t.Helper()
	for p := range w.layout.Partitions() {
		entries, err := w.do("XRANGE", w.layout.Keys(p).Input, "-", "+").AsXRange()
		require.NoError(w.t, err)
		for _, e := range entries {
			if _, ok := e.FieldValues[name]; ok {
				n++
			}
		}
	}
	return n
}

func containsAll(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// handedBack checks that nobody holds anything and that so many announcements are left, at once or for later.
func (w *world) handedBack(left int) {
	w.t.Helper()
	s := w.state()
	w.stateIs(state{Input: left - s.Later, Later: s.Later})
}
