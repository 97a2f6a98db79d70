package notice

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/notices"
	"github.com/streamlease/streamlease/test/virtual"
)

// party is a watcher in a bubble, the nodes it may find, and what it reported.
type party struct {
	*Watcher
	t *testing.T

	mu      sync.Mutex
	nodes   map[string]*notices.Node
	names   []string // given to the watcher
	dialled []string
	changes []Change
	noticed []Notice
	handled []Arrival
	states  []string
	stalls  bool // connections know no deadlines, as if the process had not been there to see them pass
}

// stalled is a connection without deadlines.
type stalled struct{ net.Conn }

func (stalled) SetReadDeadline(time.Time) error { return nil }

// watch runs f with a watcher of nodes a:1, b:1 and so on in virtual time.
func watch(t *testing.T, nodes int, cfg Config, opt rueidis.ClientOption, f func(p *party)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		p := &party{t: t, nodes: make(map[string]*notices.Node)}
		for i := range nodes {
			name := string(rune('a'+i)) + ":1"
			p.nodes[name] = notices.New(notices.Options{})
			p.names = append(p.names, name)
		}
		opt.DialCtxFn = p.dial
		p.Watcher = NewWatcher(opt, cfg.WithDefaults(), p.list, Hooks{
			Changed: func(c Change) { p.note(func() { p.changes = append(p.changes, c) }) },
			Noticed: func(a Arrival) { p.note(func() { p.noticed = append(p.noticed, a.Notice) }) },
			Handled: func(a Arrival) { p.note(func() { p.handled = append(p.handled, a) }) },
			Node:    func(n Node) { p.note(func() { p.states = append(p.states, n.Address+" "+n.State.String()) }) },
		})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { p.Run(ctx) })
		defer func() {
			cancel()
			group.Wait()
			for _, n := range p.nodes {
				n.Close()
			}
		}()
		synctest.Wait()
		f(p)
	})
}

func (p *party) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *party) list() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names
}

func (p *party) dial(_ context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialled = append(p.dialled, address)
	n := p.nodes[address]
	if n == nil {
		return nil, errors.New("connection refused")
	}
	ours, its := net.Pipe()
	go n.Serve(its)
	if p.stalls {
		return stalled{ours}, nil
	}
	return ours, nil
}

// effects returns what came of the notices so far, and forgets them.
func (p *party) effects() (effects []Effect) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.handled {
		effects = append(effects, a.Effect)
	}
	p.handled = nil
	return effects
}

// take returns the changes reported so far, and forgets them.
func (p *party) take() []Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	changes := p.changes
	p.changes = nil
	return changes
}

func (p *party) told() (states string, dialled []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	states, dialled = strings.Join(p.states, ", "), p.dialled
	p.states, p.dialled = nil, nil
	return states, dialled
}

// pass lets virtual time pass.
func (p *party) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestWatcherOptsInOnEveryNode(t *testing.T) {
	opt := rueidis.ClientOption{Username: "app", Password: "secret", ClientName: "orders"}
	watch(t, 2, Config{}, opt, func(p *party) {
		for _, n := range p.nodes {
			require.Equal(t, []string{
				"HELLO 3 AUTH app secret SETNAME orders-streamlease-notices",
				"CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip",
			}, n.Commands())
			require.Equal(t, 1, n.Listening())
		}
		p.pass(time.Minute)
		require.InDelta(t, 63, p.nodes["a:1"].Pings(), 5, "about every second")
		require.Len(t, p.nodes["a:1"].Commands(), 2, "and nothing else")
		require.Equal(t, []Node{{Address: "a:1", State: Listening}, {Address: "b:1", State: Listening}}, p.Nodes())
	})
}

