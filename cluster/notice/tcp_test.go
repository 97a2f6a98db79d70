package notice

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/notices"
)

// counted is a connection that counts what was read from it, and limits each read.
type counted struct {
	net.Conn
	most int
	read *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), c.most)])
	c.read.Add(int64(n))
	return n, err
}

// heard is a watcher of a node on a real connection, and what it received.
type heard struct {
	node    *notices.Node
	notices chan Notice
	read    atomic.Int64
}

func listen(t *testing.T, o notices.Options, most int) *heard {
	node, err := notices.Listen(o)
	require.NoError(t, err)
	h := &heard{node: node, notices: make(chan Notice, 1000)}
	opt := rueidis.ClientOption{DialCtxFn: func(ctx context.Context, address string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return &counted{conn, most, &h.read}, nil
	}}
	w := NewWatcher(opt, Config{}.WithDefaults(), func() []string { return []string{node.Addr()} }, Hooks{
		Noticed: func(a Arrival) { h.notices <- a.Notice },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		group.Wait()
		node.Close()
	})
	require.Eventually(t, func() bool { return node.Listening() == 1 }, 10*time.Second, time.Millisecond)
	return h
}

// next waits for the next notice.
func (h *heard) next(t *testing.T) Notice {
	t.Helper()
	select {
	case n := <-h.notices:
		return n
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no notice came")
		panic("unreachable")
	}
}

// Every kind, in simple and in bulk strings, cut in two at every byte: the second part is sent after the first was read.
func TestEveryNoticeCutAtEveryByte(t *testing.T) {
	h := listen(t, notices.Options{}, 1<<16)
	for _, text := range slices.Sorted(maps.Keys(documented)) {
		for _, bulk := range []bool{false, true} {
			raw := wire(text, bulk)
			for cut := 1; cut < len(raw); cut++ {
				err := h.node.PushIn(raw[:cut], func(sent int) {
					for end := time.Now().Add(10 * time.Second); h.read.Load() < int64(sent) && time.Now().Before(end); {
						runtime.Gosched()
					}
					require.Equal(t, int64(sent), h.read.Load())
				}, raw[cut:])
				require.NoError(t, err)
				require.Equal(t, documented[text], h.next(t), "%q cut at %d", raw, cut)
			}
		}
	}
	require.Equal(t, 1, h.node.Listening())
	require.Len(t, h.node.Commands(), 2, "on one connection")
}

// All of them at once, read byte by byte, with answers and other pushes in between.
func TestNoticesAmongOtherPushes(t *testing.T) {
	others := []string{
		">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$8\r\nMOVING 1\r\n", ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n", "|1\r\n+ttl\r\n:1\r\n+PONG\r\n", ":12\r\n", "-ERR what\r\n",
		">4\r\n+MOVE\r\n:1\r\n:2\r\n_\r\n",
	}
	h := listen(t, notices.Options{}, 1)
	var raw strings.Builder
	var want []Notice
	for i, text := range slices.Sorted(maps.Keys(documented)) {
		raw.WriteString(others[i%len(others)] + wire(text, i%2 == 0) + "+PONG\r\n")
		want = append(want, documented[text])
	}
	require.Equal(t, 1, h.node.Push(raw.String()))
	for _, n := range want {
		require.Equal(t, n, h.next(t))
	}
	require.Eventually(t, func() bool { return h.node.Pings() > 0 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, 1, h.node.Push(wire(">3 FAILED_OVER :99 1", true)), "the connection goes on")
	require.Equal(t, int64(99), h.next(t).Seq)
	require.Len(t, h.node.Commands(), 2)
}

// Three nodes announce one failover, twice each; one sends nonsense, is reconnected to, and repeats what is long over. One
// window opens, and ends once.
func TestSeveralNodesTellOfOneFailover(t *testing.T) {
	var nodes []*notices.Node
	var addresses []string
	for range 3 {
		n, err := notices.Listen(notices.Options{After: wire(">3 FAILED_OVER :5 1", false) + wire(">3 MIGRATED :3 2", true)})
		require.NoError(t, err)
		t.Cleanup(n.Close)
		nodes, addresses = append(nodes, n), append(addresses, n.Addr())
	}
	var mu sync.Mutex
	var changes []Change
	noticed := 0
	w := NewWatcher(rueidis.ClientOption{}, Config{}.WithDefaults(), func() []string { return addresses }, Hooks{
		Changed: func(c Change) {
			mu.Lock()
			defer mu.Unlock()
			changes = append(changes, c)
		},
		Noticed: func(Arrival) {
			mu.Lock()
			defer mu.Unlock()
			noticed++
		},
	})
	came := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return noticed >= n
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { w.Run(ctx) })
	defer group.Wait()
	defer cancel()
	const patience, often = 10 * time.Second, 5 * time.Millisecond
	require.Eventually(t, came(6), patience, often, "what each repeats")

	for range 2 {
		for _, n := range nodes {
			require.Equal(t, 1, n.Push(wire(">4 FAILING_OVER :10 :2 1", true)))
		}
	}
	require.Eventually(t, came(12), patience, often)
	require.Equal(t, MinWindow, w.Length(0))
	nodes[0].Push(">4\r\n+FAILED_OVER\n:11\r\n")
	require.Eventually(t, came(14), patience, often, "after reconnecting, it repeats")
	require.Equal(t, MinWindow, w.Length(0), "and that ends nothing")
	for _, n := range nodes {
		require.Equal(t, 1, n.Push(wire(">3 FAILED_OVER :11 1", false)))
	}
	require.Eventually(t, came(17), patience, often)
	require.Zero(t, w.Length(0))
	require.True(t, w.Relaxed())
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, changes, 2)
	require.True(t, changes[0].Open)
	require.True(t, changes[1].Completed)
}

