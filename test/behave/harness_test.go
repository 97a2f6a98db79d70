package behave_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	"github.com/streamlease/streamlease/test/wait"
)

// patience is how long a test waits for a condition: far longer than it takes on an idle machine.
const patience = 90 * time.Second

// shortTTL is for tests that wait for renewals or for the end of a lease: far longer than a busy machine may pause.
const shortTTL = 4 * time.Second

// until waits for a condition, on the goroutine of the test.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	untilEvery(t, 5*time.Millisecond, what, ok)
}

// untilEvery is until for a condition that is expensive to check.
func untilEvery(t testing.TB, every time.Duration, what string, ok func() bool) {
	t.Helper()
	require.True(t, wait.For(patience, every, ok), "did not come true: %s", what)
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
		require.FailNow(t, "did not arrive: "+what)
		panic("unreachable")
	}
}

// harness is one service on a backend.
type harness struct {
	*backend
	t       testing.TB
	service string
	layout  *cluster.Layout
	clock   overlap.Clock
}

// services numbers the services of the tests, which may share a backend.
var services atomic.Int64

// newHarness is for tests that work with any number of partitions, newHarnessOf for those that need this many. Both may share
// their servers with other tests.
func newHarness(t testing.TB) *harness { return newHarnessOf(t, on.partitions) }
func newHarnessOf(t testing.TB, partitions int) *harness {
	return harnessOn(t, newBackend(t), partitions)
}

// newOwnHarness has servers of its own, which a test may kill.
func newOwnHarness(t testing.TB) *harness { return harnessOn(t, ownBackend(t), on.partitions) }

func harnessOn(t testing.TB, b *backend, partitions int) *harness {
	t.Helper()
	h := &harness{backend: b, t: t, service: fmt.Sprintf("svc-%d", services.Add(1)), clock: overlap.NewClock()}
	var err error
	h.layout, err = cluster.NewLayout(h.service, partitions)
	require.NoError(t, err)
	if on.granted {
		h.opt.Username, h.opt.Password = h.service, "secret"
		h.grant(context.Background())
	}
	if b.group == on.shared {
		t.Cleanup(h.clean)
	}
	return h
}

// grant makes a user for the engines of this service, on every server, with the rights in docs/acl.md.
func (h *harness) grant(ctx context.Context) {
	h.t.Helper()
	rules := append([]string{"ACL", "SETUSER", h.service, "reset", "on", ">secret", "resetchannels"},
		preflight.Rules(h.service, h.layout.Partitions(), preflight.Always, preflight.ToSettle, preflight.ToStop, preflight.OnCluster, preflight.ToCheckpoint, preflight.ToBalance)...)
	for _, s := range h.data() {
		_, err := s.Call(ctx, rules...)
		require.NoError(h.t, err)
	}
}

// restart brings back killed servers, empty except for users.
func (h *harness) restart(ctx context.Context) error {
	err := h.backend.restart(ctx)
	if err == nil && on.granted {
		h.grant(ctx)
	}
	return err
}

// clean removes what would disturb other tests on the same servers.
func (h *harness) clean() {
	for p := range h.layout.Partitions() {
		k := h.layout.Keys(p)
		require.NoError(h.t, h.do("UNLINK", k.Input, k.Later, k.DeadLetters, k.Sessions, k.Checkpoints).Error())
	}
}

// keysOf returns the keys of the partition of a stream.
func (h *harness) keysOf(stream string) *cluster.Keys { return h.layout.Keys(h.layout.Of(stream)) }

// publisher makes a publisher of this service.
func (h *harness) publisher() *engine.Publisher {
	h.t.Helper()
	p, err := engine.NewPublisher(h.client, h.service, engine.WithPartitions(h.layout.Partitions()))
	require.NoError(h.t, err)
	return p
}

// do runs a command on the client of the test.
func (h *harness) do(args ...string) rueidis.RedisResult {
	c := h.client
	return c.Do(context.Background(), c.B().Arbitrary(args[0]).Keys(args[1]).Args(args[2:]...).Build())
}

// announcementOf returns the text of an announcement as a producer in any language writes it.
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

