package recovery

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

const service = "svc"

// prefix is what the names of streams begin with; a number follows.
const prefix = "s-"

// stream is the name of the n-th stream.
func stream(n int) string { return prefix + strconv.Itoa(n) }

// patience is how long a test waits for what must come, on a machine that is busy with other things.
const patience = 90 * time.Second

// world is a server with one service on it, and the processes and engines that share it.
type world struct {
	console.Console // no engine runs on its client

	t         testing.TB
	server    *servers.Server
	layout    *cluster.Layout
	keys      *cluster.Keys
	dir       string
	children  int
	processes []*child
	parties   []*party
	announced map[int]bool
}

func newWorld(t testing.TB, opts ...servers.Option) *world {
	t.Helper()
	layout, err := cluster.NewLayout(service, 1)
	require.NoError(t, err)
	w := &world{t: t, layout: layout, keys: layout.Keys(0), dir: t.TempDir(), announced: make(map[int]bool)}
	w.server = servers.New(t, opts...)
	w.Console = console.Console{T: t, Client: w.server.Client(t)}
	t.Cleanup(func() {
		for _, c := range w.processes {
			c.bury(t)
		}
	})
	return w
}

// link is a proxy in front of the server that knows all scripts by name.
func (w *world) link() *proxy.Proxy {
	w.t.Helper()
	p := proxy.New(w.t, w.server.Addr())
	for _, s := range append(lease.Scripts(), scan.Scripts()...) {
		p.RegisterScript(s.Name(), s.Body())
	}
	return p
}

// open is how many announcements are not done, in one look: between two of them one may move.
func (w *world) open() int {
	w.t.Helper()
	return w.Num("EVAL", "return redis.call('XLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2])", "2", w.keys.Input, w.keys.Later)
}

// add announces streams by number, in the way of producers that know nothing of this library.
func (w *world) add(numbers ...int) {
	w.t.Helper()
	for len(numbers) > 0 {
		n := min(len(numbers), 1000)
		commands := make(rueidis.Commands, n)
		for i, x := range numbers[:n] {
			w.announced[x] = true
			commands[i] = w.Client.B().Xadd().Key(w.keys.Input).Id("*").FieldValue().
				FieldValue("lbs-input", fmt.Sprintf(`{"DataStreamName":%q,"Info":{"k":"v"}}`, stream(x))).Build()
		}
		for _, r := range w.Client.DoMulti(context.Background(), commands...) {
			require.NoError(w.t, r.Error())
		}
		numbers = numbers[n:]
	}
}

// upTo are the numbers below n.
func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// until waits for a condition, on the goroutine of the test.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			w.tell()
			require.FailNow(w.t, "did not come true: "+what)
		}
	}
}

// passes waits until so much of the server's time has passed.
func (w *world) passes(d time.Duration) {
	w.t.Helper()
	start := w.Now()
	w.until(d.String()+" of the server's time", func() bool { return w.Now() >= start+d.Milliseconds() })
}

// tell logs how things stand.
func (w *world) tell() {
	for _, p := range w.parties {
		w.t.Logf("%s: %+v, ready: %v", p.name, p.engine.Stats(), p.engine.Ready(context.Background()))
	}
	for _, c := range w.processes {
		w.t.Logf("%s: gone %v, held %d", c.journal.Party(), c.gone(), c.held())
	}
	consumers, err := w.Try("XINFO", "CONSUMERS", w.keys.Input, w.layout.Group()).ToAny()
	w.t.Logf("input %d, later %d, dead letters %d, now %d, consumers %v %v", w.Num("XLEN", w.keys.Input),
		w.Num("ZCARD", w.keys.Later), w.Num("XLEN", w.keys.DeadLetters), w.Now(), consumers, err)
	sessions, err := w.Try("ZRANGE", w.keys.Sessions, "0", "-1", "WITHSCORES").ToAny()
	w.t.Logf("sessions %v %v", sessions, err)
}

// state is what there is on the server.
type state struct {
	Input     int // entries in the input stream
	Pending   int // of them, those that are pending for a consumer
	Leases    int // lease keys
	Sessions  int // open, closed, or past their deadline
	Consumers int // in the group
	Later     int
	Dead      int // dead letters
}

func (w *world) state() (s state) {
	w.t.Helper()
	s.Input = w.Num("XLEN", w.keys.Input)
	summary, err := w.Try("XPENDING", w.keys.Input, w.layout.Group()).ToArray()
	require.NoError(w.t, err)
	pending, err := summary[0].AsInt64()
	require.NoError(w.t, err)
	s.Pending = int(pending)
	s.Leases = len(w.leases())
	s.Sessions = w.Num("ZCOUNT", w.keys.Sessions, "0", "+inf")
	s.Consumers = len(w.Consumers(w.keys.Input, w.layout.Group()))
	s.Later = w.Num("ZCARD", w.keys.Later)
	s.Dead = w.Num("XLEN", w.keys.DeadLetters)
	return s
}

// stateIs waits until the server is as it must be.
func (w *world) stateIs(want state) {
	w.t.Helper()
	var got state
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(patience)
	for got = w.state(); got != want && time.Now().Before(end); got = w.state() {
		<-tick.C
	}
	if got != want {
		w.tell()
	}
	require.Equal(w.t, want, got, "state of the server")
}

// leases are the keys of leases.
func (w *world) leases() (keys []string) {
	w.t.Helper()
	pattern := strings.NewReplacer("{", `\{`, "}", `\}`).Replace(w.keys.LeasePrefix()) + "*"
	for cursor := uint64(0); ; {
		page, err := w.Client.Do(context.Background(),
			w.Client.B().Scan().Cursor(cursor).Match(pattern).Count(5000).Build()).AsScanEntry()
		require.NoError(w.t, err)
		keys = append(keys, page.Elements...)
		if cursor = page.Cursor; cursor == 0 {
			return keys
		}
	}
}

// records are what everybody wrote down so far.
func (w *world) records() (out []journal.Entry) {
	for _, c := range w.processes {
		out = append(out, c.journal.Read()...)
	}
	for _, p := range w.parties {
		out = append(out, p.journal.Read()...)
	}
	return out
}

// checkOwners holds all records against each other: no overlap, no token that falls.
func (w *world) checkOwners() {
	w.t.Helper()
	var records []overlap.Record
	for _, e := range w.records() {
		records = append(records, e.Record)
	}
	require.NoError(w.t, overlap.Check(records))
}

// checkDone holds that each stream that was ever announced was ended by its owner.
func (w *world) checkDone() {
	w.t.Helper()
	done := make(map[int]bool)
	for _, e := range w.records() {
		if e.State == journal.Ending || e.State == journal.Finished {
			done[e.Number] = true
		}
	}
	var lost []string
	for n := range w.announced {
		if !done[n] {
			lost = append(lost, stream(n))
		}
	}
	require.Empty(w.t, lost, "streams that nobody ever ended")
}

// ownedBy waits until these processes and parties own n streams together.
func (w *world) ownedBy(n int, all ...interface{ held() int }) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d streams are owned", n), func() bool {
		sum := 0
		for _, x := range all {
			sum += x.held()
		}
		return sum == n
	})
}
