package rights

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	service    = "chat"
	partitions = 2
	patience   = time.Minute
)

// harness is a server with users.
type harness struct {
	t      *testing.T
	server *servers.Server
	admin  rueidis.Client
	layout *cluster.Layout
}

func newHarness(t *testing.T, opts ...servers.Option) *harness {
	h := &harness{t: t, server: servers.New(t, append(opts, servers.Args("--notify-keyspace-events", "Kx"))...)}
	h.admin = h.server.Client(t)
	var err error
	h.layout, err = cluster.NewLayout(service, partitions)
	require.NoError(t, err)
	return h
}

// each runs a test on every kind of server that there is.
func each(t *testing.T, test func(t *testing.T, h *harness)) {
	for _, program := range servers.Available(t) {
		t.Run(program.String(), func(t *testing.T) {
			t.Parallel()
			test(t, newHarness(t, servers.On(program)))
		})
	}
}

func (h *harness) do(args ...string) rueidis.RedisMessage {
	h.t.Helper()
	m, err := h.admin.Do(context.Background(), h.admin.B().Arbitrary(args...).Build()).ToMessage()
	if !rueidis.IsRedisNil(err) {
		require.NoError(h.t, err, "%q", args)
	}
	return m
}

func (h *harness) until(what string, ok func() bool) {
	h.t.Helper()
	require.Eventually(h.t, ok, patience, 10*time.Millisecond, what)
}

// user makes a user with these rules, or changes it: none are left of those that it had.
func (h *harness) user(name string, rules ...string) rueidis.ClientOption {
	h.t.Helper()
	h.do(append([]string{"ACL", "SETUSER", name, "reset", "on", ">secret", "resetchannels"}, rules...)...)
	opt := h.server.ClientOption()
	opt.Username, opt.Password = name, "secret"
	return opt
}

func (h *harness) connect(opt rueidis.ClientOption) rueidis.Client {
	h.t.Helper()
	client, err := rueidis.NewClient(opt)
	require.NoError(h.t, err)
	h.t.Cleanup(client.Close)
	return client
}

// use is a command and a kind of key.
type use struct {
	command string
	key     preflight.Key
}

// uses are what a server saw, with an example of each.
type uses struct {
	mu  sync.Mutex
	all map[use]string
}

func (u *uses) add(at use, line string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all[at] = line
}

// watch notes what the server runs, for whomever, until stop is called.
func (h *harness) watch() (seen *uses, stop func()) {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.server.Addr())
	require.NoError(h.t, err)
	_, err = conn.Write([]byte("MONITOR\r\n"))
	require.NoError(h.t, err)
	lines := bufio.NewReader(conn)
	_, err = lines.ReadString('\n')
	require.NoError(h.t, err)
	seen = &uses{all: make(map[use]string)}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			h.note(seen, line)
		}
	})
	return seen, func() { conn.Close(); reading.Wait() }
}

// note takes one line: +<time> [<database> <client>] "<word>" "<word>" …
func (h *harness) note(seen *uses, line string) {
	_, rest, ok := strings.Cut(line, "] ")
	var words []string
	for ok {
		rest = strings.TrimSpace(rest)
		word, err := strconv.QuotedPrefix(rest)
		if err != nil {
			break
		}
		plain, _ := strconv.Unquote(word)
		words, rest = append(words, plain), rest[len(word):]
	}
	if len(words) == 0 {
		return
	}
	name := strings.ToLower(words[0])
	if slices.Contains([]string{"xgroup", "xinfo", "cluster", "config", "client", "acl", "script"}, name) && len(words) > 1 {
		words = words[1:]
		name += "|" + strings.ToLower(words[0])
	}
	keys := 0
	for _, word := range words[1:] {
		if kind, ok := preflight.KindOf(h.layout, word); ok && name != "evalsha" && name != "eval" {
			seen.add(use{name, kind}, line)
			keys++
		}
	}
	if keys == 0 {
		seen.add(use{name, preflight.NoKey}, fmt.Sprintf("%.200s", line))
	}
}