// With TLS and credentials, the side connection is made like those that carry data: to nobody whose certificate is not trusted, and
// to the new endpoint of a node that moves, too.
func TestNoticesOverTLS(t *testing.T) {
	server, client, err := notices.Secure()
	require.NoError(t, err)
	_, stranger, err := notices.Secure()
	require.NoError(t, err)
	var nodes [2]*notices.Node
	for i := range nodes {
		nodes[i], err = notices.Listen(notices.Options{TLS: server, Auth: "app secret"})
		require.NoError(t, err)
		t.Cleanup(nodes[i].Close)
	}
	run := func(opt rueidis.ClientOption) (*Watcher, *heard) {
		h := &heard{notices: make(chan Notice, 10)}
		w := NewWatcher(opt, Config{}.WithDefaults(), func() []string { return []string{nodes[0].Addr()} }, Hooks{
			Noticed: func(a Arrival) { h.notices <- a.Notice },
		})
		ctx, cancel := context.WithCancel(context.Background())
		var group sync.WaitGroup
		group.Go(func() { w.Run(ctx) })
		t.Cleanup(func() { cancel(); group.Wait() })
		return w, h
	}
	const patience, often = 10 * time.Second, 5 * time.Millisecond
	for _, c := range []struct {
		opt    rueidis.ClientOption
		reason string
	}{
		{rueidis.ClientOption{Username: "app", Password: "secret", TLSConfig: stranger}, "unknown authority"},
		{rueidis.ClientOption{Username: "app", Password: "wrong", TLSConfig: client}, "WRONGPASS"},
		{rueidis.ClientOption{Username: "app", Password: "secret"}, ""},
	} {
		w, _ := run(c.opt)
		require.Eventually(t, func() bool { return len(w.Nodes()) == 1 && w.Nodes()[0].Err != nil }, patience, often)
		require.ErrorContains(t, w.Nodes()[0].Err, c.reason)
		require.Equal(t, Connecting, w.Nodes()[0].State, "it may still change")
	}
	require.Zero(t, nodes[0].Listening())

	opt := rueidis.ClientOption{TLSConfig: client, AuthCredentialsFn: func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
		return rueidis.AuthCredentials{Username: "app", Password: "secret"}, nil
	}}
	_, h := run(opt)
	require.Eventually(t, func() bool { return nodes[0].Listening() == 1 }, patience, often)
	require.Contains(t, nodes[0].Commands(), "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-fqdn", "a certificate has names")
	nodes[0].Push(wire(">4 FAILING_OVER :10 :2 1", true))
	require.Equal(t, FailingOver, h.next(t).Kind)
	_, port, err := net.SplitHostPort(nodes[1].Addr())
	require.NoError(t, err)
	nodes[0].Push(wire(">4 MOVING :11 :20 localhost:"+port, true))
	require.Equal(t, Moving, h.next(t).Kind)
	require.Eventually(t, func() bool { return nodes[1].Listening() == 1 && nodes[0].Listening() == 0 }, patience, often)
	nodes[1].Push(wire(">3 FAILED_OVER :12 1", true))
	require.Equal(t, FailedOver, h.next(t).Kind)
}
