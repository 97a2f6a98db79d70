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
	"github.com/streamlease/streamlease/test/wait"
)

const service = "svc"

// prefix is what the names of streams start with; a number follows.
const prefix = "s-"

// stream returns the name of the n-th stream.
func stream(n int) string { return prefix + strconv.Itoa(n) }

// patience is how long a test waits for what must happen, on a machine that is busy with other things.
const patience = 90 * time.Second

// harness is a server with one service on it, and the processes and engines that share it.
type harness struct {
	console.Console // no engine uses its client

	server    *servers.Server
	layout    *cluster.Layout
	keys      *cluster.Keys
	dir       string
	children  int
	processes []*child
	fleet     []*member
	announced map[int]bool
}

func newHarness(t testing.TB, opts ...servers.Option) *harness {
	t.Helper()
	layout, err := cluster.NewLayout(service, 1)
	require.NoError(t, err)
	h := &harness{layout: layout, keys: layout.Keys(0), dir: t.TempDir(), announced: make(map[int]bool)}
	h.server = servers.New(t, opts...)
	h.Console = console.Console{T: t, Client: h.server.Client(t)}
	t.Cleanup(func() {
		for _, c := range h.processes {
			c.cleanUp(t)
		}
	})
	return h
}

// link starts a proxy in front of the server that knows all scripts by name.
func (h *harness) link() *proxy.Proxy {
	h.T.Helper()
	p := proxy.New(h.T, h.server.Addr())
	for _, s := range append(lease.Scripts(), scan.Scripts()...) {
		p.RegisterScript(s.Name(), s.Body())
	}
	return p
}

// open returns how many announcements are not done. It asks once: between two questions an announcement could move.
func (h *harness) open() int {
	h.T.Helper()
	return h.Num("EVAL", "return redis.call('XLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2])", "2", h.keys.Input, h.keys.Later)
}

// add announces streams by number, as producers do that know nothing of this library.
func (h *harness) add(numbers ...int) {
	h.T.Helper()
	for len(numbers) > 0 {
		n := min(len(numbers), 1000)
		commands := make(rueidis.Commands, n)
		for i, x := range numbers[:n] {
			h.announced[x] = true
			commands[i] = h.Client.B().Xadd().Key(h.keys.Input).Id("*").FieldValue().
				FieldValue("lbs-input", fmt.Sprintf(`{"DataStreamName":%q,"Info":{"k":"v"}}`, stream(x))).Build()
		}
		for _, r := range h.Client.DoMulti(context.Background(), commands...) {
			require.NoError(h.T, r.Error())
		}
		numbers = numbers[n:]
	}
}

// upTo returns the numbers below n.
func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// until waits for a condition, on the goroutine of the test.
func (h *harness) until(what string, ok func() bool) {
	h.T.Helper()
	if !wait.For(patience, 10*time.Millisecond, ok) {
		h.logState()
		require.FailNow(h.T, "did not come true: "+what)
	}
}

// recoveredBy waits until a member has counted what it recovered, of which nothing twice. A call whose reply is late is never counted.
func (h *harness) recoveredBy(m *member, most int) {
	h.T.Helper()
	h.until("recovered entries are counted", func() bool { return m.metric("recovered_total") > 0 })
	require.LessOrEqual(h.T, m.metric("recovered_total"), float64(most))
}

// awaitTime waits until this much of the server's time has passed.
func (h *harness) awaitTime(d time.Duration) {
	h.T.Helper()
	start := h.Now()
	h.until(d.String()+" of the server's time", func() bool { return h.Now() >= start+d.Milliseconds() })
}