func TestWatcherTakesWhatTheOptionsSay(t *testing.T) {
	for _, c := range []struct {
		opt  rueidis.ClientOption
		cfg  Config
		want []string
	}{
		{rueidis.ClientOption{}, Config{}, []string{"HELLO 3 SETNAME streamlease-notices", "external-ip"}},
		{rueidis.ClientOption{Password: "p"}, Config{}, []string{"HELLO 3 AUTH default p SETNAME streamlease-notices", "external-ip"}},
		{rueidis.ClientOption{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}, Config{}, []string{"HELLO 3 SETNAME streamlease-notices", "external-fqdn"}},
		{rueidis.ClientOption{}, Config{Endpoint: EndpointNone}, []string{"HELLO 3 SETNAME streamlease-notices", "none"}},
		{rueidis.ClientOption{AuthCredentialsFn: func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			return rueidis.AuthCredentials{Username: "u", Password: "now"}, nil
		}}, Config{}, []string{"HELLO 3 AUTH u now SETNAME streamlease-notices", "external-ip"}},
	} {
		watch(t, 1, c.cfg, c.opt, func(p *party) {
			c.want[1] = "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type " + c.want[1]
			require.Equal(t, c.want, p.nodes["a:1"].Commands())
		})
	}
}

func TestEndpointTypeFollowsTheConnection(t *testing.T) {
	for remote, private := range map[string]bool{
		"10.1.2.3:1": true, "192.168.0.1:1": true, "127.0.0.1:1": true, "[fd00::1]:1": true, "[::1]:1": true, "[::ffff:10.0.0.1]:1": true,
		"8.8.8.8:1": false, "[2001:db8::1]:1": false,
	} {
		addr, err := net.ResolveTCPAddr("tcp", remote)
		require.NoError(t, err)
		want := map[bool][2]EndpointType{true: {EndpointInternalIP, EndpointInternalFQDN}, false: {EndpointExternalIP, EndpointExternalFQDN}}[private]
		require.Equal(t, want[0], endpointType(EndpointAuto, false, addr), remote)
		require.Equal(t, want[1], endpointType(EndpointAuto, true, addr), remote)
	}
	require.Equal(t, EndpointExternalIP, endpointType(EndpointAuto, false, nil))
	require.Equal(t, EndpointNone, endpointType(EndpointNone, true, nil))
}

// Servers that do not know notices count an error each time they are asked.
func TestANodeThatRefusesIsAskedOnce(t *testing.T) {
	const unknown = "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP."
	watch(t, 0, Config{}, rueidis.ClientOption{}, func(p *party) {
		n := notices.New(notices.Options{Refuse: unknown})
		p.note(func() { p.nodes["a:1"] = n; p.names = []string{"a:1"} })
		p.pass(lookEvery)
		require.Equal(t, Refused, p.Nodes()[0].State)
		require.ErrorContains(t, p.Nodes()[0].Err, "unknown subcommand")
		require.Len(t, n.Commands(), 2)
		require.Zero(t, n.Pings(), "the connection is closed")

		p.pass(10 * time.Hour)
		require.Len(t, clientCommands(n), 1, "checked every hour, not asked")
		require.InDelta(t, 11, len(n.Commands())-1, 2)
		require.Equal(t, Refused, p.Nodes()[0].State)
		p.pass(15 * time.Hour)
		require.Len(t, clientCommands(n), 2, "asked once a day")

		p.Look()
		p.pass(time.Second)
		require.Len(t, clientCommands(n), 2, "something has changed, but not this server")
		n.Set(notices.Options{Version: "7.9"})
		p.Look()
		p.pass(time.Second)
		require.Len(t, clientCommands(n), 3, "it is another server")
		require.Equal(t, Listening, p.Nodes()[0].State)
	})
}

func clientCommands(n *notices.Node) (found []string) {
	for _, c := range n.Commands() {
		if strings.HasPrefix(c, "CLIENT") {
			found = append(found, c)
		}
	}
	return found
}

