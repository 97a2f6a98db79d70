package maintenance

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	failingOver = ">4\r\n+FAILING_OVER\r\n:10\r\n:20\r\n+1\r\n"
	failedOver  = ">3\r\n+FAILED_OVER\r\n:11\r\n+1\r\n"

	streams = 500
	// outage is three times the session TTL, and shorter than announced.
	outage = 3 * sessionTTL
)

var window = notice.Config{MaxWindow: 20 * time.Second}

// pair is two services on one server behind one address, which go through the same outage: the engine of one listens to
// notices, that of the other does not. A rival in each service waits for streams that become free.
type pair struct {
	t         *testing.T
	front     *front
	on, off   *member
	rivals    [2]*member
	began     time.Time
	recovered time.Duration
}

func newPair(t *testing.T, server *servers.Server) *pair {
	p := &pair{t: t, front: newFront(t, server.Addr())}
	clock := overlap.NewClock()
	client := server.Client(t)
	silent := engine.WithMaintenance(notice.Config{Mode: notice.Off})
	for _, service := range []string{"on", "off"} {
		announce(t, client, service, streams)
	}
	p.on = join(t, "on", "on", p.front.addr(), clock, engine.WithMaintenance(window))
	p.off = join(t, "off", "off", p.front.addr(), clock, silent)
	eventually(t, "everything is held", func() bool { return p.on.Stats().Held == streams && p.off.Stats().Held == streams })
	p.rivals[0] = join(t, "rival-on", "on", p.front.addr(), clock, silent)
	p.rivals[1] = join(t, "rival-off", "off", p.front.addr(), clock, silent)
	eventually(t, "the listening engine has told the server how long its sessions may become", func() bool {
		known, err := client.Do(context.Background(), client.B().Zscore().Key("{on-input}:sessions").Member("!ttl").Build()).AsFloat64()
		return err == nil && -known == float64((sessionTTL+window.MaxWindow).Milliseconds())
	})
	return p
}

// announceOutage announces the maintenance, and returns when leases will outlast it.
func (p *pair) announceOutage() {
	require.Equal(p.t, 1, p.front.Push(failingOver))
	eventually(p.t, "leases last longer", func() bool { return p.on.least() > outage+5*time.Second })
	p.began = time.Now()
}

// sitOut returns when the outage has lasted long enough.
func (p *pair) sitOut() {
	eventually(p.t, "the engine that does not listen has lost everything", func() bool { return p.off.lost() == streams })
	eventually(p.t, "the outage has lasted", func() bool { return time.Since(p.began) > outage })
}

// end checks what the outage has cost.
func (p *pair) end() {
	back := time.Now()
	lasted := back.Sub(p.began)
	eventually(p.t, "beats are answered", func() bool { return p.on.events.Count(api.EventRedisReachable) > 0 })
	p.recovered = time.Since(back)
	require.Equal(p.t, 1, p.front.Push(failedOver))
	eventually(p.t, "the window has ended", func() bool { return p.on.events.Count(api.EventMaintenanceEnded) == 1 })
	eventually(p.t, "what was lost is owned again", func() bool {
		return p.off.Stats().Held+p.rivals[1].Stats().Held == streams
	})
	require.Zero(p.t, p.on.lost())
	require.Equal(p.t, streams, p.on.Stats().Held)
	require.Zero(p.t, p.rivals[0].Stats().Held)
	require.Equal(p.t, 0, p.on.events.Count(api.EventSessionLost))
	p.t.Logf("outage of %v, session TTL %v, %d streams: %d disowned with notices, %d without; beats answered %v after its end",
		lasted.Round(time.Millisecond), sessionTTL, streams, p.on.lost(), p.off.lost(), p.recovered.Round(time.Millisecond))
	require.NoError(p.t, overlap.CheckAll(p.on.recorder, p.rivals[0].recorder))
	require.NoError(p.t, overlap.CheckAll(p.off.recorder, p.rivals[1].recorder))
}

// The server stands still for longer than a session lasts. The engine that was warned keeps every stream, the other loses all.
func TestAPauseThatWasAnnouncedCostsNothing(t *testing.T) {
	server := servers.New(t)
	p := newPair(t, server)
	p.announceOutage()
	require.NoError(t, server.Pause())
	p.sitOut()
	require.NoError(t, server.Resume())
	p.end()
}

// The server dies, and long after that the address points to its replica, which lacks the last writes, the longer TTLs among
// them. What was held stays held while the new server settles.
func TestAFailoverThatWasAnnouncedCostsNothing(t *testing.T) {
	server := servers.New(t)
	replica := servers.New(t, servers.ReplicaOf(server))
	p := newPair(t, server)
	eventually(t, "the replica has everything", func() bool {
		known, err := replica.Call(context.Background(), "ZSCORE", "{on-input}:sessions", "!ttl")
		return err == nil && strings.HasPrefix(known, "-23000") && keys(t, replica) == keys(t, server)
	})
	require.NoError(t, replica.Promote(context.Background())) // everything written from now on is lost
	p.announceOutage()
	require.NoError(t, server.Kill())
	p.sitOut()
	p.front.lead(replica.Addr())
	p.end()
}

func keys(t *testing.T, server *servers.Server) string {
	t.Helper()
	n, err := server.Call(context.Background(), "DBSIZE")
	require.NoError(t, err)
	return n
}

// A server that knows no notices refuses once, and that is all it costs: nothing is missing, and no connection stays open.
func TestAServerThatDoesNotAnnounceIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			server := servers.New(t, servers.On(program))
			m := join(t, "c", "plain", server.Addr(), overlap.NewClock())
			eventually(t, "it is ready", func() bool { return m.Ready(context.Background()) == nil })
			eventually(t, "it was refused", func() bool { return m.log.Has("'MAINT_NOTIFICATIONS'. Try CLIENT HELP") })
			eventually(t, "the connection is gone", func() bool {
				list, err := server.Call(context.Background(), "CLIENT", "LIST")
				return err == nil && !strings.Contains(list, "streamlease-notices")
			})
			require.NoError(t, m.Ready(context.Background()))
		})
	}
}

// A subscription from before the maintenance may have missed something, or may be to a server that is going away.
func TestSubscriptionsAreRenewedAfterMaintenance(t *testing.T) {
	t.Parallel()
	server := servers.New(t, servers.Args("--notify-keyspace-events", "KEx"))
	f := newFront(t, server.Addr())
	subscribed := func() string {
		list, err := server.Call(context.Background(), "CLIENT", "LIST", "TYPE", "PUBSUB")
		require.NoError(t, err)
		id, _, _ := strings.Cut(list, " ")
		return id
	}
	m := join(t, "c", "plain", f.addr(), overlap.NewClock(), engine.WithExpired(), engine.WithMaintenance(window))
	eventually(t, "it listens", func() bool { return subscribed() != "" && f.Listening() == 1 })
	before := subscribed()
	require.Equal(t, 1, f.Push(failingOver))
	require.Equal(t, 1, f.Push(failedOver))
	eventually(t, "it has subscribed again", func() bool { now := subscribed(); return now != "" && now != before })
	require.Equal(t, 1, m.events.Count(api.EventMaintenanceEnded))
}
