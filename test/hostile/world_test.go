package hostile

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/poison"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
)

// patience is how long something may take that comes at once on a machine with nothing else to do. It is less for a fuzzer, which
// would end before it has found what it waits for.
var patience = sync.OnceValue(func() time.Duration {
	for _, name := range []string{"test.fuzz", "test.fuzzworker"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != f.DefValue {
			return 15 * time.Second
		}
	}
	return 90 * time.Second
})

const (
	maxEntries = 10      // of one input
	maxFields  = 5_000   // of an entry: more than a script can copy
	maxBytes   = 1 << 20 // of an entry
	maxCopied  = 3_900   // fields that a script can copy, about
)

// services numbers the services of a process, which share a server.
var services atomic.Int64

// world is a service, and what was sent to it.
type world struct {
	console.Console
	server  *servers.Server
	service string
	layout  *cluster.Layout
	keys    *cluster.Keys

	entries    []sent
	neighbours []string // good streams around the others
}

// sent is an entry on its way.
type sent struct {
	id     string
	kind   string
	rooted bool // a copy of it cannot be made: it is too wide, or nothing of it is a producer's
}

func newWorld(t testing.TB, server *servers.Server, client rueidis.Client) *world {
	t.Helper()
	w := &world{Console: console.Console{T: t, Client: client}, server: server, service: fmt.Sprintf("svc-%d", services.Add(1))}
	var err error
	w.layout, err = cluster.NewLayout(w.service, 1)
	require.NoError(t, err)
	w.keys = w.layout.Keys(0)
	t.Cleanup(func() { // the server is that of the next input, too
		w.Do("UNLINK", w.keys.Input, w.keys.Later, w.keys.DeadLetters, w.keys.Sessions, w.keys.Token, w.layout.Meta())
	})
	return w
}

// add sends an entry.
func (w *world) add(kind string, fields ...string) {
	w.T.Helper()
	theirs := 0
	for i := 0; i < len(fields); i += 2 {
		if !poison.Own(fields[i]) {
			theirs++
		}
	}
	id := w.Text(append([]string{"XADD", w.keys.Input, "*"}, fields...)...)
	w.entries = append(w.entries, sent{id, kind, theirs == 0 || theirs > maxCopied})
}

// neighbour announces a good stream.
func (w *world) neighbour() {
	w.T.Helper()
	name := fmt.Sprint("neighbour-", len(w.neighbours))
	w.neighbours = append(w.neighbours, name)
	w.add("a neighbour", "lbs-input", `{"DataStreamName":"`+name+`"}`)
}

// send sends the entries that data asks for, each with a good one before it, and a good one after the last. The first byte says
// how many of them all a consumer is given that is dead, and its parity whether that held them.
func (w *world) send(data []byte) {
	w.T.Helper()
	dead := 0
	if len(data) > 0 {
		dead, data = int(data[0]), data[1:]
	}
	announced := 0
	m := poison.Maker{Service: w.service, MaxFields: maxFields, MaxBytes: maxBytes, Announce: func(fill int) string {
		announced++
		return fmt.Sprintf(`{"DataStreamName":"hostile-%d","Info":{"Fill":"%s"}}`, announced, strings.Repeat("x", fill))
	}}
	for n := 0; len(data) > 0 && n < maxEntries; n++ {
		var e poison.Entry
		e, data = m.Next(data)
		w.neighbour()
		w.add(e.Kind, e.Fields...)
	}
	w.neighbour()
	if dead > 0 {
		w.die(1+dead/2%len(w.entries), dead%2 == 1)
	}
}

// die gives the first n entries to a consumer that died, and had got as far as to hold them, or only to read them.
func (w *world) die(n int, held bool) {
	w.T.Helper()
	const name = "dead.0"
	w.Do("XGROUP", "CREATE", w.keys.Input, w.layout.Group(), "0")
	w.Do("XREADGROUP", "GROUP", w.layout.Group(), name, "COUNT", strconv.Itoa(n), "STREAMS", w.keys.Input, ">")
	if held {
		for _, e := range w.entries[:n] {
			w.Do("XCLAIM", w.keys.Input, w.layout.Group(), name, "0", e.id, "RETRYCOUNT", strconv.Itoa(lease.HeldDeliveries), "JUSTID")
		}
	}
	w.Do("ZADD", w.keys.Sessions, "1", name)
}

// party is an engine that keeps what it owns.
type party struct {
	w      *world
	engine *engine.Engine
	ran    chan error
	log    telemetry.Log

	mu     sync.Mutex
	leases map[string]api.Lease // of the last Added of each stream
}

func (w *world) start() *party {
	w.T.Helper()
	p := &party{w: w, ran: make(chan error, 1), leases: make(map[string]api.Lease)}
	var err error
	p.engine, err = engine.Open(w.server.ClientOption(), w.service, engine.WithSettle(false), engine.WithLogger(p.log.Logger()),
		engine.WithRecovery(scan.Config{Interval: scan.MinInterval, RetryDelay: scan.MinDelay, CrashDelay: scan.MinDelay}))
	require.NoError(w.T, err)
	go func() { p.ran <- p.engine.Run(context.Background(), api.Funcs{Added: p.added}) }()
	w.until("the engine is ready", func() bool { return p.engine.Ready(context.Background()) == nil }, p)
	return p
}

func (p *party) added(_ context.Context, n api.Notification) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leases[n.Stream] = n.Lease
	return nil
}

// held reports whether the engine holds a stream, by its own account.
func (p *party) held(stream string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.leases[stream]
	return l != nil && l.Remaining() > 0
}

// stop shuts the engine down, which hands everything back.
func (p *party) stop() {
	p.w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience())
	defer cancel()
	if err := p.engine.Shutdown(ctx); err != nil {
		p.w.fail(fmt.Sprintf("shutdown: %v", err), p)
	}
	select {
	case err := <-p.ran:
		require.NoError(p.w.T, err)
	case <-time.After(patience()):
		p.w.fail("Run does not return", p)
	}
}

// until waits for a condition.
func (w *world) until(what string, ok func() bool, p *party) {
	w.T.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience()); !ok(); <-tick.C {
		if time.Now().After(end) {
			w.fail("did not come true: "+what, p)
		}
	}
}

// fail ends the input, and says what there is.
func (w *world) fail(what string, p *party) {
	w.T.Helper()
	for i, e := range w.entries {
		w.T.Logf("entry %d, %s: %s", i, e.id, e.kind)
	}
	w.T.Logf("on the server: %+v", w.look())
	log := p.log.String()
	w.T.Logf("log:\n%.4000s", log)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = p.engine.Shutdown(ctx)
	require.FailNow(w.T, what)
}
