package balance

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// patience is how long a test waits for what must happen, on a machine that is busy with other things.
const patience = 90 * time.Second

// partitions is enough for every master of a cluster to have several.
const partitions = 6

// harness is a service, and the engines that share it.
type harness struct {
	console.Console // no engine uses its client

	opt       rueidis.ClientOption // for engines
	server    *servers.Server      // nil on a cluster
	cluster   *servers.Cluster     // nil on a single server
	service   string
	layout    *cluster.Layout
	inspector *scan.Inspector
	clock     overlap.Clock
	fleet     []*member
	announced []string
}

// services numbers the services of the tests, which may share a cluster.
var services atomic.Int64

// each runs a test on a single server, and on a cluster with several partitions.
func each(t *testing.T, test func(t *testing.T, h *harness)) {
	t.Parallel()
	t.Run("standalone", func(t *testing.T) {
		t.Parallel()
		test(t, newStandalone(t))
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		test(t, onCluster(t, sharedCluster(t)))
	})
}

func newStandalone(t testing.TB) *harness {
	s := servers.New(t)
	h := newHarness(t, s.ClientOption(), 1)
	h.server = s
	return h
}

func onCluster(t testing.TB, c *servers.Cluster) *harness {
	h := newHarness(t, c.ClientOption(), partitions)
	h.cluster = c
	return h
}

func newHarness(t testing.TB, opt rueidis.ClientOption, partitions int) *harness {
	t.Helper()
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	h := &harness{
		Console: console.Console{T: t, Client: client}, opt: opt, service: fmt.Sprintf("svc-%d", services.Add(1)), clock: overlap.NewClock(),
	}
	h.layout, err = cluster.NewLayout(h.service, partitions)
	require.NoError(t, err)
	h.inspector, err = scan.NewInspector(client, h.service, scan.InspectorConfig{})
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, m := range h.fleet {
			m.drop()
		}
		if t.Failed() {
			for _, m := range h.fleet {
				t.Logf("log of %s:\n%s", m.name, m.log.String())
			}
		}
	})
	return h
}

// until waits for a condition, on the goroutine of the test.
func (h *harness) until(what string, ok func() bool) {
	h.T.Helper()
	if !wait.For(patience, 10*time.Millisecond, ok) {
		b, err := h.inspector.Balance(context.Background())
		h.T.Logf("%+v %v", b, err)
		for _, m := range h.fleet {
			h.T.Logf("%s: %+v", m.name, m.engine.Stats())
		}
		require.FailNow(h.T, "did not come true: "+what)
	}
}

// announce announces n more streams, and returns their names.
func (h *harness) announce(n int) (names []string) {
	h.T.Helper()
	for range n {
		name := fmt.Sprintf("s-%d", len(h.announced))
		text, err := lease.EncodeAnnouncement(name, nil)
		require.NoError(h.T, err)
		h.Do("XADD", h.layout.Keys(h.layout.Of(name)).Input, "*", lease.FieldAnnouncement, text)
		names, h.announced = append(names, name), append(h.announced, name)
	}
	return names
}

// announceEach announces n more streams, each when the one before has an owner. Whoever reads finds no more than one.
func (h *harness) announceEach(n int) {
	h.T.Helper()
	for range n {
		h.announce(1)
		h.awaitOwned()
	}
}

// awaitOwned waits until all announced streams have an owner, each one.
func (h *harness) awaitOwned() {
	h.T.Helper()
	h.until("all streams are owned", func() bool {
		held := 0
		for _, m := range h.fleet {
			held += m.held()
		}
		return held == len(h.announced)
	})
}

// balance returns what the inspector sees.
func (h *harness) balance() scan.Balance {
	h.T.Helper()
	b, err := h.inspector.Balance(context.Background())
	require.NoError(h.T, err)
	return b
}

// process returns what is on record of a member.
func (h *harness) process(m *member) (found scan.Process) {
	h.T.Helper()
	for _, p := range h.balance().Processes {
		if p.Name == m.engine.ID() {
			found = p
		}
	}
	return found
}

// awaitState waits until a member is on record as this in all partitions.
func (h *harness) awaitState(m *member, want scan.BalanceState) {
	h.T.Helper()
	h.until(fmt.Sprintf("%s is on record as %s", m.name, want), func() bool {
		rows := 0
		for p := range h.layout.Partitions() {
			if strings.HasSuffix(h.Text("HGET", h.layout.Keys(p).Fleet, m.engine.ID()), " "+string(want)) {
				rows++
			}
		}
		return rows == h.layout.Partitions()
	})
}

// awaitKnown waits until each of these members knows that as many share the streams: each has its share of what there is, as the beats of
// all partitions say. Partitions without streams add nothing, so there have to be some in each.
func (h *harness) awaitKnown(weight float64, members ...*member) {
	h.T.Helper()
	for _, m := range members {
		want := float64(len(h.announced)) / weight
		h.until(fmt.Sprintf("%s has a share of %.1f streams", m.name, want), func() bool {
			fair := m.metric("balance_fair")
			return fair > want-.01 && fair < want+.01
		})
	}
}

// ask records a wish for a member.
func (h *harness) ask(w scan.Wish) {
	h.T.Helper()
	w.For = time.Hour
	require.NoError(h.T, h.inspector.Ask(context.Background(), w))
}

func (h *harness) withdraw(kind scan.WishKind, consumer string) {
	h.T.Helper()
	require.NoError(h.T, h.inspector.Withdraw(context.Background(), kind, consumer))
}

// checkOwners checks that nothing is lost, and that no stream had two owners at any time.
func (h *harness) checkOwners() {
	h.T.Helper()
	h.awaitOwned()
	owners := make(map[string]string)
	var recorders []*overlap.Recorder
	for _, m := range h.fleet {
		recorders = append(recorders, m.recorder)
		for l := range m.engine.Leases() {
			require.Empty(h.T, owners[l.Stream()], "%s has two owners", l.Stream())
			owners[l.Stream()] = m.name
		}
	}
	require.Len(h.T, owners, len(h.announced))
	for _, s := range h.announced {
		require.NotEmpty(h.T, owners[s], "%s has no owner", s)
	}
	require.NoError(h.T, overlap.CheckAll(recorders...))
}
