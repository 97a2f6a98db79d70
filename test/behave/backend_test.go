package behave_test

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// backend is the Redis that a test has to itself, and how to reach it. Everything here that knows how many servers it is
// made of is in this file.
type backend struct {
	opt     rueidis.ClientOption // for clients of engines and publishers
	client  rueidis.Client       // of the test; no engine runs on it
	masters []*servers.Server
}

// newBackend starts the servers that a test runs on; they end with the test.
func newBackend(t testing.TB) *backend {
	s := servers.New(t)
	b := &backend{opt: s.ClientOption(), masters: []*servers.Server{s}}
	b.client = b.connect(t)
	return b
}

// connect makes a client that is closed at the end of the test.
func (b *backend) connect(t testing.TB) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(b.opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// scripts is how many calls of scripts the servers have counted so far.
func (b *backend) scripts(t testing.TB) (calls int64) {
	t.Helper()
	for _, s := range b.masters {
		stats, err := s.CommandStats(context.Background())
		require.NoError(t, err)
		calls += stats["evalsha"].Calls + stats["eval"].Calls
	}
	return calls
}

// kill ends all servers at once, as a power cut does.
func (b *backend) kill(t testing.TB) {
	t.Helper()
	for _, s := range b.masters {
		require.NoError(t, s.Kill())
	}
}

// through puts a proxy between the servers and whoever uses the returned options.
func (b *backend) through(t testing.TB) (*proxy.Proxy, rueidis.ClientOption) {
	t.Helper()
	p := proxy.New(t, b.masters[0].Addr())
	return p, p.ClientOption()
}

// cli runs the command line client of Redis with arguments, or with commands on its input, and returns what it printed.
func (b *backend) cli(t testing.TB, input string, args ...string) string {
	t.Helper()
	binary, err := exec.LookPath("redis-cli")
	require.NoError(t, err, "install it with `apt-get install redis-tools` or `make deps`")
	args = append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(b.masters[0].Port())}, args...)
	command := exec.Command(binary, args...)
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.TrimSpace(string(out))
}