// add adds an entry with these fields to the first input stream, as a producer does that knows nothing of partitions.
func (h *harness) add(fields ...string) (id string) {
	h.t.Helper()
	id, err := h.do(append([]string{"XADD", h.layout.Keys(0).Input, "*"}, fields...)...).ToString()
	require.NoError(h.t, err)
	return id
}

// announce announces streams, each in its partition, and returns the IDs of the entries.
func (h *harness) announce(streams ...string) (ids []string) {
	h.t.Helper()
	for len(streams) > 0 {
		n := min(len(streams), 500)
		commands := make(rueidis.Commands, n)
		for i, s := range streams[:n] {
			commands[i] = h.client.B().Xadd().Key(h.keysOf(s).Input).Id("*").
				FieldValue().FieldValue("lbs-input", announcementOf(s, nil)).Build()
		}
		for _, r := range h.client.DoMulti(context.Background(), commands...) {
			id, err := r.ToString()
			require.NoError(h.t, err)
			ids = append(ids, id)
		}
		streams = streams[n:]
	}
	return ids
}

// namesOf returns the names of n streams of one partition.
func (h *harness) namesOf(p int, prefix string, n int) (out []string) {
	for i := 0; len(out) < n; i++ {
		if name := fmt.Sprintf("%s-%d", prefix, i); h.layout.Of(name) == p {
			out = append(out, name)
		}
	}
	return out
}

// names returns the names of n streams.
func names(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return out
}

// serverTime returns the server's clock.
func (h *harness) serverTime() time.Time {
	h.t.Helper()
	answer, err := h.client.Do(context.Background(), h.client.B().Time().Build()).AsIntSlice()
	require.NoError(h.t, err)
	return time.UnixMicro(answer[0]*1e6 + answer[1])
}

// state is what is on the server, over all partitions.
type state struct {
	Input     int // entries in the input streams
	Pending   int // those that are pending for a consumer
	Leases    int // lease keys
	Sessions  int // open, closed or expired; an engine has one in each partition, which count as one
	Consumers int // in the groups, counted in the same way
	Later     int
	Dead      int // dead letters
}

// state returns the current state of the server.
func (h *harness) state() (s state) {
	h.t.Helper()
	number := func(r rueidis.RedisResult) int {
		h.t.Helper()
		n, err := r.AsInt64()
		require.NoError(h.t, err)
		return int(n)
	}
	for p := range h.layout.Partitions() {
		k := h.layout.Keys(p)
		s.Input += number(h.do("XLEN", k.Input))
		s.Pending += h.pending(p)
		s.Sessions += number(h.do("ZCOUNT", k.Sessions, "0", "+inf"))
		s.Later += number(h.do("ZCARD", k.Later))
		s.Dead += number(h.do("XLEN", k.DeadLetters))
		consumers, err := h.do("XINFO", "CONSUMERS", k.Input, h.layout.Group()).ToArray()
		require.NoError(h.t, err)
		s.Consumers += len(consumers)
		s.Leases += len(h.leases(p))
	}
	return s
}

// stateIs waits until the server has this state.
func (h *harness) stateIs(want state) {
	h.t.Helper()
	want.Sessions *= h.layout.Partitions()
	want.Consumers *= h.layout.Partitions()
	var got state
	wait.For(patience, 10*time.Millisecond, func() bool { got = h.state(); return got == want })
	require.Equal(h.t, want, got, "state of the server")
}

// pending returns the number of pending entries of a partition.
func (h *harness) pending(p int) int {
	h.t.Helper()
	summary, err := h.do("XPENDING", h.layout.Keys(p).Input, h.layout.Group()).ToArray()
	require.NoError(h.t, err)
	n, err := summary[0].AsInt64()
	require.NoError(h.t, err)
	return int(n)
}

// leaseKey is a lease on the server.
type leaseKey struct {
	consumer, entry string
	token           uint64
}

// leases returns the lease keys of a partition, by the names of their streams.
func (h *harness) leases(p int) map[string]leaseKey {
	h.t.Helper()
	found := make(map[string]leaseKey)
	// A cluster client sends SCAN to any node. All of them are asked, since which one has the slot may have changed; MGET goes to
	// the one that has it.
	for _, node := range h.client.Nodes() {
		h.leasesOn(node, p, found)
	}
	return found
}

