package faults

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

const service = "svc"

// patience is how long a test waits for what must happen, on a machine that is busy with other things.
const patience = 30 * time.Second

// harness is a server with one service on it, and the members that share it.
type harness struct {
	console.Console // without a proxy

	server *servers.Server
	layout *cluster.Layout
	keys   *cluster.Keys
	clock  overlap.Clock
	fleet  []*member

	unknown map[string]bool // streams whose last ending had an unknown outcome
}

func newHarness(t testing.TB, opts ...servers.Option) *harness {
	return harnessOn(t, servers.New(t, opts...))
}

func harnessOn(t testing.TB, server *servers.Server) *harness {
	layout, err := cluster.NewLayout(service, 1)
	require.NoError(t, err)
	return &harness{
		Console: console.Console{T: t, Client: server.Client(t)}, server: server, layout: layout, keys: layout.Keys(0),
		clock: overlap.NewClock(), unknown: make(map[string]bool),
	}
}

// link starts a proxy in front of the server that knows the scripts by name.
func (h *harness) link() *proxy.Proxy {
	h.T.Helper()
	p := proxy.New(h.T, h.server.Addr())
	for _, s := range lease.Scripts() {
		p.RegisterScript(s.Name(), s.Body())
	}
	return p
}

// inSubtest returns the same harness for a subtest.
func (h *harness) inSubtest(t testing.TB) *harness {
	other := *h
	other.T = t
	return &other
}

// announce adds an entry for each stream, as producers do.
func (h *harness) announce(streams ...string) {
	h.T.Helper()
	for _, stream := range streams {
		text, err := lease.EncodeAnnouncement(stream, nil)
		require.NoError(h.T, err)
		h.Do("XADD", h.keys.Input, "*", lease.FieldAnnouncement, text)
	}
}

// names returns the names of n streams.
func names(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("s-%d", i))
	}
	return out
}

// serverNow returns the server's clock, and the local time at which it showed that, or a little before.
func (h *harness) serverNow() (ms int64, at time.Time) {
	h.T.Helper()
	at = time.Now()
	parts, err := h.Try("TIME").AsStrSlice()
	require.NoError(h.T, err)
	s, _ := strconv.ParseInt(parts[0], 10, 64)
	us, _ := strconv.ParseInt(parts[1], 10, 64)
	return s*1000 + us/1000, at
}

// deadlines returns when, on the clock of this process, the server considers each stream of a member free: at the deadline of its
// lease or of its session, whichever is earlier. Times are rounded down rather than up.
func (h *harness) deadlines(m *member) map[string]time.Time {
	h.T.Helper()
	now, at := h.serverNow()
	score, err := h.Try("ZSCORE", h.keys.Sessions, m.engine.ID()).AsFloat64()
	require.NoError(h.T, err)
	session := at.Add(time.Duration(int64(score)-now-1) * time.Millisecond)
	out := make(map[string]time.Time)
	for _, stream := range m.held() {
		before := time.Now()
		left := h.Num("PTTL", h.keys.Lease(stream))
		out[stream] = before.Add(time.Duration(left) * time.Millisecond)
		if session.Before(out[stream]) {
			out[stream] = session
		}
	}
	return out
}

// eventually waits for a condition.
func (h *harness) eventually(ok func() bool, what string, args ...any) {
	h.T.Helper()
	if !wait.For(patience, 5*time.Millisecond, ok) {
		for _, m := range h.fleet {
			h.T.Logf("%s: holds %d, %+v, ready: %v", m.name, len(m.held()), m.engine.Stats(), m.engine.Ready(context.Background()))
		}
		h.T.Logf("keys %.2000v, pending %.2000v", fmt.Sprint(h.allKeys()), fmt.Sprint(h.pending()))
		require.FailNow(h.T, "did not happen: "+fmt.Sprintf(what, args...))
	}
}

func (h *harness) allKeys() []string {
	keys, _ := h.Try("KEYS", "*").AsStrSlice()
	return keys
}

func (h *harness) pending() any {
	answer, err := h.Try("XPENDING", h.keys.Input, h.layout.Group(), "-", "+", "100").ToAny()
	if err != nil {
		return err
	}
	return answer
}

// owner returns the member that believes it holds a stream, or nil.
func (h *harness) owner(stream string) *member {
	for _, m := range h.fleet {
		if _, ok := m.engine.Lease(stream); ok {
			return m
		}
	}
	return nil
}

// owned reports whether each of the streams has an owner.
func (h *harness) owned(streams ...string) bool {
	for _, s := range streams {
		if h.owner(s) == nil {
			return false
		}
	}
	return true
}

// awaitOwned waits until each of the streams has an owner.
func (h *harness) awaitOwned(streams ...string) {
	h.T.Helper()
	h.eventually(func() bool { return h.owned(streams...) }, "an owner for each of %d streams", len(streams))
}

// checkOwners compares what all members believed so far.
func (h *harness) checkOwners() {
	h.T.Helper()
	var recorders []*overlap.Recorder
	for _, m := range h.fleet {
		recorders = append(recorders, m.recorder)
	}
	require.NoError(h.T, overlap.CheckAll(recorders...))
}

// finish lets the owners end every stream, and then checks that nothing is left over and that nobody was wrong.
func (h *harness) finish(streams ...string) {
	h.T.Helper()
	for _, s := range streams {
		h.eventually(func() bool { return h.doneBy(s) }, "%s to be done", s)
	}
	h.checkOwners()
	h.eventually(func() bool { return h.Num("XLEN", h.keys.Input) == 0 }, "an empty input stream")
	require.Zero(h.T, h.Num("XLEN", h.keys.DeadLetters))
	require.Zero(h.T, h.Num("ZCARD", h.keys.Later))
}

// doneBy ends a stream by Done, if it has an owner, and reports success. If the outcome stays unknown the stream either is done,
// or gets an owner again.
func (h *harness) doneBy(stream string) bool {
	m := h.owner(stream)
	if m == nil {
		return h.unknown[stream] && !h.announced(stream)
	}
	l, ok := m.engine.Lease(stream)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m.recorder.Look(l)
	err := l.Done(ctx)
	h.unknown[stream] = errors.Is(err, api.ErrOutcomeUnknown)
	return err == nil
}

// announced reports, atomically, whether there is an announcement of a stream that is not done.
func (h *harness) announced(stream string) bool {
	h.T.Helper()
	return h.Num("EVAL", `
		local found = 0
		for _, e in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
			found = found + (cjson.decode(e[2][2]).DataStreamName == ARGV[1] and 1 or 0)
		end
		for _, m in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
			found = found + (cjson.decode(cmsgpack.unpack(m)[2][2]).DataStreamName == ARGV[1] and 1 or 0)
		end
		return found`, "2", h.keys.Input, h.keys.Later, stream) > 0
}

// awaitTime waits until this much of the server's time has passed.
func (h *harness) awaitTime(d time.Duration) {
	h.T.Helper()
	start, _ := h.serverNow()
	h.eventually(func() bool {
		now, _ := h.serverNow()
		return now >= start+d.Milliseconds()
	}, "%v of the server's time", d)
}
