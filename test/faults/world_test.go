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
)

const service = "svc"

// patience is how long a test waits for what must come, on a machine that is busy with other things.
const patience = 30 * time.Second

// world is a server with one service on it, and the parties that share it.
type world struct {
	console.Console // direct

	t      testing.TB
	server *servers.Server
	layout *cluster.Layout
	keys   *cluster.Keys
	clock  overlap.Clock
	all    []*party

	unknown map[string]bool // streams whose last ending had an unknown outcome
}

func newWorld(t testing.TB, opts ...servers.Option) *world {
	return worldOn(t, servers.New(t, opts...))
}

func worldOn(t testing.TB, server *servers.Server) *world {
	layout, err := cluster.NewLayout(service, 1)
	require.NoError(t, err)
	return &world{
		t: t, server: server, Console: console.Console{T: t, Client: server.Client(t)}, layout: layout, keys: layout.Keys(0), clock: overlap.NewClock(),
		unknown: make(map[string]bool),
	}
}

// link is a proxy in front of the server that knows the scripts by name.
func (w *world) link() *proxy.Proxy {
	w.t.Helper()
	p := proxy.New(w.t, w.server.Addr())
	for _, s := range lease.Scripts() {
		p.RegisterScript(s.Name(), s.Body())
	}
	return p
}

// under is the same world in a subtest.
func (w *world) under(t testing.TB) *world {
	other := *w
	other.t, other.T = t, t
	return &other
}

// announce adds an entry for each stream, as producers do.
func (w *world) announce(streams ...string) {
	w.t.Helper()
	for _, stream := range streams {
		text, err := lease.EncodeAnnouncement(stream, nil)
		require.NoError(w.t, err)
		w.Do("XADD", w.keys.Input, "*", lease.FieldAnnouncement, text)
	}
}

// names are n streams.
func names(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("s-%d", i))
	}
	return out
}

// serverNow is the server's clock, and a moment of this process's at which it showed that, or a little before.
func (w *world) serverNow() (ms int64, at time.Time) {
	w.t.Helper()
	at = time.Now()
	parts, err := w.Try("TIME").AsStrSlice()
	require.NoError(w.t, err)
	s, _ := strconv.ParseInt(parts[0], 10, 64)
	us, _ := strconv.ParseInt(parts[1], 10, 64)
	return s*1000 + us/1000, at
}

// deadlines are when, on the clock of this process, the server lets go of each stream of a party: at the deadline of
// its lease or of its session, whichever comes first. Times are rounded to come out too early rather than too late.
func (w *world) deadlines(p *party) map[string]time.Time {
	w.t.Helper()
	now, at := w.serverNow()
	score, err := w.Try("ZSCORE", w.keys.Sessions, p.engine.ID()).AsFloat64()
	require.NoError(w.t, err)
	session := at.Add(time.Duration(int64(score)-now-1) * time.Millisecond)
	out := make(map[string]time.Time)
	for _, stream := range p.held() {
		before := time.Now()
		left := w.Num("PTTL", w.keys.Lease(stream))
		out[stream] = before.Add(time.Duration(left) * time.Millisecond)
		if session.Before(out[stream]) {
			out[stream] = session
		}
	}
	return out
}

// eventually waits for a condition.
func (w *world) eventually(ok func() bool, what string, args ...any) {
	w.t.Helper()
	if !w.within(patience, ok) {
		for _, p := range w.all {
			w.t.Logf("%s: holds %d, %+v, ready: %v", p.name, len(p.held()), p.engine.Stats(), p.engine.Ready(context.Background()))
		}
		w.t.Logf("keys %.2000v, pending %.2000v", fmt.Sprint(w.keysThere()), fmt.Sprint(w.pending()))
		require.FailNow(w.t, "did not come: "+fmt.Sprintf(what, args...))
	}
}

func (w *world) within(limit time.Duration, ok func() bool) bool {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(limit); ; <-ticker.C {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func (w *world) keysThere() []string {
	keys, _ := w.Try("KEYS", "*").AsStrSlice()
	return keys
}

func (w *world) pending() any {
	answer, err := w.Try("XPENDING", w.keys.Input, w.layout.Group(), "-", "+", "100").ToAny()
	if err != nil {
		return err
	}
	return answer
}

// owner is who holds a stream in its own eyes, nil for nobody.
func (w *world) owner(stream string) *party {
	for _, p := range w.all {
		if _, ok := p.engine.Lease(stream); ok {
			return p
		}
	}
	return nil
}

// owned says whether each of the streams has an owner.
func (w *world) owned(streams ...string) bool {
	for _, s := range streams {
		if w.owner(s) == nil {
			return false
		}
	}
	return true
}

// awaitOwned waits until each of the streams has an owner.
func (w *world) awaitOwned(streams ...string) {
	w.t.Helper()
	w.eventually(func() bool { return w.owned(streams...) }, "an owner for each of %d streams", len(streams))
}

// checkOwners compares what all parties believed so far.
func (w *world) checkOwners() {
	w.t.Helper()
	var records []overlap.Record
	for _, p := range w.all {
		records = append(records, p.recorder.Records()...)
	}
	require.NoError(w.t, overlap.Check(records))
}

// finish has every stream done by its owner, and then checks that nothing is left over and nobody was wrong.
func (w *world) finish(streams ...string) {
	w.t.Helper()
	for _, s := range streams {
		w.eventually(func() bool { return w.doneBy(s) }, "%s to be done", s)
	}
	w.checkOwners()
	w.eventually(func() bool { return w.Num("XLEN", w.keys.Input) == 0 }, "an empty input stream")
	require.Zero(w.t, w.Num("XLEN", w.keys.DeadLetters))
	require.Zero(w.t, w.Num("ZCARD", w.keys.Later))
}

// doneBy has the owner of a stream, if it has one, say that it is done. Where the outcome stays unknown it either was, or
// the stream finds an owner again.
func (w *world) doneBy(stream string) bool {
	p := w.owner(stream)
	if p == nil {
		return w.unknown[stream] && !w.announced(stream)
	}
	l, ok := p.engine.Lease(stream)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.recorder.Look(l)
	err := l.Done(ctx)
	w.unknown[stream] = errors.Is(err, api.ErrOutcomeUnknown)
	return err == nil
}

// announced says whether there is an announcement of a stream that is not done, in one look.
func (w *world) announced(stream string) bool {
	w.t.Helper()
	return w.Num("EVAL", `
		local found = 0
		for _, e in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
			found = found + (cjson.decode(e[2][2]).DataStreamName == ARGV[1] and 1 or 0)
		end
		for _, m in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
			found = found + (cjson.decode(cmsgpack.unpack(m)[2][2]).DataStreamName == ARGV[1] and 1 or 0)
		end
		return found`, "2", w.keys.Input, w.keys.Later, stream) > 0
}

// awaitTime waits until so much of the server's time has passed.
func (w *world) awaitTime(d time.Duration) {
	w.t.Helper()
	start, _ := w.serverNow()
	w.eventually(func() bool {
		now, _ := w.serverNow()
		return now >= start+d.Milliseconds()
	}, "%v of the server's time", d)
}