func TestWhatPassesIsNoRefusal(t *testing.T) {
	watch(t, 1, Config{}, rueidis.ClientOption{}, func(p *party) {
		n := p.nodes["a:1"]
		n.Set(notices.Options{Hello: "-LOADING Redis is loading the dataset in memory"})
		n.Drop()
		p.pass(5 * time.Second)
		require.Equal(t, Connecting, p.Nodes()[0].State)
		n.Set(notices.Options{})
		p.pass(reconnect.Max)
		require.Equal(t, Listening, p.Nodes()[0].State)

		n.Set(notices.Options{Hello: "-ERR unknown command 'HELLO'"})
		n.Drop()
		p.pass(reconnect.Max)
		require.Equal(t, Refused, p.Nodes()[0].State, "the server is too old")
	})
}

// A connection that goes silent is noticed, and replaced with growing delays.
func TestASilentConnectionIsMadeAnew(t *testing.T) {
	watch(t, 1, Config{}, rueidis.ClientOption{}, func(p *party) {
		n := p.nodes["a:1"]
		p.told()
		n.Set(notices.Options{Mute: true})
		p.pass(silent + pingEvery)
		states, dialled := p.told()
		require.Len(t, dialled, 1)
		require.Equal(t, "a:1 connecting, a:1 listening", states)

		n.Set(notices.Options{})
		p.note(func() { delete(p.nodes, "a:1") })
		n.Drop()
		p.pass(time.Minute)
		_, dialled = p.told()
		require.Greater(t, len(dialled), 8)
		require.Less(t, len(dialled), 25)
		p.note(func() { p.nodes["a:1"] = n })
		p.pass(reconnect.Max)
		require.Equal(t, Listening, p.Nodes()[0].State)
	})
}

func TestWatcherFollowsTheNodes(t *testing.T) {
	watch(t, 3, Config{}, rueidis.ClientOption{}, func(p *party) {
		p.note(func() { p.names = []string{"b:1", "c:1", "d:1"}; p.nodes["d:1"] = notices.New(notices.Options{}) })
		p.pass(lookEvery)
		require.Zero(t, p.nodes["a:1"].Listening())
		require.Equal(t, 1, p.nodes["d:1"].Listening())
		require.Len(t, clientCommands(p.nodes["b:1"]), 1, "left as it was")
		require.Len(t, p.Nodes(), 3)
	})
}

// Three nodes announce the same: one window, from beginning to end, with slow answers allowed during it and for a while after.
func TestWindowsInVirtualTime(t *testing.T) {
	watch(t, 3, Config{}, rueidis.ClientOption{}, func(p *party) {
		p.pass(time.Minute)
		require.False(t, p.Relaxed())
		began := time.Now()
		for _, n := range p.nodes {
			require.Equal(t, 1, n.Push(wire(">4 FAILING_OVER :10 :12 1", true)))
		}
		synctest.Wait()
		changes := p.take()
		require.Len(t, changes, 1)
		require.True(t, changes[0].Open)
		require.Equal(t, began, changes[0].Window.Opened)
		require.Equal(t, 12*time.Second, p.Length(5))
		require.True(t, p.Relaxed())
		p.pass(20 * time.Second)
		require.Equal(t, 12*time.Second, p.Length(5), "it waits for its completion")
		for _, n := range p.nodes {
			n.Push(wire(">3 FAILED_OVER :11 1", false))
		}
		synctest.Wait()
		changes = p.take()
		require.Len(t, changes, 1)
		require.True(t, changes[0].Completed)
		require.Zero(t, p.Length(5))
		p.pass(DefaultRelaxedFor - 1)
		require.True(t, p.Relaxed())
		p.pass(1)
		require.False(t, p.Relaxed())

		p.nodes["b:1"].Push(wire(">3 SMIGRATING :12 100-200", false))
		synctest.Wait()
		require.Equal(t, MinWindow, p.Length(150))
		require.Zero(t, p.Length(99))
		p.pass(longest*MinWindow - 1)
		require.Equal(t, MinWindow, p.Length(150))
		p.pass(1)
		require.Zero(t, p.Length(150), "its completion got lost")
		require.Empty(t, p.Windows())
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Len(t, p.noticed, 7)
	})
}