// leasesOn adds the leases of a partition whose keys one node has.
func (h *harness) leasesOn(node rueidis.Client, p int, found map[string]leaseKey) {
	h.t.Helper()
	prefix := h.layout.Keys(p).LeasePrefix()
	for cursor := uint64(0); ; {
		page, err := node.Do(context.Background(),
			node.B().Scan().Cursor(cursor).Match(globbed(prefix)+"*").Count(5000).Build()).AsScanEntry()
		require.NoError(h.t, err)
		if len(page.Elements) > 0 {
			values, err := h.do(append([]string{"MGET"}, page.Elements...)...).ToArray()
			require.NoError(h.t, err)
			for i, v := range values {
				text, err := v.ToString()
				if err != nil {
					continue // the lease ended between the two commands
				}
				parts := strings.Fields(text)
				require.GreaterOrEqual(h.t, len(parts), 3, "value of %s", page.Elements[i])
				token, err := strconv.ParseUint(parts[1], 10, 64)
				require.NoError(h.t, err)
				found[strings.TrimPrefix(page.Elements[i], prefix)] = leaseKey{parts[0], parts[2], token}
			}
		}
		if cursor = page.Cursor; cursor == 0 {
			return
		}
	}
}

// globbed returns a pattern that matches this text and nothing else.
func globbed(text string) string {
	return strings.NewReplacer("[", `\[`, "]", `\]`, "*", `\*`, "?", `\?`, `\`, `\\`).Replace(text)
}

// held returns the leases of all partitions, and checks that each names the consumer for which its entry is pending.
func (h *harness) held() map[string]leaseKey {
	h.t.Helper()
	all := make(map[string]leaseKey)
	for p := range h.layout.Partitions() {
		owners := make(map[string]string)
		rows, err := h.do("XPENDING", h.layout.Keys(p).Input, h.layout.Group(), "-", "+", "1000000").ToArray()
		require.NoError(h.t, err)
		for _, row := range rows {
			fields, err := row.ToArray()
			require.NoError(h.t, err)
			id, _ := fields[0].ToString()
			owners[id], _ = fields[1].ToString()
		}
		leases := h.leases(p)
		for stream, l := range leases {
			require.Equal(h.t, l.consumer, owners[l.entry], "consumer for which entry %s of stream %s is pending", l.entry, stream)
			require.Equal(h.t, p, h.layout.Of(stream), "partition of stream %s", stream)
		}
		maps.Copy(all, leases)
	}
	return all
}

// later returns the delayed entries of all partitions.
func (h *harness) later() (all []rueidis.ZScore) {
	h.t.Helper()
	for p := range h.layout.Partitions() {
		some, err := h.do("ZRANGE", h.layout.Keys(p).Later, "0", "-1", "WITHSCORES").AsZScores()
		require.NoError(h.t, err)
		all = append(all, some...)
	}
	return all
}

// letter is an entry of a dead-letter stream.
type letter map[string]string

// deadLetters returns the dead letters of all partitions, in the order in which they were added.
func (h *harness) deadLetters() (letters []letter) {
	h.t.Helper()
	for p := range h.layout.Partitions() {
		entries, err := h.do("XRANGE", h.layout.Keys(p).DeadLetters, "-", "+").AsXRange()
		require.NoError(h.t, err)
		for _, e := range entries {
			letters = append(letters, e.FieldValues)
		}
	}
	return letters
}

// countField returns the number of entries in the input streams that have a field.
func (h *harness) countField(name string) (n int) {
	h.t.Helper()
	for p := range h.layout.Partitions() {
		entries, err := h.do("XRANGE", h.layout.Keys(p).Input, "-", "+").AsXRange()
		require.NoError(h.t, err)
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

// checkRequeued checks that nobody holds anything and that this many announcements are left, due or delayed.
func (h *harness) checkRequeued(left int) {
	h.t.Helper()
	s := h.state()
	h.stateIs(state{Input: left - s.Later, Later: s.Later})
}