// logState logs the state of all members, children and the server.
func (h *harness) logState() {
	for _, m := range h.fleet {
		h.T.Logf("%s: %+v, ready: %v", m.name, m.engine.Stats(), m.engine.Ready(context.Background()))
	}
	for _, c := range h.processes {
		h.T.Logf("%s: gone %v, held %d", c.journal.Party(), c.gone(), c.held())
	}
	consumers, err := h.Try("XINFO", "CONSUMERS", h.keys.Input, h.layout.Group()).ToAny()
	h.T.Logf("input %d, later %d, dead letters %d, now %d, consumers %v %v", h.Num("XLEN", h.keys.Input),
		h.Num("ZCARD", h.keys.Later), h.Num("XLEN", h.keys.DeadLetters), h.Now(), consumers, err)
	sessions, err := h.Try("ZRANGE", h.keys.Sessions, "0", "-1", "WITHSCORES").ToAny()
	h.T.Logf("sessions %v %v", sessions, err)
}

// state is what is on the server.
type state struct {
	Input     int // entries in the input stream
	Pending   int // those that are pending for a consumer
	Leases    int // lease keys
	Sessions  int // open, closed or expired
	Consumers int // in the group
	Later     int
	Dead      int // dead letters
}

func (h *harness) state() (s state) {
	h.T.Helper()
	s.Input = h.Num("XLEN", h.keys.Input)
	summary, err := h.Try("XPENDING", h.keys.Input, h.layout.Group()).ToArray()
	require.NoError(h.T, err)
	pending, err := summary[0].AsInt64()
	require.NoError(h.T, err)
	s.Pending = int(pending)
	s.Leases = len(h.leases())
	s.Sessions = h.Num("ZCOUNT", h.keys.Sessions, "0", "+inf")
	s.Consumers = len(h.Consumers(h.keys.Input, h.layout.Group()))
	s.Later = h.Num("ZCARD", h.keys.Later)
	s.Dead = h.Num("XLEN", h.keys.DeadLetters)
	return s
}

// stateIs waits until the server has this state.
func (h *harness) stateIs(want state) {
	h.T.Helper()
	var got state
	if !wait.For(patience, 20*time.Millisecond, func() bool { got = h.state(); return got == want }) {
		h.logState()
	}
	require.Equal(h.T, want, got, "state of the server")
}

// leases returns the keys of all leases.
func (h *harness) leases() (keys []string) {
	h.T.Helper()
	pattern := strings.NewReplacer("{", `\{`, "}", `\}`).Replace(h.keys.LeasePrefix()) + "*"
	for cursor := uint64(0); ; {
		page, err := h.Client.Do(context.Background(),
			h.Client.B().Scan().Cursor(cursor).Match(pattern).Count(5000).Build()).AsScanEntry()
		require.NoError(h.T, err)
		keys = append(keys, page.Elements...)
		if cursor = page.Cursor; cursor == 0 {
			return keys
		}
	}
}

// records returns the journal entries of all members and children so far.
func (h *harness) records() (out []journal.Entry) {
	for _, c := range h.processes {
		out = append(out, c.journal.Read()...)
	}
	for _, m := range h.fleet {
		out = append(out, m.journal.Read()...)
	}
	return out
}

// checkOwners compares all records: no ownerships of a stream overlap, and no token falls.
func (h *harness) checkOwners() {
	h.T.Helper()
	var records []overlap.Record
	for _, e := range h.records() {
		records = append(records, e.Record)
	}
	require.NoError(h.T, overlap.Check(records))
}

// checkDone checks that every announced stream was ended by an owner.
func (h *harness) checkDone() {
	h.T.Helper()
	done := make(map[int]bool)
	for _, e := range h.records() {
		if e.State == journal.Ending || e.State == journal.Finished {
			done[e.Number] = true
		}
	}
	var lost []string
	for n := range h.announced {
		if !done[n] {
			lost = append(lost, stream(n))
		}
	}
	require.Empty(h.T, lost, "streams that no owner ended")
}

// ownedBy waits until these processes and members together own n streams.
func (h *harness) ownedBy(n int, all ...interface{ held() int }) {
	h.T.Helper()
	h.until(fmt.Sprintf("%d streams are owned", n), func() bool {
		sum := 0
		for _, x := range all {
			sum += x.held()
		}
		return sum == n
	})
}