// A node that announces its new endpoint is followed there at once; one that does not is reconnected to at the same address
// after half of the time. The same notice on the new connection changes nothing, or this would loop forever.
func TestAMovingNodeIsFollowed(t *testing.T) {
	watch(t, 1, Config{}, rueidis.ClientOption{}, func(p *party) {
		a := p.nodes["a:1"]
		a.Set(notices.Options{After: wire(">4 MOVING :7 :20 _", false)})
		p.told()
		a.Push(wire(">4 MOVING :7 :20 _", false))
		p.pass(9 * time.Second)
		_, dialled := p.told()
		require.Empty(t, dialled)
		p.pass(2 * time.Second)
		_, dialled = p.told()
		require.Equal(t, []string{"a:1"}, dialled)
		p.pass(5 * time.Minute)
		_, dialled = p.told()
		require.Empty(t, dialled)
		require.Equal(t, 1, a.Listening())
		changes := p.take()
		require.Len(t, changes, 2, "one window, which opened and ended")

		there := notices.New(notices.Options{})
		p.note(func() { p.nodes["new:1"] = there })
		a.Push(wire(">4 MOVING :8 :20 new:1", false))
		p.pass(2 * time.Second)
		require.Equal(t, 1, there.Listening())
		require.Zero(t, a.Listening())
		there.Push(wire(">4 MOVING :9 :20 gone:1", false))
		p.pass(time.Minute)
		_, dialled = p.told()
		require.Equal(t, []string{"new:1", "gone:1", "gone:1", "gone:1", "a:1"}, dialled, "found nowhere else, so back to the old address")
		require.Equal(t, 1, a.Listening())
	})
}

// What a server pushes around the answer to the opt-in is processed like later pushes; a repeated completion is old.
func TestPushesAroundTheOptIn(t *testing.T) {
	watch(t, 0, Config{}, rueidis.ClientOption{}, func(p *party) {
		p.note(func() {
			p.nodes["a:1"] = notices.New(notices.Options{
				Before: wire(">4 MIGRATING :20 :2 1", false) + wire(">3 pubsub message x", true),
				After:  wire(">3 FAILED_OVER :11 1", false) + wire(">3 MIGRATED :9 1", false),
			})
			p.names = []string{"a:1"}
		})
		p.pass(lookEvery)
		require.Equal(t, Listening, p.Nodes()[0].State)
		changes := p.take()
		require.Len(t, changes, 1)
		require.True(t, changes[0].Open)
		require.Equal(t, Migrating, changes[0].Window.Kind)
	})
}

func TestNonsenseEndsTheConnectionOnly(t *testing.T) {
	watch(t, 1, Config{}, rueidis.ClientOption{}, func(p *party) {
		n := p.nodes["a:1"]
		for _, raw := range []string{"MOVING\r\n", ">99999999\r\n", strings.Repeat("*1\r\n", 50), "$-7\r\n"} {
			require.Equal(t, 1, n.Push(raw))
			p.pass(reconnect.Max)
			require.Equal(t, 1, n.Listening(), "%q", raw)
		}
		require.Equal(t, 1, n.Push(wire(">4 MIGRATING :20 :2 1", false)))
		synctest.Wait()
		require.Len(t, p.take(), 1)
	})
}

func TestConfigIsValidated(t *testing.T) {
	require.NoError(t, Config{}.WithDefaults().Validate())
	for _, c := range []Config{
		{Mode: 7}, {Endpoint: "somewhere"}, {MaxWindow: time.Second}, {MaxWindow: time.Hour}, {MaxWindow: -1}, {RelaxedTimeout: -1}, {RelaxedFor: -1},
	} {
		require.Error(t, c.WithDefaults().Validate(), "%+v", c)
	}
}
