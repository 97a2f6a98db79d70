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

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/poison"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// patience is how long a test waits for what happens at once on an idle machine. It is shorter while fuzzing, so that an input
// that hangs is reported before the fuzzer ends.
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
	maxCopied  = 3_900   // fields that a script can copy, roughly
)

// services numbers the services of this process, which share a server.
var services atomic.Int64

// harness is a service, and what was sent to it.
type harness struct {
	console.Console
	server  *servers.Server
	service string
	layout  *cluster.Layout
	keys    *cluster.Keys

	entries    []sent
	neighbours []string // valid streams around the other entries
}

// sent is an entry that was sent.
type sent struct {
	id     string
	kind   string
	rooted bool // it cannot be copied: it is too wide, or has no field of a producer
}

func newHarness(t testing.TB, server *servers.Server, client rueidis.Client) *harness {
	t.Helper()
	h := &harness{Console: console.Console{T: t, Client: client}, server: server, service: fmt.Sprintf("svc-%d", services.Add(1))}
	var err error
	h.layout, err = cluster.NewLayout(h.service, 1)
	require.NoError(t, err)
	h.keys = h.layout.Keys(0)
	t.Cleanup(func() { // the next input uses the server, too
		h.Do("UNLINK", h.keys.Input, h.keys.Later, h.keys.DeadLetters, h.keys.Sessions, h.keys.Token, h.layout.Meta())
	})
	return h
}

// add sends an entry.
func (h *harness) add(kind string, fields ...string) {
	h.T.Helper()
	theirs := 0
	for i := 0; i < len(fields); i += 2 {
		if !poison.Own(fields[i]) {
			theirs++
		}
	}
	id := h.Text(append([]string{"XADD", h.keys.Input, "*"}, fields...)...)
	h.entries = append(h.entries, sent{id, kind, theirs == 0 || theirs > maxCopied})
}

// neighbour announces a valid stream.
func (h *harness) neighbour() {
	h.T.Helper()
	name := fmt.Sprint("neighbour-", len(h.neighbours))
	h.neighbours = append(h.neighbours, name)
	h.add("a neighbour", "lbs-input", `{"DataStreamName":"`+name+`"}`)
}

// send sends the entries that data describes, with a valid entry before each and one after the last. The first byte says how many
// of all these entries a dead consumer had, and its parity whether the consumer had owned them.
func (h *harness) send(data []byte) {
	h.T.Helper()
	dead := 0
	if len(data) > 0 {
		dead, data = int(data[0]), data[1:]
	}
	announced := 0
	m := poison.Maker{Service: h.service, MaxFields: maxFields, MaxBytes: maxBytes, Announce: func(fill int) string {
		announced++
		return fmt.Sprintf(`{"DataStreamName":"hostile-%d","Info":{"Fill":"%s"}}`, announced, strings.Repeat("x", fill))
	}}
	for n := 0; len(data) > 0 && n < maxEntries; n++ {
		var e poison.Entry
		e, data = m.Next(data)
		h.neighbour()
		h.add(e.Kind, e.Fields...)
	}
	h.neighbour()
	if dead > 0 {
		h.die(1+dead/2%len(h.entries), dead%2 == 1)
	}
}

// die gives the first n entries to a consumer that died after it had acquired them, or had only read them.
func (h *harness) die(n int, held bool) {
	h.T.Helper()
	const name = "dead.0"
	h.Do("XGROUP", "CREATE", h.keys.Input, h.layout.Group(), "0")
	h.Do("XREADGROUP", "GROUP", h.layout.Group(), name, "COUNT", strconv.Itoa(n), "STREAMS", h.keys.Input, ">")
	if held {
		for _, e := range h.entries[:n] {
			h.Do("XCLAIM", h.keys.Input, h.layout.Group(), name, "0", e.id, "RETRYCOUNT", strconv.Itoa(lease.HeldDeliveries), "JUSTID")
		}
	}
	h.Do("ZADD", h.keys.Sessions, "1", name)
}

// until waits for a condition.
func (h *harness) until(what string, ok func() bool, m *member) {
	h.T.Helper()
	if !wait.For(patience(), 2*time.Millisecond, ok) {
		h.fail("did not come true: "+what, m)
	}
}

// fail ends the test of this input, and logs what there is.
func (h *harness) fail(what string, m *member) {
	h.T.Helper()
	for i, e := range h.entries {
		h.T.Logf("entry %d, %s: %s", i, e.id, e.kind)
	}
	h.T.Logf("on the server: %+v", h.look())
	log := m.log.String()
	h.T.Logf("log:\n%.4000s", log)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = m.engine.Shutdown(ctx)
	require.FailNow(h.T, what)
}
